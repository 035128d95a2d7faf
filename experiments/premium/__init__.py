"""The gas-adjusted option premium: what a writer asks beyond Black and Scholes because hedging pays for block space.

Along the blocks of a finished run a small writer hedges options in an infinitely deep underlying and pays the chain's
own fees. The writer receives the value :math:`V_0` at the true volatility and an add-on. Over the life of the option
the writer pays the gas :math:`G = \\sum_i g\\, (b_i + t_i) P_i` (gas of a trade, base fee, the tip that gets in,
dollars per ether), and hedging loses :math:`L = X - V_0 - \\int \\Delta\\, dS` on the payoff :math:`X`. The add-on
that leaves a writer of aversion :math:`\\gamma` to variance no worse off is

.. math:: E[G] + E[L] + \\tfrac{\\gamma}{2} Var[G] + \\tfrac{\\gamma}{2} Var[L] + \\gamma\\, Cov[G, L].

Prices are a martingale and the option is sold at its value, so that :math:`E[L] = 0` whatever the policy. The premium
here is the sum of the other four parts with the variance of :math:`L` taken about its known mean; the sample mean of
:math:`L` is reported beside it as a check. A utility that is exponential in wealth would make the premium infinite
where fees have a lognormal tail; mean and variance do not.

The holder of the option exercises if the payoff exceeds the gas :math:`H` of exercising, and so gives up
:math:`M = \\min(X, H)`: the bid is :math:`V_0 - E[M] - \\tfrac{\\gamma}{2} Var[M]` for a holder who is hedged
otherwise.

=============  ========================================================================================
module         what it does
=============  ========================================================================================
``paths``      prices and fees that a run leaves, block by block
``hedging``    the kernel: many contracts, many policies, one path
``parts``      means and products over contracts, and the premium's parts that follow from them
``book``       which options are written along a run, and what a sweep keeps of them for each run
``completion`` policies chosen on some seeds and appraised on the others
=============  ========================================================================================
"""
