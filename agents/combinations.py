"""Legs of the usual combinations of options, for :meth:`blockspace.agents.trader.Trader.combination`.

Each takes series as :meth:`~blockspace.agents.trader.Trader.options` shows them and returns what is bought;
:func:`reversed_legs` makes of it what is sold.
"""

from blockspace.agents.sight import VisibleOption

Legs = list[tuple[int, float]]


def vertical(bought: VisibleOption, sold: VisibleOption) -> Legs:
    """Two strikes of one kind and expiry: a bet on the direction whose loss is bounded.

    Raises
    ------
    ValueError
        If kind or expiry differ, or the strikes do not.
    """
    if bought.kind != sold.kind or bought.expiry_s != sold.expiry_s or bought.strike_usd == sold.strike_usd:
        raise ValueError(f"a vertical has one kind, one expiry and two strikes, but is of {_terms(bought, sold)}")
    return [(bought.instrument, 1.0), (sold.instrument, -1.0)]


def straddle(call: VisibleOption, put: VisibleOption) -> Legs:
    """A call and a put of one strike and expiry: a bet on movement.

    Raises
    ------
    ValueError
        If strike or expiry differ, or they are not a call and a put.
    """
    kinds = (call.kind, put.kind)
    if kinds != ("call", "put") or call.expiry_s != put.expiry_s or call.strike_usd != put.strike_usd:
        raise ValueError(f"a straddle has a call and a put, one expiry and one strike, but is of {_terms(call, put)}")
    return [(call.instrument, 1.0), (put.instrument, 1.0)]


def calendar(later: VisibleOption, sooner: VisibleOption) -> Legs:
    """Two expiries of one kind, the later bought and the sooner sold: a bet on what lies between.

    Raises
    ------
    ValueError
        If the kinds differ, or the first does not expire later.
    """
    if later.kind != sooner.kind or later.expiry_s <= sooner.expiry_s:
        raise ValueError(f"a calendar has one kind and the later expiry first, but is of {_terms(later, sooner)}")
    return [(later.instrument, 1.0), (sooner.instrument, -1.0)]


def reversed_legs(legs: Legs) -> Legs:
    """The same combination from the other side."""
    return [(instrument, -ratio) for instrument, ratio in legs]


def _terms(*options: VisibleOption) -> str:
    return " and ".join(f"a {one.kind} at {one.strike_usd:g} for {one.expiry_s:g} s" for one in options)
