"""The volatility at which an option has a given price.

What is solved for is the deviation ``s`` of the log price until expiry, from the value of the option that is out of the
money, by Halley's method inside a bracket. Below the inflection of the value as a function of ``s``, at
``sqrt(2 x)``, the equation is put as one of ``1 / ln(value)``, which is nearly a parabola there; above it as one of the
value itself, or, past half of the largest value, of the logarithm of what is missing to that (after Jäckel, 2015).
So a price of 1e-300, or one that differs from its bound by little more than rounding, takes as few steps as any other.
"""

import math

import numpy as np
import numpy.typing as npt

from blockspace.markets.options.black_scholes import CALL, PRICES, kind_of, log_moneyness, out_of_the_money, within
from blockspace.network.compilation import kernel

TOO_LOW = -1.0
"""Instead of a volatility: the price is below what exercise alone is worth."""

TOO_HIGH = -2.0
"""Instead of a volatility: the price is that of the underlying (of a put: the discounted strike) or above."""

_ITERATIONS = 100
_PRECISION = 1e-15
_LAST_STEP = 1e-6  # relative; Halley's method cubes the error, so that the step that follows would be lost in rounding


@kernel
def _halley(newton, curvature):
    """Step of Halley from that of Newton and the ratio of second and first derivative."""
    divisor = 1.0 + 0.5 * newton * curvature
    return newton / divisor if divisor > 0.5 else newton


@kernel
def implied_deviation(distance, wanted):
    """Deviation ``s`` at which the option out of the money is worth ``wanted``.

    Parameters
    ----------
    distance
        ``x``, the absolute log of forward over strike.
    wanted
        Value per unit of the smaller of discounted forward and strike, above 0 and below 1.
    """
    inflection = math.sqrt(2.0 * distance)
    low, high = inflection, math.inf
    deviation = inflection if inflection > 2.5 * wanted else 2.5 * wanted
    tail = inflection > 0.0 and wanted < out_of_the_money(distance, inflection)[0]
    top = not tail and wanted > 0.5
    if tail:
        low, high = 0.0, inflection
        deviation = min(distance / math.sqrt(-2.0 * math.log(wanted)), 0.999 * inflection)
    for _ in range(_ITERATIONS):
        value, complement, density, _, _, _ = out_of_the_money(distance, deviation)
        if (complement if top else value) > 0.0 and density > 0.0:
            centre = distance / deviation
            bend = centre * centre / deviation - 0.25 * deviation
            if tail:
                level, target, slope = math.log(value), math.log(wanted), density / value
                newton = (target - level) * (level / target) / slope
                bend -= slope + 2.0 * slope / level
            elif top:
                slope = -density / complement
                newton = (math.log1p(-wanted) - math.log(complement)) / slope
                bend -= slope
            else:
                newton = (wanted - value) / density
            step = _halley(newton, bend)
            guess = deviation + step
            if abs(step) <= _LAST_STEP * deviation:
                return guess
            if step > 0.0:
                low = deviation
            else:
                high = deviation
        else:  # nothing can be told from a value that has vanished, but on which side it has
            if top:
                high = deviation
            else:
                low = deviation
            guess = -1.0
        if not low < guess < high:
            guess = 0.5 * (low + high) if high < math.inf else 2.0 * low
        deviation = guess
    return deviation


@kernel
def implied_volatility_of(price, spot, strike, years, kind, rate, carry):
    """Volatility at which an option has a price, or ``TOO_LOW`` or ``TOO_HIGH``; arguments as in ``greeks``.

    A price that is exactly what exercise is worth has the volatility 0. So has, for an option in the money, a price
    that exceeds it by less than floating point can tell.
    """
    forward = spot * math.exp(-carry * years)
    bond = strike * math.exp(-rate * years)
    moneyness = log_moneyness(spot, strike) + (rate - carry) * years
    beyond = price
    if (kind == CALL) != (moneyness <= 0.0):
        beyond -= bond * math.expm1(moneyness) * kind
    wanted = 0.0 if abs(beyond) <= _PRECISION * price else beyond / min(forward, bond)
    if wanted == 0.0:
        return 0.0
    if wanted < 0.0:
        return TOO_LOW
    if wanted >= 1.0 or years == 0.0:
        return TOO_HIGH
    return implied_deviation(abs(moneyness), wanted) / math.sqrt(years)


@kernel
def imply(prices, strikes, years, kinds, spot, rate, carry, volatilities):
    """Fill ``volatilities`` with the volatilities that prices imply, one option an element; see the function above."""
    for number in range(prices.shape[0]):
        volatilities[number] = implied_volatility_of(
            prices[number], spot, strikes[number], years[number], kinds[number], rate, carry
        )


def implied_volatility(
    kind: str, price: float, spot: float, strike: float, years: float, rate: float = 0.0, carry: float = 0.0
) -> float:
    """Volatility at which an option has a price.

    Parameters
    ----------
    kind
        ``"call"`` or ``"put"``.
    price
        Of the option, in the unit of ``spot``.
    spot, strike, years, rate, carry
        As in :func:`blockspace.markets.options.black_scholes.price_option`.

    Raises
    ------
    ValueError
        If an argument is not what it may be, or no volatility gives this price.

    Examples
    --------
    >>> round(implied_volatility("call", 9.12984, spot=100.0, strike=100.0, years=30 / 365), 5)
    0.8
    """
    sign = kind_of(kind)
    within("spot", spot, *PRICES)
    within("strike", strike, *PRICES)
    within("years", years, 0.0, 1e10)
    within("rate * years", rate * years, -100.0, 100.0)
    within("carry * years", carry * years, -100.0, 100.0)
    found = implied_volatility_of(*map(float, (price, spot, strike, years)), sign, float(rate), float(carry))
    if found < 0.0 or not math.isfinite(price):
        forward, bond = spot * math.exp(-carry * years), strike * math.exp(-rate * years)
        least = max(0.0, (forward - bond) * sign)
        most = (forward if sign == CALL else bond) if years > 0.0 else least
        raise ValueError(f"price is {price!r}, but must be a number from {least:g} to below {most:g}.")
    return float(found)


def implied_volatilities(
    kinds: npt.ArrayLike,
    prices: npt.ArrayLike,
    spot: float,
    strikes: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: float = 0.0,
    carry: float = 0.0,
) -> npt.NDArray[np.float64]:
    """Volatilities that the prices of many options on one underlying imply.

    Parameters
    ----------
    kinds
        ``CALL`` or ``PUT`` (1 or -1) of each option.
    prices, strikes, years
        Of each option; all four are broadcast against each other.
    spot, rate, carry
        As in :func:`implied_volatility`.

    Returns
    -------
    numpy.ndarray
        Volatilities, with ``TOO_LOW`` or ``TOO_HIGH`` where no volatility gives the price.
    """
    columns = np.broadcast_arrays(*(np.asarray(column, dtype=float) for column in (prices, strikes, years, kinds)))
    price, strike, time, kind = (np.ascontiguousarray(column).ravel() for column in columns)
    volatilities = np.empty(price.size)
    imply(price, strike, time, kind.astype(np.int64), float(spot), float(rate), float(carry), volatilities)
    return volatilities.reshape(columns[0].shape)
