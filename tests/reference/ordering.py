"""Ordering policies: what comes first has the highest score, and among equals the earliest arrival."""

from .constants import CANCEL, PLACE, POST_ONLY, QUOTE


def takes_nothing(transaction):
    """Whether a transaction can only withdraw orders, or rest them."""
    if transaction.kind == CANCEL:
        return True
    if transaction.kind == QUOTE and not any(price > 0 for price in transaction.ladder):
        return True
    return transaction.kind in (PLACE, QUOTE) and transaction.style == POST_ONLY


def by_priority_fee(transaction, base_fee):
    return transaction.effective_tip(base_fee)


def by_arrival(transaction, base_fee):
    return 0


def at_random(transaction, base_fee):
    return -transaction.tie


def cancels_first(transaction, base_fee):
    return 2**62 if takes_nothing(transaction) else transaction.effective_tip(base_fee)


POLICIES = {
    "priority_fee": by_priority_fee,
    "first_come_first_served": by_arrival,
    "random_order": at_random,
    "cancels_first": cancels_first,
}
WITH_BUNDLES = ("priority_fee",)
"""Policies under which builders put bundles around their targets."""
WITHOUT_TIPS = ("first_come_first_served", "random_order")
"""Policies under which tips buy nothing."""
