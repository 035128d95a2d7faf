"""The formula of Black and Scholes as in the textbook, in decimals of so many digits that nothing is lost."""

from decimal import Decimal, localcontext

DIGITS = 400
PI = Decimal(
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798214808651"
)


def normal_tail(y):
    """``N(-y)`` to about 100 digits: the series for small ``y``, the continued fraction of Laplace for large."""
    if y < 0:
        return 1 - normal_tail(-y)
    density = (-y * y / 2).exp() / (2 * PI).sqrt()
    if y > 12:
        fraction = Decimal(0)
        for term in range(400, 0, -1):
            fraction = term / (y + fraction)
        return density / (y + fraction)
    term, total, number = y, y, 1
    while abs(term) > Decimal(10) ** -150:
        number += 2
        term *= y * y / number
        total += term
    return Decimal("0.5") - density * total


def slow_greeks(spot, strike, years, volatility, kind, rate=0.0, carry=0.0):
    """Value, delta, gamma, vega, theta, vanna and volga as floating-point numbers, from the textbook's formulas."""
    with localcontext() as context:
        context.prec = DIGITS
        spot, strike, years, volatility, rate, carry = map(Decimal, (spot, strike, years, volatility, rate, carry))
        root = years.sqrt()
        deviation = volatility * root
        forward, bond = spot * (-carry * years).exp(), strike * (-rate * years).exp()
        first = (forward / bond).ln() / deviation + deviation / 2
        second = first - deviation
        sign = Decimal(kind)
        density = forward * (-first * first / 2).exp() / (2 * PI).sqrt()
        of_spot, of_bond = normal_tail(-sign * first), normal_tail(-sign * second)
        vega = density * root
        results = (
            sign * (forward * of_spot - bond * of_bond),
            sign * forward * of_spot / spot,
            density / (spot * spot * deviation),
            vega,
            -density * volatility / (2 * root) + sign * (carry * forward * of_spot - rate * bond * of_bond),
            -density * second / (spot * volatility),
            vega * first * second / volatility,
        )
        return tuple(map(float, results))
