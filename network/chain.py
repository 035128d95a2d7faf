"""A chain: it makes blocks out of what is pending, prices their space, and knows nothing of what is traded.

The order of a block is: :meth:`Chain.open` sets the header, agents submit, :meth:`Chain.fill` picks the transactions
and finds out whether the block counts, a state machine executes them, :meth:`Chain.close` forgets this one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar

import networkx as nx
import numpy as np
import numpy.typing as npt

from blockspace.network.attestation import Attestation
from blockspace.network.blob_market import FORKS, blob_base_fee, excess_for, next_excess
from blockspace.network.block import (
    BLOCK,
    earliest_arrival,
    expire_pending,
    fill_block,
    plan_block,
    release_block,
    take_block,
)
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_exponential, stream_key
from blockspace.network.faults import FaultSettings, Interval, intervals, is_within, past
from blockspace.network.finality import QUORUM, final_at_ns
from blockspace.network.gossip import GossipNetwork, gossip_network
from blockspace.network.mempool import new_mempool
from blockspace.network.ordering import ORDERING_POLICIES
from blockspace.network.settings import (
    AttestationSettings,
    ChainSettings,
    FeeMarketSettings,
    MempoolSettings,
    TimingGameSettings,
    TopologySettings,
)
from blockspace.network.stale_blocks import StaleBlocks
from blockspace.network.state import Stateful
from blockspace.network.timing_games import TimingGames
from blockspace.network.topology import (
    UNREACHABLE_NS,
    PathTables,
    build_topology,
    path_tables,
    pick_proposer,
    stake_reach_ns,
    stake_shares,
)
from blockspace.network.transaction import ACCESS_POINTS, GAS_PER_BLOB, MILLIWEI, TO_PRODUCER

NS = 1_000_000_000

PRODUCER = np.dtype(
    [
        ("account", "u4"),
        ("latency", "i8", (ACCESS_POINTS,)),  # ns, from there to it
        ("latency_out", "i8", (ACCESS_POINTS,)),  # ns, from it to there
        ("seconds_per_byte", "f8", (ACCESS_POINTS,)),
        ("hops", "i8", (ACCESS_POINTS,)),
    ],
    align=True,
)
"""A validator or sequencer: where its tips go, and its paths to the access points."""


@kernel
def _open_block(blocks, time, number, cumulative_stake, key, producers):
    """Set the header of a block: its time and number, its producer and the producer's paths to the access points."""
    block = blocks[0]
    block.time = time
    block.number = number
    block.producer = pick_proposer(cumulative_stake, key, number)
    producer = producers[block.producer]
    block.producer_account = producer.account
    block.proposer_account = producer.account
    block.data_account = producer.account
    block.route = TO_PRODUCER
    if block.producer_takes_base_fee != 0:
        block.base_fee_account = producer.account
    for access in range(block.access_points):
        block.latency[access] = producer.latency[access]
        block.latency_out[access] = producer.latency_out[access]
        block.seconds_per_byte[access] = producer.seconds_per_byte[access]
        block.hops[access] = producer.hops[access]


@lru_cache(maxsize=16)
def _build(topology: TopologySettings, seed: int) -> tuple[nx.Graph, PathTables]:
    """Topology and paths of a seed; the runs of a sweep that share them in one process share the work."""
    graph = build_topology(
        topology.validators,
        topology.regions,
        topology.stake_concentration,
        topology.validator_bandwidth_mbps,
        topology.home_validator_share,
        seed,
        home_bandwidth_mbps=topology.home_bandwidth_mbps,
        home_download_mbps=topology.home_download_mbps,
        peers=topology.peers,
    )
    return nx.freeze(graph), path_tables(graph)


@dataclass(frozen=True)
class Partition:
    """Who loses the rest of the network, and when.

    Attributes
    ----------
    interval
        From when to when, in ns.
    validators
        Whether each validator is cut off.
    access
        Numbers of the access points that are.
    """

    interval: Interval
    validators: npt.NDArray[np.bool_]
    access: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Censorship:
    """Whom the producer of blocks keeps out, and when.

    Attributes
    ----------
    interval
        From when to when, in ns.
    access
        Numbers of the access points from which it takes nothing.
    """

    interval: Interval
    access: npt.NDArray[np.int64]


