"""Who sees which of the swaps that are pending."""

from .constants import ANYWHERE, EXACT_IN, PUBLIC, SWAP, TO_PRODUCER

SWAPS_SEEN = 64


def list_pending_swaps(model):
    """Pending swaps that somebody may see, the largest in relation to their pool first."""
    if model.settings.chain.mempool == "encrypted":
        return []
    found = []
    for swap in model.mempool.pending.values():
        if swap.kind == SWAP and swap.price == 0 and swap.placement == ANYWHERE and swap.expires >= model.block.time:
            token = 1 if (swap.side > 0) == (swap.style == EXACT_IN) else 0
            share = swap.amount / max(float(model.feed.views[-1].pools[swap.pool].reserves[token]), 1.0)
            found.append((-share, swap.sequence, swap))
    return [swap for _, _, swap in sorted(found)[:SWAPS_SEEN]]


def has_travelled(model, swap, access, time):
    public = model.settings.chain.mempool == "public" and swap.route == PUBLIC
    return public and swap.decided + model.chain.between[swap.access][access] <= time


def has_arrived(model, swap):
    sent = swap.route in (PUBLIC, TO_PRODUCER)
    return sent and swap.decided + model.block.producer.latency[swap.access] <= model.block.time
