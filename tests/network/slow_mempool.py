"""The slow, obvious twin of mempool and block building, and what their tests share."""

from dataclasses import dataclass

import numpy as np

from blockspace.network import mempool
from blockspace.network.block import SMALLEST_GAS, expire_pending, fill_block
from blockspace.network.draws import draw_bits
from blockspace.network.mempool import NOBODY, OUTCOMES, SLOTS
from blockspace.network.ordering import rank_by_priority_fee
from blockspace.network.transaction import ANYWHERE, AT_TOP, AUTOMATIC_NONCE, NEVER

LATENCY = (0, 5, 40)
DEFAULTS = {
    "sender": 1,
    "decided": 0,
    "expires": int(NEVER),
    "max_fee": 100,
    "tip": 10,
    "gas": 21_000,
    "bytes": 100,
    "access": 0,
    "independent": False,
    "nonce": None,
    "placement": ANYWHERE,
}


def submit(pools, **fields):
    """Submit a transaction to the fast mempool: (outcome, slot)."""
    values = {**DEFAULTS, **fields}
    pool = pools[0]
    slot = int(mempool.draft(pool))
    transaction = pool["transactions"][slot]
    for name, value in values.items():
        if name != "nonce" or value is not None:
            transaction[name] = value
    if values["nonce"] is None:
        assert transaction["nonce"] == AUTOMATIC_NONCE
    return OUTCOMES[mempool.submit(pool, slot)], slot


def fill(pools, blocks, time, base_fee=0, gas_limit=30_000_000, byte_limit=10**9, rank=rank_by_priority_fee):
    """Expire, rank and fill; the slots that were picked, in order. They stay in use until `release_block`."""
    block = blocks[0]
    for name, value in (("time", time), ("base_fee", base_fee), ("gas_limit", gas_limit), ("byte_limit", byte_limit)):
        block[name] = value
    block["latency"][: len(LATENCY)] = LATENCY
    expire_pending(pools, blocks)
    rank(pools, blocks)
    fill_block(pools, blocks)
    return block["order"][: int(block["count"])].tolist()


@dataclass
class Pending:
    """A pending transaction. ``label`` is the slot in which the fast mempool keeps it, the last of the tie-breaks."""

    label: int
    sender: int
    decided: int
    expires: int
    max_fee: int
    tip: int
    gas: int
    bytes: int
    access: int
    independent: bool
    nonce: int | None
    placement: int = ANYWHERE
    sequence: int = 0
    tie: int = 0


