"""Rows of blocks and tapes of trades and transactions: kept in memory, or streamed to disk.

Rows are written by a kernel into chunks of fixed size. A tape is drained from its ring now and then, to memory or to a
Parquet file that grows as the run goes on.
"""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from blockspace.experiments.recording.liquidations import liquidation_columns
from blockspace.experiments.recording.options import OptionRecords
from blockspace.experiments.recording.pools import POOL_ROW
from blockspace.experiments.recording.recorder import is_idle, record
from blockspace.experiments.recording.rows import (
    BLOB_COLUMNS,
    BLOCK_ROW,
    CLEARING_COLUMNS,
    LIQUIDATION_COLUMNS,
    MARKET_ROW,
    METER,
    TAPE,
    TAPE_ROW,
)
from blockspace.experiments.recording.tape import Tape
from blockspace.experiments.scenario import Scenario
from blockspace.markets.liquidation import LIQUIDATED, LIQUIDATIONS
from blockspace.markets.options.settings import OptionSettings
from blockspace.markets.settings import InstrumentSettings
from blockspace.markets.trade_log import CAUSES, TRADE, TRADES, trades_since
from blockspace.network.state import Pieces, Stateful
from blockspace.network.transaction import KINDS, POST, STATUSES, TRANSFER

CHUNK = 4096
CUMULATIVE = (
    "background_delays",
    "market_delays",
    "order_costs",
    "gas_usd",
    "failed_gas_usd",
    "gas_units",
    "kinds",
    "base_fees",
    "tips",
    "blob_fees",
    "data_fees",
    "failed_gas",
    "gas_by_purpose",
    "bids",
    "venue_fees",
    "loss_to_arbitrage",
    "loss_to_sandwiches",
    "option_trades",
    "option_units",
    "option_premium",
    "option_fees",
    "clearing",
    "settlement_delays",
)
"""Fields of the meter that add up over the run."""

DRAIN_AT = min(TAPE, TRADES) // 2

IDLE_ROW_NS = np.int64(50_000_000)
"""Least time from one row to that of an empty block."""


