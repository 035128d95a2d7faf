"""A chain: it makes blocks out of what is pending, prices their space, and knows nothing of what is traded.

The order of a block is: :meth:`Chain.open` sets the header, agents submit, :meth:`Chain.fill` picks the transactions, a state
machine executes them, :meth:`Chain.close` prices the next block and forgets this one.
"""

import math
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt

from blockspace.network.block import BLOCK, expire_pending, fill_block, release_block
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_exponential, stream_key
from blockspace.network.mempool import new_mempool
from blockspace.network.ordering import ORDERING_POLICIES
from blockspace.network.settings import ChainSettings, FeeMarketSettings, MempoolSettings, TopologySettings
from blockspace.network.topology import build_topology, path_tables, pick_proposer, stake_shares
from blockspace.network.transaction import ACCESS_POINTS

NS = 1_000_000_000


@kernel
def _open_block(blocks, time, number, cumulative_stake, key, latency, seconds_per_byte, hops, accounts):
    """Set the header of a block: its time and number, its producer and the producer's paths to the access points."""
    block = blocks[0]
    block.time = time
    block.number = number
    producer = pick_proposer(cumulative_stake, key, number)
    block.producer = producer
    block.producer_account = accounts[producer]
    for access in range(block.access_points):
        block.latency[access] = latency[access, producer]
        block.seconds_per_byte[access] = seconds_per_byte[access, producer]
        block.hops[access] = hops[access, producer]


class Chain:
    """One chain with its topology, mempool, fee market and clock.

    Parameters
    ----------
    chain, fee_market, topology, mempool
        Settings.
    seed
        Seed of the run.

    Attributes
    ----------
    graph : networkx.Graph
        The topology.
    access_points : tuple of str
        Names of the places where agents sit; the last is next to the first validator.
    blocks, pools : numpy.ndarray
        One-element record arrays: the block under construction and the mempool.
    next_time_ns : int
        When the next block comes.
    """

    def __init__(
        self,
        chain: ChainSettings,
        fee_market: FeeMarketSettings,
        topology: TopologySettings,
        mempool: MempoolSettings,
        seed: int,
    ) -> None:
        self.settings = chain
        self.fee_rule = fee_market.fee_rule()
        self.rank = ORDERING_POLICIES[chain.ordering]
        self.graph: nx.Graph = build_topology(
            topology.validators,
            topology.regions,
            topology.stake_concentration,
            topology.validator_bandwidth_mbps,
            topology.home_validator_share,
            seed,
            home_bandwidth_mbps=topology.home_bandwidth_mbps,
        )
        tables = path_tables(self.graph)
        self.access_points = tables.access
        if len(self.access_points) > ACCESS_POINTS:
            raise ValueError(f"there are {len(self.access_points)} access points; there may be {ACCESS_POINTS}")
        self.stake = stake_shares(self.graph)
        self._cumulative_stake = np.cumsum(self.stake)
        self._latency = np.rint(tables.latency_ns * topology.latency_scale).astype(np.int64)
        self._seconds_per_byte = tables.seconds_per_byte * min(topology.latency_scale, 1.0)
        self._hops = (tables.hops * (topology.latency_scale > 0)).astype(np.int64)
        self.producer_accounts = np.zeros(len(self.stake), np.uint32)
        self._proposer_key = np.uint64(stream_key(seed, "chain/proposer"))
        self._arrival_key = stream_key(seed, "chain/block_arrivals")

        self.pools = new_mempool(mempool.capacity, stream_key(seed, "chain/ties"))
        self.blocks = np.zeros(1, BLOCK)
        block = self.blocks[0]
        block["gas_limit"] = chain.gas_limit
        block["byte_limit"] = chain.byte_limit
        block["base_fee"] = self.fee_rule.initial_base_fee
        block["access_points"] = len(self.access_points)
        block["verification_ns_per_gas"] = chain.verification_ns_per_gas
        self.base_fee = self.fee_rule.initial_base_fee
        self.number = 0
        self.time_ns = 0
        self._interval_ns = max(round(chain.block_time_s * NS), 1)
        self.next_time_ns = self._following(0)

    def _following(self, time_ns: int) -> int:
        """Time of the block after one at ``time_ns``."""
        if self.settings.block_arrivals == "slots":
            return time_ns + self._interval_ns
        gap = draw_exponential(self._arrival_key, 0, self.number)
        return time_ns + max(math.ceil(gap * self._interval_ns), 1)

    def longest_latency_ns(self) -> int:
        """One-way latency of the slowest path in use."""
        return int(self._latency.max())

    def latency_ns(self, access: int) -> npt.NDArray[np.int64]:
        """One-way latency from an access point to each validator."""
        return self._latency[access]

    def skip_empty_blocks(self, until_ns: int) -> int:
        """Let the slots before ``until_ns`` in which nothing can happen pass at once; returns how many passed.

        Only for fixed slots: where blocks come at random times, each is made.
        """
        if self.settings.block_arrivals != "slots" or until_ns <= self.next_time_ns:
            return 0
        count = (until_ns - self.next_time_ns) // self._interval_ns
        if count > 0:
            self.next_time_ns += count * self._interval_ns
            self.number += count
            self.base_fee = self.fee_rule.after_empty_blocks(self.base_fee, count, self.settings.gas_limit)
            self.blocks[0]["base_fee"] = self.base_fee
        return count

    def open(self) -> None:
        """Begin the next block: set its header."""
        self.time_ns = self.next_time_ns
        self.number += 1
        _open_block(
            self.blocks, self.time_ns, self.number, self._cumulative_stake, self._proposer_key,
            self._latency, self._seconds_per_byte, self._hops, self.producer_accounts,
        )

    def fill(self) -> None:
        """Pick the transactions of the block from the mempool, in the order of the ordering policy."""
        expire_pending(self.pools, self.blocks)
        self.rank(self.pools, self.blocks)
        fill_block(self.pools, self.blocks)

    def price_next(self, gas_used: int) -> int:
        """Base fee of the next block, in wei per gas, after one that used ``gas_used``."""
        self.base_fee = self.fee_rule.after_block(self.base_fee, gas_used, self.settings.gas_limit)
        return self.base_fee

    def close(self) -> None:
        """Forget the block's transactions and look ahead to the next block."""
        release_block(self.pools, self.blocks)
        self.next_time_ns = self._following(self.time_ns)
