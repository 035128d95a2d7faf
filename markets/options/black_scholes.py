"""Value and Greeks of European options by Black and Scholes (1973), accurate into the far tails.

With the discounted forward :math:`A = S e^{-qT}` and strike :math:`B = K e^{-rT}`, the log distance
:math:`x = |\\ln(A / B)|` and the deviation :math:`s = \\sigma\\sqrt{T}`, let *near* be :math:`x / s - s / 2` and *far*
:math:`x / s + s / 2`. Of a call and a put with one strike, the one that is out of the money is worth

.. math:: \\min(A, B)\\; \\varphi(near)\\; \\bigl(R(near) - R(far)\\bigr),

with the normal density :math:`\\varphi` and the ratio of Mills :math:`R(y) = N(-y) / \\varphi(y)`: the two normal tails
of the textbook with their common factor taken out, so that what cancels is of moderate size (the idea of Jäckel, 2015).
Where :math:`s` is small even that cancels, and the difference is a short series in :math:`s / 2` around :math:`x / s`.
The option that is in the money is worth that and :math:`|A - B|`, by parity.

Units: years have 365 days, values are in the unit of the price; delta and gamma are per unit of price, vega and vanna
per 1.00 of volatility (not per point), volga per 1.00 of volatility squared, theta per year of passing time.

At expiry, or without volatility, an option is worth what exercise would bring, forward prices being certain; delta is a
step, one half at the strike itself, and gamma, vega, vanna and volga are 0, at the strike too, where gamma has no
finite limit. No result is ever infinite or not a number for prices from 1e-50 to 1e50, volatilities and
times from 0 to 1e10, and rates that over the time to expiry come to no more than 100 either way.
"""

import math
from typing import NamedTuple

import numpy as np

from blockspace.network.compilation import kernel

CALL = 1
PUT = -1

YEAR_NS = 365 * 86_400 * 10**9
"""Nanoseconds of a year of 365 days."""

SERIES = np.dtype(
    [
        ("strike", "f8"),
        ("expiry", "i8"),  # ns from the start of the run
        ("volatility", "f8"),  # per square root of a year
        ("kind", "i8"),  # CALL or PUT
        ("value", "f8"),
        ("delta", "f8"),
        ("gamma", "f8"),
        ("vega", "f8"),
        ("theta", "f8"),
        ("vanna", "f8"),
        ("volga", "f8"),
    ],
    align=True,
)
"""One listed option: its terms and the volatility that it is valued at, and what :func:`revalue` makes of them."""

PRICES = (1e-50, 1e50)
"""Least and largest price for which every result is finite."""

_SMALLEST = 1e-100
_DENSITY_AT_ZERO = 1.0 / math.sqrt(2.0 * math.pi)

# Of (y + 2) R(y) as a polynomial in (y - 5.5) / (y + 5.5), constant first: the Chebyshev interpolation computed with 60
# digits, in the manner of Schonfelder (1978), cut where the rest is below 1e-17.
_MILLS = (
    1.3224223931782704,
    -0.5538923693865176,
    0.36889175463259266,
    -0.20013837980403598,
    0.07961313864865624,
    -0.013722572877169456,
    -0.01042050008416971,
    0.012172005407040493,
    -0.006929668906310075,
    0.002409204740350646,
    -0.000339603636036796,
    -0.00013677548324067727,
    8.484855694587136e-05,
    -7.693854164468601e-06,
    -8.898981773115255e-06,
    2.8886849895217156e-06,
    7.183299722267424e-07,
    -5.140794301682564e-07,
    -4.641074742963333e-08,
    7.883830472266197e-08,
    2.0123387309983983e-09,
    -1.0338325490731722e-08,
    -2.4238646387332487e-11,
    8.366983267634263e-10,
)


class Greeks(NamedTuple):
    """Value of an option and its derivatives; the units are those of the module."""

    value: float
    delta: float
    gamma: float
    vega: float
    theta: float
    vanna: float
    volga: float


@kernel
def mills(y):
    """Ratio of Mills ``N(-y) / phi(y)`` for ``y`` of 0 and more, to about 5e-16 of itself."""
    v = (y - 5.5) / (y + 5.5)
    total = 0.0
    for coefficient in _MILLS[::-1]:
        total = total * v + coefficient
    return total / (y + 2.0)


@kernel
def log_moneyness(spot, strike):
    """``ln(spot / strike)``, as accurate near the strike as away from it."""
    ratio = spot / strike
    if 0.5 < ratio < 2.0:
        return math.log1p((spot - strike) / strike)
    return math.log(ratio)


@kernel
def out_of_the_money(distance, deviation):
    """Value of an option out of the money per unit of ``min(A, B)``, and its parts; see the module.

    Parameters
    ----------
    distance
        ``x``, 0 or more.
    deviation
        ``s``, positive.

    Returns
    -------
    tuple of float
        The value; its complement to 1, not by subtraction where that would cancel; the density ``phi(near)``; the
        normal tail ``N(-near)`` and its complement; the other tail ``N(-far)`` in units of ``phi(far) / phi(near)``.
    """
    centre = distance / deviation
    half = 0.5 * deviation
    near = centre - half
    far = centre + half
    density = _DENSITY_AT_ZERO * math.exp(-0.5 * near * near)
    far_tail = density * mills(far)
    ratio = mills(abs(near))
    if near < 0.0:
        body = density * ratio
        tail = 1.0 - body
        complement = body + far_tail
        value = tail - far_tail
    else:
        tail = density * ratio
        body = 1.0 - tail
        value = tail - far_tail
        complement = 1.0 - value
    if half < 1e-3 * (1.0 + centre):
        value = density * _difference(centre, half)
    return value, complement, density, tail, body, far_tail