def _difference(now: npt.NDArray[Any], before: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if now.dtype.names is None:
        return np.asarray(now - before)
    result = np.empty_like(now)
    for name in now.dtype.names:
        result[name] = now[name] - before[name]
    return result


class Records(Stateful):
    """What a world remembers of its run.

    Parameters
    ----------
    scenario
        The scenario of the world.
    venues, pools, logs
        The world's venue, mempool and trade log.
    tapes
        ``"memory"``, ``"none"``, or a folder for ``trades.parquet``, ``transactions.parquet`` and, where accounts can
        be liquidated, ``liquidations.parquet``. Liquidations are few, and kept in memory if there is no folder.
    """

    CONSTANTS: ClassVar = (
        "scenario",
        "_pools",
        "_logs",
        "_venues",
    )  # the arrays are those of the chain and of the world

    def __init__(
        self,
        scenario: Scenario,
        venues: npt.NDArray[Any],
        pools: npt.NDArray[Any],
        logs: npt.NDArray[Any],
        tapes: str | Path,
    ) -> None:
        self.scenario = scenario
        self._pools = pools
        self._logs = logs
        self._venues = venues
        self.meters = np.zeros(1, METER)
        self.options = OptionRecords(scenario, venues)
        self._keep = tapes != "none"
        self.meters[0]["keep_tape"] = self._keep
        folder = None if tapes in ("memory", "none") else Path(tapes)
        self._trades = Tape(self._trade_columns, TRADE, folder and folder / "trades.parquet")
        self._transactions = Tape(self._transaction_columns, TAPE_ROW, folder and folder / "transactions.parquet")
        self._liquidations = Tape(
            self._liquidation_columns,
            LIQUIDATED,
            folder and folder / "liquidations.parquet" if scenario.margin.liquidations else None,
        )
        self._trades_kept = 0
        self._liquidations_kept = 0
        self._transactions_kept = 0
        self._full_blocks = Pieces()
        self._full_markets = Pieces()
        self._full_pools = Pieces()
        self._rows_full = 0
        self._may_be_idle = scenario.chain.block_time_s * 1e9 < IDLE_ROW_NS
        self._warm_up_ns = scenario.warm_up_s * 1e9
        self._at_warm_up: dict[str, npt.NDArray[Any]] | None = None
        self._new_chunk()

    def _new_chunk(self) -> None:
        self._block_rows = np.zeros(CHUNK, BLOCK_ROW)
        self._market_rows = np.zeros((CHUNK, len(self.scenario.instruments)), MARKET_ROW)
        self._pool_rows = np.zeros((CHUNK, len(self.scenario.pools)), POOL_ROW)
        self._index = 0

    def record(self, blocks: npt.NDArray[Any], paths: npt.NDArray[Any], gas_token_price: float) -> None:
        """Write the rows of the block just executed; where blocks are fast, not of every one that is empty."""
        if self._may_be_idle and is_idle(self.meters, self._venues, self._logs, blocks, IDLE_ROW_NS):
            return
        if self._at_warm_up is None and blocks["time"][0] > self._warm_up_ns:
            self._at_warm_up = {name: self.meters[0][name].copy() for name in CUMULATIVE}
        record(
            self._block_rows,
            self._market_rows,
            self._pool_rows,
            self._index,
            self.meters,
            self._venues,
            self._logs,
            self._pools,
            blocks,
            paths,
            gas_token_price,
        )
        if self.scenario.options.count:
            self.options.record(int(blocks["time"][0]))
        self._index += 1
        if self._index == CHUNK:
            self._full_blocks.append(self._block_rows)
            self._full_markets.append(self._market_rows)
            if self.scenario.pools:
                self._full_pools.append(self._pool_rows)
            self._rows_full += CHUNK
            self._new_chunk()
        if self._keep and (
            self._logs["count"][0] - self._trades_kept >= DRAIN_AT
            or self.meters["tape_count"][0] - self._transactions_kept >= DRAIN_AT
        ):
            self.drain()
        if self.meters["liquidations_seen"][0] - self._liquidations_kept >= LIQUIDATIONS // 2:
            self._drain_liquidations()

    def latest_value_micro_usd(self) -> int:
        """What changed hands in trades of the block recorded last, in micro-dollars."""
        return int(self.meters["value"][0])

    def latest(self) -> tuple[Any, Any]:
        """Rows of the block recorded last: its own, and those of the instruments after it."""
        if self._index:
            return self._block_rows[self._index - 1], self._market_rows[self._index - 1]
        return self._full_blocks.arrays[-1][-1], self._full_markets.arrays[-1][-1]

    def forget(self) -> None:
        """Let go of all rows of earlier blocks but the last few thousand: memory is flat, and summaries are of these.

        For markets that run for as long as somebody watches; the number of rows counts those that are forgotten.
        """
        for pieces in (self._full_blocks, self._full_markets, self._full_pools):
            del pieces.arrays[:-1]
        self.options.forget()

    def _drain_liquidations(self) -> None:
        log = self._venues[0]["liquidations"]
        count = int(log["count"])
        self._liquidations.append(log["entries"][np.arange(self._liquidations_kept, count) & (LIQUIDATIONS - 1)])
        self._liquidations_kept = count

    def drain(self) -> None:
        """Move what the rings hold to the tapes."""
        if not self._keep:
            return
        self._trades.append(trades_since(self._logs[0], self._trades_kept))
        self._trades_kept = int(self._logs["count"][0])
        meter = self.meters[0]
        count = int(meter["tape_count"])
        self._transactions.append(meter["tape"][np.arange(self._transactions_kept, count) & (TAPE - 1)])
        self._transactions_kept = count

    def close(self) -> None:
        """Drain the rings and finish the files."""
        self.drain()
        self._trades.close()
        self._transactions.close()
        if self.scenario.margin.liquidations:
            self._drain_liquidations()
            self._liquidations.close()

    @property
    def rows(self) -> int:
        """Number of blocks recorded."""
        return self._rows_full + self._index

    def since_warm_up(self) -> dict[str, npt.NDArray[Any]]:
        """What the meter has added up since the end of the warm-up."""
        meter = self.meters[0]
        before = self._at_warm_up
        if before is None:
            return {name: np.zeros_like(meter[name]) for name in CUMULATIVE}
        return {name: _difference(meter[name], before[name]) for name in CUMULATIVE}

    def block_rows(self) -> npt.NDArray[Any]:
        """Rows of all blocks, of type ``BLOCK_ROW``."""
        return np.concatenate([*self._full_blocks.arrays, self._block_rows[: self._index]])

    def market_rows(self, instrument: int) -> npt.NDArray[Any]:
        """Rows of an instrument after each block, of type ``MARKET_ROW``."""
        full = (markets[:, instrument] for markets in self._full_markets.arrays)
        return np.concatenate([*full, self._market_rows[: self._index, instrument]])

    def pool_rows(self, pool: int) -> npt.NDArray[Any]:
        """Rows of a pool after each block, of type ``POOL_ROW``."""
        full = (pools[:, pool] for pools in self._full_pools.arrays)
        return np.concatenate([*full, self._pool_rows[: self._index, pool]])

    def blocks(self) -> pd.DataFrame:
        """One row per block; columns of the market carry the instrument's name if there are several, and the pool's."""
        frames = [pd.DataFrame(self.block_rows())]
        if not self.scenario.margin.liquidations:
            frames[0] = frames[0].drop(columns=list(LIQUIDATION_COLUMNS))
        if self.scenario.venue.settlement == "immediate":
            frames[0] = frames[0].drop(columns=list(CLEARING_COLUMNS))
        if self.scenario.chain.blobs == "none":
            frames[0] = frames[0].drop(columns=list(BLOB_COLUMNS))
        several = len(self.scenario.instruments) > 1
        for number, instrument in enumerate(self.scenario.instruments):
            frame = pd.DataFrame(self.market_rows(number)).drop(columns="instrument")
            frames.append(frame.add_prefix(f"{instrument.name}.") if several else frame)
        for number, pool in enumerate(self.scenario.pools):
            frames.append(pd.DataFrame(self.pool_rows(number)).add_prefix(f"{pool.name}."))
        return pd.concat(frames, axis=1)

    def trades(self) -> pd.DataFrame:
        """One row per trade."""
        self.drain()
        return self._trades.frame()

    def transactions(self) -> pd.DataFrame:
        """One row per transaction that was included in a block or found unfunded."""
        self.drain()
        return self._transactions.frame()

    def liquidations(self) -> pd.DataFrame:
        """One row per liquidation; they are kept even where tapes are not."""
        self._drain_liquidations()
        return self._liquidations.frame()

    def _liquidation_columns(self, rows: npt.NDArray[Any]) -> pd.DataFrame:
        _, lots, names, _ = self._of_instruments(rows["instrument"], rows["listed"])
        return liquidation_columns(rows, lots, names)

    def _of_instruments(
        self, instruments: npt.NDArray[Any], times: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, npt.NDArray[Any]]]:
        """Tick, lot and name of what was traded in places at times (ns), and the number of its series."""
        options = self.scenario.options
        listed: list[InstrumentSettings | OptionSettings]
        listed = [*self.scenario.instruments, *[options] * options.count]
        ticks = np.array([one.tick_usd for one in listed])[instruments]
        lots = np.array([one.lot_size for one in listed])[instruments]
        names = np.array([*(one.name for one in self.scenario.instruments), *[""] * options.count])[instruments]
        if not options.count:
            return ticks, lots, names, {}
        of_series, numbers = self.options.listed_at(instruments, times)
        return ticks, lots, np.where(numbers >= 0, of_series, names), {"series": numbers}

    def _trade_columns(self, rows: npt.NDArray[Any]) -> pd.DataFrame:
        ticks, lots, names, columns = self._of_instruments(rows["instrument"], rows["time"])
        prices = rows["price"] * ticks
        if self.scenario.pools:
            # The price of a swap is not a whole number of ticks.
            swaps = rows["pool"] > 0
            prices = np.where(swaps, rows["notional"] * 1e-6 / np.where(swaps, rows["size"] * lots, 1.0), prices)
            columns["pool"] = np.array(["", *(pool.name for pool in self.scenario.pools)])[rows["pool"]]
        if self.scenario.margin.liquidations:
            # A position is taken over at the mark less a bonus, which is not a whole number of ticks either.
            closings = rows["cause"] > 0
            prices = np.where(closings, rows["notional"] * 1e-6 / np.where(closings, rows["size"] * lots, 1.0), prices)
            columns["cause"] = np.array(CAUSES)[rows["cause"]]
        return pd.DataFrame(
            {
                "time_s": rows["time"] * 1e-9,
                "block": rows["block"],
                "instrument": names,
                "price_usd": prices,
                "size": rows["size"] * lots,
                "side": np.where(rows["side"] > 0, "buy", "sell"),
                "maker": rows["maker"],
                "taker": rows["taker"],
                "maker_fee_usd": rows["maker_fee"] * 1e-6,
                "taker_fee_usd": rows["taker_fee"] * 1e-6,
                "external_price_usd": rows["external_price"],
                **columns,
            }
        )

    def _transaction_columns(self, rows: npt.NDArray[Any]) -> pd.DataFrame:
        of_market = (rows["kind"] > TRANSFER) & (rows["kind"] < POST)
        ticks, lots, names, columns = self._of_instruments(np.where(of_market, rows["instrument"], 0), rows["time"])
        return pd.DataFrame(
            {
                "time_s": rows["time"] * 1e-9,
                "block": rows["block"],
                "decided_s": rows["decided"] * 1e-9,
                "kind": np.array(KINDS)[rows["kind"]],
                "status": np.array(STATUSES)[rows["status"]],
                "sender": rows["sender"],
                "nonce": rows["nonce"],
                "gas_used": rows["gas_used"],
                "bytes": rows["bytes"],
                "base_fee_wei": rows["base_fee"],
                "tip_wei": rows["tip"],
                "instrument": np.where(of_market, names, ""),
                "side": np.where(of_market, rows["side"], 0),
                "price_usd": np.where(of_market, rows["price"] * ticks, np.nan),
                "size": np.where(of_market, rows["size"] * lots, np.nan),
                "filled": np.where(of_market, np.maximum(rows["filled"], 0) * lots, np.nan),
                **columns,
            }
        )
