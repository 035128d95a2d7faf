"""Agents of the user's own, with an ``act`` method in plain Python.

They go through the same mempool as the built-in kinds, see through the same feed, and are bound by the same latency.
"""

from blockspace.agents.order_sending import OrderSending
from blockspace.agents.pool_sending import PoolSending


class Trader(OrderSending, PoolSending):
    """Base of agents written in plain Python.

    Subclasses override :meth:`act`, which is called once a block, at the last moment at which a decision of theirs can
    still make that block. What they see is what could have reached them by then.

    A checkpoint holds their attributes, as long as these are plain data: numbers, text, arrays, random generators, and
    lists, tuples and dictionaries of them. Other attributes that the constructor sets and nothing changes are named in
    ``CONSTANTS``; for anything else, override ``state`` and ``restore``.

    Parameters
    ----------
    model
        The :class:`~blockspace.experiments.market.Market`.
    access
        Name of the access point where the agent sits; by default the one next to the first validator.
    cash_usd, ether
        Endowment; by default the scenario's.
    world
        The chain where the agent acts; by default the first.
    """

    def act(self) -> None:
        """Decide. Override this."""