class Chain(Stateful):
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
        The topology; it is frozen.
    access_points : tuple of str
        Names of the places where agents sit; the last is next to the first validator.
    between_ns : numpy.ndarray
        One-way latency between two access points in ns, shape (access points, access points).
    blocks, pools : numpy.ndarray
        One-element record arrays: the block under construction and the mempool.
    next_time_ns : int
        When the next block comes.
    attestation : Attestation or None
        When a block comes too late to count, if it can.
    forks : StaleBlocks or None
        Which blocks are found beside another one, if they can be.
    timing : TimingGames or None
        Who waits before closing a block, if somebody may.
    missed : bool
        Whether the block under construction does not count: it comes too late, or beside another one.
    """

    CONSTANTS: ClassVar = (
        "settings",
        "policy",
        "graph",
        "blob_fork",
        "_outages",
        "_partitions",
        "_censorships",
        "_votes_ns",
        "lowest_base_fee",
    )

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
        self.policy = ORDERING_POLICIES[chain.ordering]
        self.graph, tables = _build(topology, seed)
        self.access_points = tables.access
        if len(self.access_points) >= ACCESS_POINTS:
            raise ValueError(f"there are {len(self.access_points)} access points; there may be {ACCESS_POINTS - 1}")
        self.stake = stake_shares(self.graph)
        self._cumulative_stake = np.cumsum(self.stake)
        self.producers = np.zeros(len(self.stake), PRODUCER)
        used = slice(len(self.access_points))
        scale = topology.latency_scale
        self.producers["latency"][:, used] = np.rint(tables.latency_ns.T * scale)
        self.producers["latency_out"] = self.producers["latency"]
        if scale > 0:
            self.producers["seconds_per_byte"][:, used] = tables.seconds_per_byte.T
            self.producers["hops"][:, used] = tables.hops.T
        self.between_ns = np.rint(tables.between_ns * scale).astype(np.int64)
        self._shortest_latency = self.producers["latency"].min(axis=0)
        self._proposer_key = np.uint64(stream_key(seed, "chain/proposer"))
        self._arrival_key = np.uint64(stream_key(seed, "chain/block_arrivals"))

        self.pools = new_mempool(mempool.capacity, stream_key(seed, "chain/ties"))
        self.blocks = np.zeros(1, BLOCK)
        block = self.blocks[0]
        block["gas_limit"] = chain.gas_limit
        block["byte_limit"] = chain.byte_limit
        block["base_fee"] = self.fee_rule.initial_base_fee
        block["access_points"] = len(self.access_points)
        block["shortest_latency"] = self._shortest_latency
        block["producer_takes_base_fee"] = not self.fee_rule.burns_base_fee
        block["verification_ns_per_gas"] = chain.verification_ns_per_gas
        block["tips_buy_nothing"] = not self.policy.tips_count
        block["revert_protection"] = chain.revert_protection
        block["data_price"] = round(fee_market.data_fee_wei_per_byte * MILLIWEI)
        self.base_fee = self.fee_rule.initial_base_fee
        self.blob_fork = FORKS.get(chain.blobs)
        self.excess_blob_gas = 0
        if self.blob_fork is not None:
            self.excess_blob_gas = excess_for(chain.initial_blob_base_fee_wei, self.blob_fork)
            block["blob_limit"] = self.blob_fork.maximum
            block["blob_base_fee"] = blob_base_fee(self.excess_blob_gas, self.blob_fork)
        self.number = 0
        self.time_ns = 0
        self._latency_scale = scale
        self._seed = seed
        self.attestation: Attestation | None = None
        self.forks: StaleBlocks | None = None
        self.timing: TimingGames | None = None
        self.missed = False
        self._slot_ns = 0  # of the next block, where somebody may wait
        self._interval_ns = max(round(chain.block_time_s * NS), 1)
        self._outages: tuple[Interval, ...] = ()
        self._partitions: list[Partition] = []
        self._censorships: list[Censorship] = []
        self._mean_votes_ns: int | None = None  # until it is asked for, and where stake has moved since
        self._coming_ns = 0  # time of the block after this one, in fixed slots or at random
        self.next_time_ns = self._following(0)

    def _following(self, time_ns: int) -> int:
        """Time of the block after one at ``time_ns``; there is none in an outage."""
        if self.settings.block_arrivals == "slots":
            return self._next_slot(time_ns + self._interval_ns)
        gap = draw_exponential(self._arrival_key, 0, self.number)
        return past(self._outages, time_ns + max(math.ceil(gap * self._interval_ns), 1))

    def _next_slot(self, slot_ns: int) -> int:
        """This slot, or the first one after the outage that it lies in."""
        if not self._outages:
            return slot_ns
        resumed = past(self._outages, slot_ns)
        return slot_ns + -(-(resumed - slot_ns) // self._interval_ns) * self._interval_ns

    def break_down(self, faults: Sequence[FaultSettings]) -> None:
        """Have the chain stand still, or cut off or keep out part of it, as the faults say; before the first block."""
        self._outages = intervals(faults, "outage", "crash")
        self._partitions = [self._partition(fault) for fault in faults if fault.kind == "partition"]
        self._censorships = [
            Censorship(fault.interval, np.flatnonzero(self._is_in(fault.regions)))
            for fault in faults
            if fault.kind == "censorship"
        ]
        self.next_time_ns = self._next_slot(self.next_time_ns)

    def _is_in(self, regions: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Whether each access point is in one of the regions; express twins are where the others are."""
        region_of = nx.get_node_attributes(self.graph, "region")
        access = np.array([region_of[name] in regions for name in self.access_points])
        return np.resize(access, int(self.blocks[0]["access_points"]))

    def _partition(self, fault: FaultSettings) -> Partition:
        """The side of a partition with less stake, which is the one that loses the other."""
        regions = nx.get_node_attributes(self.graph, "region")
        validators = np.array([regions[f"validator/{number}"] in fault.regions for number in range(len(self.stake))])
        access = self._is_in(fault.regions)
        if self.stake[validators].sum() > 0.5:
            validators, access = ~validators, ~access
        return Partition(fault.interval, validators, np.flatnonzero(access))

    @cached_property
    def _votes_ns(self) -> npt.NDArray[np.int64]:
        """Time until the votes of two thirds of all stake are known, for each producer, in ns."""
        return stake_reach_ns(self.graph, QUORUM)

    @property
    def voting_ns(self) -> int:
        """The same from a producer drawn by stake."""
        if self._mean_votes_ns is None:
            self._mean_votes_ns = round(float(self.stake @ self._votes_ns) * self._latency_scale)
        return self._mean_votes_ns

    def final_at_ns(self, time_ns: int) -> int:
        """Time in ns at which a block of this time is final; see :mod:`blockspace.network.finality`."""
        silences = [
            partition.interval for partition in self._partitions if self.stake[~partition.validators].sum() < QUORUM
        ]
        return final_at_ns(
            time_ns,
            self.settings.checkpoint_blocks * self._interval_ns,
            self.settings.final_checkpoints,
            self.voting_ns,
            sorted([*silences, *self._outages]),
        )

    def _split(self) -> bool:
        """Cut off whoever is on the smaller side of a partition; returns whether the block's producer is there."""
        block = self.blocks[0]
        for partition in self._partitions:
            if is_within([partition.interval], self.time_ns):
                if partition.validators[int(block["producer"])]:
                    return True
                for name in ("latency", "latency_out"):
                    block[name][partition.access] = UNREACHABLE_NS
        return False

    def _censor(self) -> None:
        """Have nothing reach the block's producer from where it takes nothing; what it says gets there as ever."""
        for censorship in self._censorships:
            if is_within([censorship.interval], self.time_ns):
                self.blocks[0]["latency"][censorship.access] = UNREACHABLE_NS

    def kept_out(self) -> npt.NDArray[np.bool_]:
        """From which access points the producer of the block under construction takes nothing, by its own will."""
        out = np.zeros(ACCESS_POINTS, np.bool_)
        for censorship in self._censorships:
            if is_within([censorship.interval], self.time_ns):
                out[censorship.access] = True
        return out

    def attest(self, settings: AttestationSettings, count_from_ns: int = 0) -> None:
        """Let blocks that reach too little stake by a deadline not count; to be called before the first block."""
        self.attestation = Attestation(settings, self._gossip(), self._seed, count_from_ns)

    def fork(self, count_from_ns: int = 0) -> None:
        """Let blocks not count that are found by who lacks the newest one; to be called before the first block."""
        self.forks = StaleBlocks(self._gossip(), count_from_ns)

    def _gossip(self) -> GossipNetwork:
        return gossip_network(self.graph, self.settings.verification_ns_per_gas, self._latency_scale)

    def resize(self, gas_limit: int) -> None:
        """Change the gas that a block can hold, from the next block on; to be called between two blocks.

        A chain that was resized is not what its scenario says, so that checkpoints of it do not restore.
        """
        self.settings = self.settings.model_copy(update={"gas_limit": gas_limit})
        self.blocks[0]["gas_limit"] = gas_limit

    def delegate(self, stake: npt.NDArray[np.float64]) -> None:
        """Give validators other shares of all stake from the next block on; who has none makes no blocks."""
        self.stake[:] = stake
        self._cumulative_stake[:] = np.cumsum(self.stake)
        self._mean_votes_ns = None
        if self.attestation is not None:
            self.attestation.stake[: len(stake)] = stake

    def play_timing_games(self, settings: TimingGameSettings, count_from_ns: int = 0) -> None:
        """Let some validators wait before closing their blocks; to be called after :meth:`attest`."""
        if self.attestation is None:
            raise ValueError("validators may wait only where blocks can come too late; call attest first")
        deadline_ns = self.attestation.deadline_ns
        self.timing = TimingGames(settings, len(self.stake), deadline_ns, self._seed, count_from_ns)
        self._slot_ns = self._interval_ns
        self.next_time_ns = self._slot_ns + self._coming_delay_ns(self.timing)

    def _coming_delay_ns(self, timing: TimingGames) -> int:
        """Time into the next slot at which its block will be closed."""
        return timing.delay_ns(
            self.number + 1, pick_proposer(self._cumulative_stake, self._proposer_key, self.number + 1)
        )

    def open_express_lane(self, delay_ns: int) -> None:
        """Delay what comes in from every access point, and give each an express twin that is not delayed.

        The twin of access point ``n`` is ``n + len(access_points)``. What goes out is not delayed. To be called before
        the first block.
        """
        count = len(self.access_points)
        most = (ACCESS_POINTS - 1) // 2
        if count > most:
            raise ValueError(f"there are {count} access points; with an express lane there may be {most}")
        ordinary, express = slice(count), slice(count, 2 * count)
        for name in ("latency", "latency_out", "seconds_per_byte", "hops"):
            self.producers[name][:, express] = self.producers[name][:, ordinary]
        self.producers["latency"][:, ordinary] += delay_ns
        self.between_ns = np.tile(self.between_ns, (2, 2))
        self._shortest_latency = self.producers["latency"].min(axis=0)
        block = self.blocks[0]
        block["access_points"] = 2 * count
        block["shortest_latency"] = self._shortest_latency

    def build_at(self, relay: int) -> None:
        """Have blocks built at an access point, by others than their producers; to be called before the first block.

        Whatever is to be in a block reaches its producer by way of that place. Builders offer what a producer alone
        does not: they protect those from reverts who ask for it, and put bundles around their targets if the ordering
        policy allows it.
        """
        used = slice(len(self.access_points))
        latency = self.producers["latency"]
        latency[:, used] = self.between_ns[:, relay] + latency[:, [relay]]
        self._shortest_latency = latency.min(axis=0)
        block = self.blocks[0]
        block["shortest_latency"] = self._shortest_latency
        block["protection_on_demand"] = True
        block["bundles_offered"] = self.policy.bundles

    def latency_ns(self, access: int) -> npt.NDArray[np.int64]:
        """Latency from an access point to each validator, with the delay of those who do not hold an express lane."""
        return np.asarray(self.producers["latency"][:, access])

    @property
    def inside_access(self) -> int:
        """Number of the access point inside whoever makes the block, without latency: the last that there may be."""
        return ACCESS_POINTS - 1

    @cached_property
    def lowest_base_fee(self) -> int:
        """Base fee in wei per gas to which the rule comes down if nobody wants the space."""
        return self.fee_rule.lowest_base_fee(self.settings.gas_limit)

    def skip_empty_blocks(self, until_ns: int) -> int:
        """Let the slots before ``until_ns`` in which nothing can happen pass at once; returns how many passed.

        No slot passes from the moment at which a pending transaction may have arrived. Only for fixed slots: where
        blocks come at random times or may be missed, or blobs have a price of their own, each is made.
        """
        may_be_missed = self.attestation is not None
        one_by_one = self.settings.block_arrivals != "slots" or may_be_missed or self.blob_fork is not None
        if one_by_one or until_ns <= self.next_time_ns:
            return 0
        until_ns = min([until_ns, *(start for start, _ in self._outages if start >= self.next_time_ns)])
        arrival = int(earliest_arrival(self.pools, self.blocks, self.next_time_ns, self.lowest_base_fee))
        count = (min(until_ns, arrival) - self.next_time_ns) // self._interval_ns
        if count <= 0:
            return 0
        before_ns, self.next_time_ns = self.next_time_ns, self._next_slot(self.next_time_ns + count * self._interval_ns)
        self.number += count
        seconds = self.next_time_ns // NS - before_ns // NS
        self.base_fee = self.fee_rule.after_empty_blocks(self.base_fee, count, self.settings.gas_limit, seconds)
        self.blocks[0]["base_fee"] = self.base_fee
        return count

    def open(self) -> None:
        """Begin the next block: set its header."""
        self.time_ns = self.next_time_ns
        self.number += 1
        _open_block(self.blocks, self.time_ns, self.number, self._cumulative_stake, self._proposer_key, self.producers)
        self._coming_ns = self._following(self.time_ns)
        self.missed = self._split() if self._partitions else False
        if self._censorships:
            self._censor()
        if self.forks is not None and not self.missed:
            self.missed = self.forks.is_stale(self.time_ns, int(self.blocks[0]["producer"]))

    def rank(self) -> None:
        """Drop what has expired and rank the rest, so that the block can be planned."""
        expire_pending(self.pools, self.blocks)
        self.policy.rank(self.pools, self.blocks)

    def fill(self) -> None:
        """Pick the transactions of the block from the mempool, in the order of the policy; none if it is missed."""
        if self.attestation is not None and not self.missed:
            self.rank()
            plan_block(self.pools, self.blocks)
            self.missed = self._is_late(self.attestation)
            if not self.missed:
                take_block(self.pools, self.blocks)
        elif self.missed:
            pass
        elif self.policy.fill is not None:
            self.policy.fill(self.pools, self.blocks)
        else:
            self.rank()
            fill_block(self.pools, self.blocks)
        if self.missed:
            self.blocks[0]["count"] = 0

    def _is_late(self, attestation: Attestation) -> bool:
        """Whether the planned block comes too late. What it will use is not known yet, but what it may."""
        block = self.blocks[0]
        delay_ns = 0 if self.timing is None else self.time_ns - self._slot_ns
        size, gas, blobs = int(block["bytes"]), int(block["gas_reserved"]), int(block["blobs"])
        return attestation.is_late(self.number, int(block["producer"]), delay_ns, size, gas, blobs)

    def price_next(self, gas_used: int) -> int:
        """Base fee of the next block, in wei per gas, after one that used ``gas_used``; sets that of blobs as well."""
        if self.blob_fork is not None:
            used = int(self.blocks[0]["blobs"]) * GAS_PER_BLOB
            self.excess_blob_gas = next_excess(self.excess_blob_gas, used, self.base_fee, self.blob_fork)
            self.blocks[0]["blob_base_fee"] = blob_base_fee(self.excess_blob_gas, self.blob_fork)
        self.base_fee = self.fee_rule.after_block(self.base_fee, gas_used, self.settings.gas_limit, self._seconds)
        return self.base_fee

    @property
    def _seconds(self) -> int:
        """Whole seconds by which the clock is further at the next block."""
        return self._coming_ns // NS - self.time_ns // NS

    def close(self, revenue_gwei: int = 0) -> None:
        """Forget the block's transactions and look ahead to the next block; who plays learns from its revenue."""
        release_block(self.pools, self.blocks)
        if self.missed:  # no block changes the fee, but time may
            self.base_fee = self.fee_rule.after_empty_blocks(self.base_fee, 0, self.settings.gas_limit, self._seconds)
            self.blocks[0]["base_fee"] = self.base_fee
        if self.forks is not None:
            producer, size, gas = (int(self.blocks[0][name]) for name in ("producer", "bytes", "gas_used"))
            self.forks.note(self.time_ns, producer, size, gas, self.missed)
        if self.attestation is not None:
            slot_ns = self.time_ns if self.timing is None else self._slot_ns
            self.attestation.note(slot_ns, int(self.blocks[0]["producer"]), self.missed)
        if self.timing is None:
            self.next_time_ns = self._coming_ns
            return
        producer, delay_ns = int(self.blocks[0]["producer"]), self.time_ns - self._slot_ns
        self.timing.learn(self._slot_ns, producer, delay_ns, revenue_gwei, self.missed)
        self._slot_ns += self._interval_ns
        self.next_time_ns = self._slot_ns + self._coming_delay_ns(self.timing)
