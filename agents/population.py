"""Built-in agents as Mesa sees them.

They live as rows of one array per population, on which one kernel acts for all of them; their Mesa agents are thin
views on a row. Agents of the user's own are in :mod:`blockspace.agents.trader`.
"""

from typing import Any, ClassVar

import mesa
import numpy as np
import numpy.typing as npt


class Member(mesa.Agent):
    """A view on one row of a population. Subclasses only give the kind a name of its own."""

    kind: ClassVar[str] = "member"

    def __init__(self, model: Any, rows: npt.NDArray[Any], number: int) -> None:
        super().__init__(model)
        self._rows = rows
        self.number = number

    @property
    def row(self) -> np.void:
        """The agent's state, as a record."""
        return self._rows[self.number]

    @property
    def account(self) -> int:
        """Number of the agent's account in the ledger."""
        return int(self._rows["account"][self.number])

    def __getattr__(self, name: str) -> Any:
        """Read a field of the row as if it were an attribute."""
        if name.startswith("_") or name not in (self._rows.dtype.names or ()):
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        value = self._rows[name][self.number]
        return value.item() if value.ndim == 0 else value


class MarketMaker(Member):
    """A market maker; see :mod:`blockspace.agents.market_makers`."""

    kind = "maker"


class NoiseTrader(Member):
    """A trader with private values; see :mod:`blockspace.agents.traders`."""

    kind = "noise"


class InformedTrader(Member):
    """A trader with a signal; see :mod:`blockspace.agents.traders`."""

    kind = "informed"


class Arbitrageur(Member):
    """A trader who takes stale quotes; see :mod:`blockspace.agents.arbitrageurs`."""

    kind = "arbitrageur"


class PoolArbitrageur(Member):
    """A trader who takes what a pool offers; see :mod:`blockspace.agents.pool_arbitrageurs`."""

    kind = "pool_arbitrageur"


class Swapper(Member):
    """A trader with private values who trades in a pool or on its book; see :mod:`blockspace.agents.swappers`."""

    kind = "swapper"


class LiquidityProvider(Member):
    """A provider of a pool's liquidity; see :mod:`blockspace.agents.liquidity_providers`."""

    kind = "provider"


class Sandwicher(Member):
    """A searcher who trades around pending swaps; see :mod:`blockspace.agents.sandwichers`."""

    kind = "sandwicher"


class Extractor(Member):
    """The searcher inside a producer; see :mod:`blockspace.agents.sandwichers`."""

    kind = "extractor"


class OracleKeeper(Member):
    """Who reports the external price to the chain; see :mod:`blockspace.agents.oracle_keepers`."""

    kind = "keeper"


class ClearingKeeper(Member):
    """Who settles trades that wait for it; see :mod:`blockspace.agents.clearing_keepers`."""

    kind = "clearing_keeper"


class LeveragedTrader(Member):
    """A trader with a leveraged position; see :mod:`blockspace.agents.leveraged_traders`."""

    kind = "leveraged"


class Liquidator(Member):
    """Who takes over positions below maintenance; see :mod:`blockspace.agents.liquidators`."""

    kind = "liquidator"


class OptionMaker(Member):
    """A maker of options; see :mod:`blockspace.agents.option_makers`."""

    kind = "option_maker"


class OptionTrader(Member):
    """A trader of options with private values; see :mod:`blockspace.agents.option_traders`."""

    kind = "option_trader"


class OptionVault(Member):
    """A vault that sells calls; see :mod:`blockspace.agents.option_vaults`."""

    kind = "option_vault"


class DeltaHedger(Member):
    """A desk that hedges what clients bring; see :mod:`blockspace.agents.delta_hedgers`."""

    kind = "delta_hedger"


class BackgroundUsers(Member):
    """All background users together, with one account; see :mod:`blockspace.agents.background_users`."""

    kind = "background"


class Builder(Member):
    """A builder of blocks for the producers; see :mod:`blockspace.agents.builders`."""

    kind = "builder"


class Proposer(Member):
    """A validator or sequencer: it makes blocks in turn with its stake, and earns their tips."""

    kind = "producer"
