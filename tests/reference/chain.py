"""The chain's clock: when blocks come, who makes them, and what their space costs."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate

from blockspace.network.chain import Chain as PackagedChain
from blockspace.network.draws import stream_key

from .block import Block
from .draws import draw_exponential, draw_uniform
from .ordering import WITH_BUNDLES
from .timing_games import Attestation, Forks, Gossip, TimingGames


@dataclass
class Producer:
    """A validator or sequencer: the account of its tips, and its paths to the access points."""

    account: int
    stake: float
    latency: list[int]  # ns, from the access points
    latency_out: list[int]  # ns, to them
    seconds_per_byte: list[float]
    hops: list[int]


class Chain:
    def __init__(self, scenario, seed):
        self.settings = scenario.chain
        packaged = PackagedChain(scenario.chain, scenario.fee_market, scenario.topology, scenario.mempool, seed)
        self.fee_rule = scenario.fee_market.fee_rule()
        self.lowest_base_fee = packaged.lowest_base_fee
        self.access_points = packaged.access_points
        used = slice(len(self.access_points))
        self.producers = [
            Producer(
                0,
                float(stake),
                row["latency"][used].tolist(),
                row["latency"][used].tolist(),
                row["seconds_per_byte"][used].tolist(),
                row["hops"][used].tolist(),
            )
            for stake, row in zip(packaged.stake, packaged.producers, strict=True)
        ]
        if scenario.express_lane.round_s > 0:
            delay = round(scenario.express_lane.delay_s * 1e9)
            for producer in self.producers:
                producer.latency = [one + delay for one in producer.latency] + producer.latency
                for way in (producer.latency_out, producer.seconds_per_byte, producer.hops):
                    way += way
        self.between = packaged.between_ns.tolist()
        self.built = scenario.builders.count > 0
        if self.built:
            regions = scenario.topology.regions
            relay = regions.index(scenario.builders.relay_region or regions[0])
            for producer in self.producers:
                last = producer.latency[relay]
                producer.latency = [int(row[relay]) + last for row in packaged.between_ns]
        self.shortest_latency = [min(one) for one in zip(*(p.latency for p in self.producers), strict=True)]
        self.cumulative_stake = list(accumulate(producer.stake for producer in self.producers))
        self.proposer_key = stream_key(seed, "chain/proposer")
        self.arrival_key = stream_key(seed, "chain/block_arrivals")
        self.interval = max(round(self.settings.block_time_s * 10**9), 1)
        self.base_fee = self.fee_rule.initial_base_fee
        self.number = 0
        self.slot = self.next_time = self.following(0)
        self.attestation = self.timing = self.forks = None
        if self.settings.block_arrivals == "poisson":
            scale, verification = scenario.topology.latency_scale, scenario.chain.verification_ns_per_gas
            self.forks = Forks(Gossip(packaged.graph, verification, scale))
        if scenario.attestation.deadline_s > 0:
            scale, verification = scenario.topology.latency_scale, scenario.chain.verification_ns_per_gas
            self.attestation = Attestation(scenario.attestation, packaged.graph, verification, scale, seed)
        if scenario.timing_games.share > 0:
            deadline = self.attestation.deadline
            self.timing = TimingGames(scenario.timing_games, len(self.producers), deadline, seed)
            self.next_time += self.coming_delay()

    def following(self, time):
        """Time of the block after one at ``time`` (ns)."""
        if self.settings.block_arrivals == "slots":
            return time + self.interval
        gap = draw_exponential(self.arrival_key, 0, self.number)
        return time + max(math.ceil(gap * self.interval), 1)

    def proposer(self, number):
        """Number of the validator who proposes the block of this number."""
        ticket = draw_uniform(self.proposer_key, 0, number) * self.cumulative_stake[-1]
        return bisect_left(self.cumulative_stake, ticket)

    def coming_delay(self):
        return self.timing.delay(self.number + 1, self.proposer(self.number + 1))

    def is_missed(self, block):
        """Whether a block that has been planned comes too late to count."""
        if self.attestation is None:
            return False
        delay = self.next_time - self.slot if self.timing else 0
        producer = self.proposer(self.number)
        return self.attestation.is_late(self.number, producer, delay, block.bytes, block.gas_reserved)

    def is_stale(self):
        """Whether whoever finds the block has not got the newest one."""
        return self.forks is not None and self.forks.is_stale(self.next_time, self.proposer(self.number))

    def open_block(self):
        self.number += 1
        producer = self.producers[self.proposer(self.number)]
        gas_limit, byte_limit = self.settings.gas_limit, self.settings.byte_limit
        ordering = self.settings.ordering
        block = Block(self.number, self.next_time, self.base_fee, producer, gas_limit, byte_limit, ordering)
        block.protects_on_demand = self.built
        block.bundles_offered = self.built and ordering in WITH_BUNDLES
        return block

    def seconds(self):
        """Whole seconds by which the clock is further at the next block."""
        return self.following(self.next_time) // 10**9 - self.next_time // 10**9

    def price_next(self, gas_used):
        limit = self.settings.gas_limit
        self.base_fee = self.fee_rule.after_block(self.base_fee, gas_used, limit, self.seconds())
        return self.base_fee

    def let_time_pass(self):
        """Price what comes after a block that does not count."""
        self.base_fee = self.fee_rule.after_empty_blocks(self.base_fee, 0, self.settings.gas_limit, self.seconds())

    def close_block(self, revenue_gwei, block):
        if self.forks is not None and block is not None:
            self.forks.extend(self.next_time, self.proposer(self.number), block.bytes, block.gas_used)
        if self.timing is None:
            self.next_time = self.following(self.next_time)
            return
        self.timing.learn(self.proposer(self.number), self.next_time - self.slot, revenue_gwei)
        self.slot += self.interval
        self.next_time = self.slot + self.coming_delay()

    def skip_empty_blocks(self, until):
        """Let the slots before ``until`` pass in which nothing can happen; how many."""
        if self.settings.block_arrivals != "slots" or self.attestation or until <= self.next_time:
            return 0
        count = (until - self.next_time) // self.interval
        before = self.next_time
        self.next_time += count * self.interval
        self.number += count
        seconds = self.next_time // 10**9 - before // 10**9
        self.base_fee = self.fee_rule.after_empty_blocks(self.base_fee, count, self.settings.gas_limit, seconds)
        return count
