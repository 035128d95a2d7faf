"""When to re-hedge, and how far: by the clock, or by a band around the delta that one would hold if trading were free.

Who hedges trades off two costs. Each re-hedge costs gas, whatever its size, and a fraction of what is traded. Not to
hedge is a risk: a holding that is :math:`y` units away from the target loses or gains :math:`y \\sigma S` per square
root of a year, and variance of profit is disliked at :math:`\\gamma / 2` per dollar squared.

Over times in which gamma does not change much, the gap :math:`y` moves like a Brownian motion with the deviation
:math:`\\nu = |\\Gamma| \\sigma S`. If one trades whenever it exceeds an edge :math:`H`, and then back to :math:`h`, the
mean time between two trades is :math:`(H^2 - h^2) / \\nu^2` and the mean of :math:`y^2` is :math:`(H^2 + h^2) / 6`: a
year costs

.. math:: \\nu^2 \\frac{F + \\kappa (H - h)}{H^2 - h^2} + \\frac{\\gamma}{2} \\sigma^2 S^2 \\frac{H^2 + h^2}{6}.

Setting both derivatives to zero leaves two equations without volatility,

.. math:: \\kappa = \\frac{\\gamma}{\\Gamma^2} \\frac{H h (H + h)}{3}, \\qquad
   F = \\frac{\\gamma}{\\Gamma^2} \\frac{(H - h)^3 (H + h)}{12}.

Without a fixed cost this is the band of Whalley and Wilmott (1997),
:math:`H = h = (3 \\kappa \\Gamma^2 / 2 \\gamma)^{1/3}`: trade to the edge. Without a proportional cost it is
:math:`H = (12 F \\Gamma^2 / \\gamma)^{1/4}`, :math:`h = 0`: trade to the target, with the fourth root of Whalley and
Wilmott (1999), whose setting of mixed costs is that of the general case.

===================  =====================================================================  =================
symbol               meaning                                                                unit
===================  =====================================================================  =================
:math:`F`            fixed cost of a trade (gas)                                            dollars
:math:`\\kappa`       cost of trading one unit: the fraction :math:`k` times the price       dollars per unit
:math:`\\Gamma`       change of the target per change of the price, of the whole position    units per (dollar per unit)
:math:`\\gamma`       aversion to variance: a variance of 1 costs :math:`\\gamma / 2`          1 / dollar
:math:`H, h`         edge of the band, and where a trade goes back to                       units
===================  =====================================================================  =================
"""

import math

from blockspace.network.compilation import kernel

_STEPS = 50


@kernel
def clock_due(now, last, interval):
    """Whether a hedger who looks every ``interval`` should re-hedge; the three in the same unit of time."""
    return now - last >= interval


@kernel
def best_interval(fixed_usd, unit_cost_usd, gamma, variance, price, risk_aversion):
    """Interval of the clock that costs least while nothing changes, in years.

    A gap that starts from 0 and moves like a Brownian motion with :math:`\\nu = |\\Gamma| \\sigma S` has the mean
    square :math:`\\nu^2 \\tau / 2` until the next hedge, which trades :math:`\\nu \\sqrt{2 \\tau / \\pi}` on average:
    a year costs

    .. math:: \\frac{F}{\\tau} + \\kappa \\nu \\sqrt{\\frac{2}{\\pi \\tau}}
       + \\frac{\\gamma}{4} \\sigma^2 S^2 \\nu^2 \\tau .

    The derivative is zero where :math:`A u^4 = B u + F` with :math:`u = \\sqrt\\tau`,
    :math:`A = \\gamma \\sigma^2 S^2 \\nu^2 / 4` and :math:`B = \\kappa \\nu / \\sqrt{2 \\pi}`.

    Parameters
    ----------
    fixed_usd, unit_cost_usd, gamma, risk_aversion
        As of :func:`no_trade_band`.
    variance
        Of the log price per year, 0 or more.
    price
        Of one unit, in dollars.

    Returns
    -------
    float
        Years, 0 or more; 0 where gaps do not move, so that one hedge is the last one for a while anyhow.
    """
    speed = gamma * gamma * variance * price * price
    slope = 0.25 * risk_aversion * variance * price * price * speed
    if slope == 0.0:
        return 0.0
    fixed = fixed_usd / slope
    linear = unit_cost_usd * math.sqrt(speed / (2.0 * math.pi)) / slope
    # At or above the only root, from where the convex quartic brings every step of Newton's method closer to it.
    root = math.sqrt(math.sqrt(fixed)) + linear ** (1.0 / 3.0)
    for _ in range(_STEPS):
        if root == 0.0:
            break
        step = (root**4 - linear * root - fixed) / (4.0 * root**3 - linear)
        root -= step
        if step <= 1e-15 * root:
            break
    return root * root


@kernel
def no_trade_band(fixed_usd, unit_cost_usd, gamma, risk_aversion):
    """Edge of the band and where a trade goes back to, both as distances from the target; see the module.

    Parameters
    ----------
    fixed_usd
        ``F``, cost of a trade whatever its size, in dollars, 0 or more.
    unit_cost_usd
        ``kappa``, cost of trading one unit of the underlying, in dollars, 0 or more.
    gamma
        ``Gamma`` of the whole position, in units of the underlying per dollar of its price, of either sign.
    risk_aversion
        ``gamma``, per dollar, positive.

    Returns
    -------
    tuple of float
        ``H`` and ``h``, ``H >= h >= 0``, in units of the underlying. Without costs or gamma both are 0.
    """
    scale = gamma * gamma / risk_aversion
    quartic = 12.0 * fixed_usd * scale
    if unit_cost_usd == 0.0:
        return math.sqrt(math.sqrt(quartic)), 0.0
    cubic = 12.0 * unit_cost_usd * scale
    if cubic == 0.0:
        return 0.0, 0.0
    if quartic == 0.0:
        edge = 0.5 * cubic ** (1.0 / 3.0)
        return edge, edge
    width, gap = _width(cubic, quartic)
    edge = 0.5 * (width + gap)
    return edge, min(edge, cubic / (4.0 * edge * width))  # not the difference, which loses a small h


@kernel
def _width(cubic, quartic):
    """``w = H + h`` and ``d = H - h`` from ``w (w^2 - d^2) = cubic`` and ``w d^3 = quartic``, by Newton's method.

    The root in ``w`` is unique above ``quartic^(1/4)``, where ``h`` is 0, and lies below the start, from where the
    convex left-hand side brings every step closer to it.
    """
    width = cubic ** (1.0 / 3.0) + math.sqrt(math.sqrt(quartic))
    gap = 0.0
    for _ in range(_STEPS):
        gap = (quartic / width) ** (1.0 / 3.0)
        excess = width * (width * width - gap * gap) - cubic
        step = excess / (3.0 * width * width - gap * gap / 3.0)
        width -= step
        if step <= 1e-15 * width:
            break
    return width, gap


@kernel
def hedge_trade(gap, edge, back_to):
    """Units to buy (sell, if negative) where the target exceeds the holding by ``gap``; 0 within the band.

    Parameters
    ----------
    gap
        Target less what is held and what has been ordered already.
    edge, back_to
        Of :func:`no_trade_band`; both 0 for a hedger by the clock, who trades to the target.
    """
    if abs(gap) <= edge:
        return 0.0
    return gap - back_to if gap > 0.0 else gap + back_to