@kernel
def _difference(centre, half):
    """``R(centre - half) - R(centre + half)`` for a small ``half``: the odd terms of the series of Taylor.

    ``moments[k]``, the integral of ``u^k exp(-centre u - u^2 / 2)`` over positive ``u``, is the derivative of order
    ``k`` but for its sign, and obeys ``moments[k + 1] = k moments[k - 1] - centre moments[k]``. What is lost by
    this for a large ``centre`` is lost in terms that hardly count, or where the density has vanished.
    """
    zeroth = mills(centre)
    first = max(0.0, 1.0 - centre * zeroth)
    second = zeroth - centre * first
    third = 2.0 * first - centre * second
    fourth = 3.0 * second - centre * third
    fifth = 4.0 * third - centre * fourth
    square = half * half
    return 2.0 * half * (first + square * (third / 6.0 + square * fifth / 120.0))


@kernel
def greeks(spot, strike, years, volatility, kind, rate, carry):
    """Value, delta, gamma, vega, theta, vanna and volga of one option, in this order; units as in the module.

    Parameters
    ----------
    spot, strike
        Positive prices.
    years
        Time to expiry in years of 365 days, 0 or more.
    volatility
        Standard deviation of the log price per square root of a year, 0 or more.
    kind
        ``CALL`` or ``PUT``.
    rate, carry
        Continuous interest, and continuous income of who holds the underlying, per year.
    """
    root = math.sqrt(years)
    deviation = volatility * root
    forward = spot * math.exp(-carry * years) if carry != 0.0 else spot
    bond = strike * math.exp(-rate * years) if rate != 0.0 else strike
    moneyness = log_moneyness(spot, strike) + (rate - carry) * years
    below = moneyness <= 0.0
    least = forward if below else bond
    if deviation < _SMALLEST or volatility < _SMALLEST:
        deviation, value, density, decay = 1.0, 0.0, 0.0, 0.0
        chance = 0.5 if moneyness == 0.0 else 0.0 if below else 1.0
        spot_tail, spot_body = forward * chance, forward * (1.0 - chance)
        bond_tail, bond_body = bond * chance, bond * (1.0 - chance)
    else:
        value, _, density, tail, body, far_tail = out_of_the_money(abs(moneyness), deviation)
        value *= least
        density *= least
        far_tail *= least
        if below:
            spot_tail, spot_body = forward * tail, forward * body
            bond_tail, bond_body = far_tail, bond - far_tail
        else:
            bond_tail, bond_body = bond * body, bond * tail
            spot_tail, spot_body = forward - far_tail, far_tail
        decay = -0.5 * density * volatility / root
    if (kind == CALL) != below:
        value += bond * math.expm1(moneyness) * kind
    if kind == CALL:
        delta = spot_tail / spot
        theta = decay + carry * spot_tail - rate * bond_tail
    else:
        delta = -spot_body / spot
        theta = decay - carry * spot_body + rate * bond_body
    if density == 0.0:
        return value, delta, 0.0, 0.0, theta, 0.0, 0.0
    first = moneyness / deviation + 0.5 * deviation
    second = first - deviation
    vega = density * root
    return (
        value,
        delta,
        density / (spot * spot * deviation),
        vega,
        theta,
        -density * second / (spot * volatility),
        vega * first * second / volatility,
    )


@kernel
def revalue(surface, spot, now, rate, carry):
    """Value every series of a surface, with all its Greeks, at the price ``spot`` and the time ``now``.

    Parameters
    ----------
    surface
        Array of :data:`SERIES`, changed in place. A series that has expired is valued as at expiry.
    spot
        Positive price.
    now
        Nanoseconds from the start of the run.
    rate, carry
        As in :func:`greeks`.
    """
    for number in range(surface.shape[0]):
        series = surface[number]
        years = max(np.int64(0), series.expiry - now) / YEAR_NS
        (series.value, series.delta, series.gamma, series.vega, series.theta, series.vanna, series.volga) = greeks(
            spot, series.strike, years, series.volatility, series.kind, rate, carry
        )


def price_option(
    kind: str, spot: float, strike: float, years: float, volatility: float, rate: float = 0.0, carry: float = 0.0
) -> Greeks:
    """Value one option with its Greeks.

    Parameters
    ----------
    kind
        ``"call"`` or ``"put"``.
    spot, strike, years, volatility, rate, carry
        As in :func:`greeks`.

    Raises
    ------
    ValueError
        If an argument is not what it may be.

    Examples
    --------
    >>> option = price_option("call", spot=100.0, strike=100.0, years=30 / 365, volatility=0.8)
    >>> round(option.value, 5), round(option.delta, 5), round(option.vega, 5)
    (9.12984, 0.54565, 11.36236)
    """
    sign = kind_of(kind)
    within("spot", spot, *PRICES)
    within("strike", strike, *PRICES)
    within("years", years, 0.0, 1e10)
    within("volatility", volatility, 0.0, 1e10)
    within("rate * years", rate * years, -100.0, 100.0)
    within("carry * years", carry * years, -100.0, 100.0)
    return Greeks(*greeks(*map(float, (spot, strike, years, volatility)), sign, float(rate), float(carry)))


def kind_of(kind: str) -> int:
    """``CALL`` or ``PUT`` by its name; raises ValueError for another name."""
    if kind not in ("call", "put"):
        raise ValueError(f"kind is {kind!r}, but must be 'call' or 'put'.")
    return CALL if kind == "call" else PUT


def within(name: str, value: float, least: float, most: float) -> None:
    """Raise ValueError unless a number lies between two others or equals one of them."""
    if not least <= value <= most:
        raise ValueError(f"{name} is {value!r}, but must be a number from {least:g} to {most:g}.")