class SlowMempool:
    def __init__(self, capacity, tie_key):
        self.capacity = capacity
        self.tie_key = tie_key
        self.pending = []
        self.next_nonce = {}
        names = ("submitted", "accepted", "replaced", "refused", "evicted", "expired", "included")
        self.counters = dict.fromkeys(names, 0)

    def chain(self, sender):
        """The sender's nonce-bound transactions in the order of their nonces."""
        chain = [one for one in self.pending if not one.independent and one.sender == sender]
        return sorted(chain, key=lambda one: one.nonce)

    def submit(self, new):
        """Hand in a transaction and say what became of it; nonce None asks for the next one."""
        self.counters["submitted"] += 1
        new.sequence = self.counters["submitted"]
        new.independent = new.independent or new.placement == AT_TOP
        new.tie = int(draw_bits(np.uint64(self.tie_key), new.sender, new.decided)) % 2**32
        outcome = self._replace(new) if not new.independent and new.nonce is not None else self._add(new)
        counter = outcome if outcome in ("accepted", "replaced") else "refused"
        self.counters[counter] += 1
        return outcome

    def _replace(self, new):
        for old in self.chain(new.sender):
            if old.nonce == new.nonce:
                if 100 * new.max_fee < 110 * old.max_fee or 100 * new.tip < 110 * old.tip:
                    return "underpriced"
                self.pending.remove(old)
                self.pending.append(new)
                return "replaced"
        return "no such nonce"

    def _add(self, new):
        if len(self.pending) >= self.capacity:
            fees = sorted(one.max_fee for one in self.pending)
            entry_fee = fees[len(fees) // 8]
            if new.max_fee <= entry_fee:
                return "pool full"
            self.counters["evicted"] += self._drop([one for one in self.pending if one.max_fee <= entry_fee])
        if not new.independent:
            new.nonce = self.next_nonce.get(new.sender, 0)
            self.next_nonce[new.sender] = new.nonce + 1
        self.pending.append(new)
        return "accepted"

    def _drop(self, unwanted):
        """Drop transactions, and with each the later ones of its sender; return how many went."""
        before = len(self.pending)
        for one in unwanted:
            if one.independent:
                self.pending.remove(one)
            elif one in self.pending:
                for follower in self.chain(one.sender):
                    if follower.nonce >= one.nonce:
                        self.pending.remove(follower)
                self.next_nonce[one.sender] = one.nonce
        return before - len(self.pending)

    def expire(self, time):
        self.counters["expired"] += self._drop([one for one in self.pending if one.expires < time])

    def fill(self, time, base_fee, gas_limit, byte_limit, latency):
        """Take what goes into a block: (transactions in order, gas, bytes, whether it is full, marginal tip)."""
        picked, passed_over, gas, size, full = [], [], 0, 0, False
        at_top = [one for one in self.pending if one.placement == AT_TOP]
        for one in sorted(at_top, key=lambda one: one.sequence):
            if gas + one.gas <= gas_limit and size + one.bytes <= byte_limit:
                gas, size = gas + one.gas, size + one.bytes
                picked.append(one)
                self.pending.remove(one)
                self.counters["included"] += 1
        first = len(picked)

        def effective_tip(one):
            return min(one.tip, one.max_fee - base_fee)

        def rank(one):
            return -effective_tip(one), one.decided + latency[one.access], one.tie, one.label

        while True:
            ready = [
                one
                for one in self.pending
                if one.placement == ANYWHERE
                and one not in passed_over
                and one.decided + latency[one.access] <= time
                and one.max_fee >= base_fee
                and (one.independent or self.chain(one.sender)[0] is one)
            ]
            if not ready:
                break
            if gas + SMALLEST_GAS > gas_limit:
                full = True
                break
            best = min(ready, key=rank)
            if gas + best.gas > gas_limit or size + best.bytes > byte_limit:
                passed_over.append(best)
                full = full or (best.gas <= gas_limit and best.bytes <= byte_limit)
                continue
            gas += best.gas
            size += best.bytes
            picked.append(best)
            self.pending.remove(best)
            self.counters["included"] += 1
        marginal_tip = min((effective_tip(one) for one in picked[first:]), default=0) if full else 0
        return picked, gas, size, full, marginal_tip


def check_mempool(pool, in_block=()):
    """Assert every invariant of a mempool; ``in_block`` are the slots picked for a block and not yet released."""
    count, free_count = int(pool["count"]), int(pool["free_count"])
    assert 0 <= count <= pool["capacity"], f"{count} transactions are pending; there may be {pool['capacity']}"
    pending = pool["pending"][:count]
    in_use = np.concatenate([pending, pool["free"][:free_count], np.asarray(in_block, np.uint32)])
    assert np.array_equal(np.sort(in_use), np.arange(SLOTS)), "a slot is lost or used twice"
    transactions = pool["transactions"][pending]
    assert np.array_equal(transactions["place"], np.arange(count)), "a transaction does not know its place"

    chained = transactions["independent"] == 0
    seen = 0
    for sender in np.unique(transactions["sender"][chained]):
        seen += _check_chain(pool, int(sender))
    assert seen == np.count_nonzero(chained), f"{seen} transactions are in chains; {chained.sum()} should be"
    without = np.setdiff1d(np.arange(len(pool["first"])), transactions["sender"][chained])
    assert (pool["first"][without] == NOBODY).all(), "a sender without transactions has a first one"
    assert (pool["last"][without] == NOBODY).all(), "a sender without transactions has a last one"

    left = sum(int(pool[name]) for name in ("included", "evicted", "expired"))
    assert pool["accepted"] == count + left, "accepted transactions are lost"
    outcomes = sum(int(pool[name]) for name in ("accepted", "replaced", "refused"))
    assert pool["submitted"] == outcomes, "a submission has no outcome"


def _check_chain(pool, sender):
    """Assert the links and nonces of one sender; return the number of its transactions."""
    slot, previous, nonce, length = int(pool["first"][sender]), int(NOBODY), None, 0
    while slot != NOBODY:
        transaction = pool["transactions"][slot]
        assert transaction["sender"] == sender, f"slot {slot} in the chain of {sender} is somebody else's"
        assert transaction["independent"] == 0, f"slot {slot} is independent and yet in the chain of {sender}"
        assert transaction["preceding"] == previous, f"slot {slot} of sender {sender} has a wrong link"
        assert nonce is None or transaction["nonce"] == nonce + 1, f"the nonces of sender {sender} have a gap"
        length += 1
        assert length <= pool["count"], f"the chain of sender {sender} goes round"
        previous, nonce, slot = slot, int(transaction["nonce"]), int(transaction["following"])
    assert pool["last"][sender] == previous, f"the chain of sender {sender} does not end at its last"
    assert pool["next_nonce"][sender] == nonce + 1, f"sender {sender} would skip or repeat a nonce"
    return length
