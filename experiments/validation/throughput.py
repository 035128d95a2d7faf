"""V7b: an overloaded chain carries what its scarcer resource allows, and no more.

With gas and bytes limited per second, throughput is
``min(gas/s / gas per transaction, bytes/s / bytes per transaction)``.
"""

import math
from functools import partial
from typing import Any

from blockspace.experiments.market import Market
from blockspace.experiments.validation import BARE, Row, bare_scenario, compare, mean_with_error, target
from blockspace.network.blob_market import FORKS, USABLE_BYTES_PER_BLOB
from blockspace.network.transaction import GAS_PER_BLOB

IDENTITY = "identity; sizes of blobs by Buterin et al. (2022)"
GAS = 125_000
SLOT_S = 12.0
ROLLUP_BLOCK_S = 0.1
ROLLUP_BYTES = 1_000
VALUE_GWEI = 0.01
"""Mean of what a unit of gas is worth to users of a rollup."""

TARGET_BLOBS = {name: FORKS[name].target for name in ("cancun", "prague", "bpo1", "bpo2")}
"""Target blobs per slot by fork (EIP-4844, EIP-7691, EIP-7892)."""


def throughput(gas_per_s: float, gas: float, bytes_per_s: float, size: float) -> tuple[float, str]:
    """Transactions per second that fit, and which resource is full.

    Parameters
    ----------
    gas_per_s, bytes_per_s
        Capacity.
    gas, size
        Gas and bytes of a transaction.

    Examples
    --------
    >>> throughput(2_500_000, 125_000, 100_000, 10_000)
    (10.0, 'bytes')
    """
    by_gas, by_bytes = gas_per_s / gas, bytes_per_s / size
    return (by_gas, "gas") if by_gas <= by_bytes else (by_bytes, "bytes")


def data_throughput(blobs: int, size: float = 100.0) -> float:
    """Transactions of ``size`` bytes per second that the data of ``blobs`` blobs per slot can hold.

    Examples
    --------
    >>> [int(data_throughput(blobs)) for blobs in TARGET_BLOBS.values()]
    [317, 634, 1058, 1481]
    """
    return blobs * USABLE_BYTES_PER_BLOB / SLOT_S / size


def overload(gas_limit: int, byte_limit: int, size: int, blocks: int, **chain: Any) -> tuple[float, set[str]]:
    """Send half as much again as fits; see what a block carries and which resource has no room for more.

    Returns
    -------
    tuple
        Transactions per block, and the resources that were full in every block.
    """
    block_time_s = chain.get("block_time_s", SLOT_S)
    fitting, _ = throughput(gas_limit, GAS, byte_limit, size)
    scenario = bare_scenario(
        {
            "chain": {"gas_limit": gas_limit, "byte_limit": byte_limit, **chain},
            "fee_market": {"rule": "fixed", "base_fee_wei": 0},
            "background_users": {
                "arrivals_per_s": 1.5 * fitting / block_time_s,
                "gas_mean": GAS,
                "bytes": size,
                "patience_s": 0.0,
            },
        }
    )
    market = Market(scenario, seed=750, tapes="none")
    market.run_for((blocks + 0.5) * block_time_s)
    carried = market.blocks()["transactions"]
    full = set()
    if ((carried + 1) * GAS > gas_limit).all():
        full.add("gas")
    if ((carried + 1) * size > byte_limit).all():
        full.add("bytes")
    return float(carried.mean()), full


@target("V7b")
def scarcer_resource(quick: bool) -> list[Row]:
    """Throughput follows gas or bytes, whichever binds, and changes over where theory says."""
    check = partial(compare, "V7b", source=IDENTITY)
    rows = []
    gas_limit, byte_limit, block_time_s = 60_000_000, 150_000, 3.7
    check_rate = partial(check, note="tolerance of one transaction a block")
    for size in (100, 250, 310, 315, 500, 1_000):
        theory, binding = throughput(gas_limit / block_time_s, GAS, byte_limit / block_time_s, size)
        blocks = 20 if quick else 200
        carried, full = overload(gas_limit, byte_limit, size, blocks, block_time_s=block_time_s)
        case = f"{size} bytes each"
        what, rate = f"transactions per s under overload: {case}", carried / block_time_s
        rows.append(check_rate(what, theory, rate, absolute=1.0 / block_time_s))
        what = f"blocks are full of {binding} and of nothing else (1 yes, 0 no): {case}"
        rows.append(check(what, 1, int(full == {binding})))
    for upgrade, blobs in TARGET_BLOBS.items():
        carried, _ = overload(10**10, blobs * USABLE_BYTES_PER_BLOB, 100, 2 if quick else 10)
        what = f"transactions of 100 bytes per s in the {blobs} blobs of {upgrade}"
        rows.append(check_rate(what, data_throughput(blobs), carried / SLOT_S, absolute=1.0 / SLOT_S))
    carried, error = _under_eip1559(2_000 if quick else 10_000)
    what = "swaps per s on Ethereum's 60 million gas under EIP-1559, whose target is half"
    rate, error = carried / SLOT_S, error / SLOT_S
    rows.append(check_rate(what, 20.0, rate, absolute=1.0 / SLOT_S, standard_error=error))
    return rows + _rollups(1_800.0 if quick else 14_400.0)


def _rollups(seconds: float) -> list[Row]:
    """A rollup that three times as many want to use as fit: limited by its gas, or by the blobs below it."""
    rows = []
    for upgrade, swaps_per_s in (("cancun", 50), ("prague", 50), ("bpo1", 50), ("bpo1", 200)):
        data_per_s = data_throughput(TARGET_BLOBS[upgrade], ROLLUP_BYTES)
        theory, binding = throughput(swaps_per_s * GAS, GAS, data_per_s * ROLLUP_BYTES, ROLLUP_BYTES)
        wanted = 3.0 * theory
        rate, blobs, fee_gwei = _rollup(upgrade, swaps_per_s, wanted, seconds)
        case = f"gas for {swaps_per_s} per s, blobs of {upgrade}, limited by {'gas' if binding == 'gas' else 'blobs'}"
        rows.append(compare("V7b", f"swaps per s on a rollup: {case}", theory, rate, relative=0.02, source=IDENTITY))
        share = theory / data_per_s
        what = f"blobs as a share of the target: {case}"
        rows.append(compare("V7b", what, share, blobs / TARGET_BLOBS[upgrade], relative=0.03, source=IDENTITY))
        if binding == "bytes":
            # What a blob costs is what leaves one user in three, at values that are exponential.
            wei = math.log(wanted / theory) * VALUE_GWEI * GAS / ROLLUP_BYTES
            clearing = wei * USABLE_BYTES_PER_BLOB / GAS_PER_BLOB
            what = f"base fee of blobs, gwei: {case}"
            rows.append(compare("V7b", what, clearing, fee_gwei, relative=0.05, source="Leonardos et al. (2021)"))
    return rows


def _rollup(upgrade: str, swaps_per_s: int, wanted_per_s: float, seconds: float) -> tuple[float, float, float]:
    """Transactions per second of a rollup, blobs of a block of its parent, and their mean base fee in gwei."""
    free = {"rule": "fixed", "base_fee_wei": 0, "wallet_tip_wei": 0}
    parent = {
        **BARE,
        "name": "parent",
        "chain": {"block_time_s": SLOT_S, "blobs": upgrade, "initial_blob_base_fee_wei": 10**9},
        "fee_market": free,
    }
    scenario = bare_scenario(
        {
            "name": "rollup",
            "chain": {"block_time_s": ROLLUP_BLOCK_S, "gas_limit": round(swaps_per_s * GAS * ROLLUP_BLOCK_S)},
            "fee_market": free,
            "background_users": {
                "arrivals_per_s": wanted_per_s,
                "gas_mean": GAS,
                "bytes": ROLLUP_BYTES,
                "value_law": "exponential",
                "value_gwei": VALUE_GWEI,
                "patience_s": 5.0,  # so that a moment's crowd is not lost to the gas of a block
            },
            "rollup": {
                "kind": "optimistic",
                "claim_interval_s": 86_400.0,
                "challenges": {"challengers": 0},
                # Nobody minds waiting: only full postings are made, of as many blobs as fit under every upgrade.
                "posting": {
                    "compression": "none",
                    "batch_bytes": 6 * USABLE_BYTES_PER_BLOB,
                    "delay_cost_usd_per_h": 0.0,
                    "users_pay_share": 1.0,
                },
            },
            "chains": [parent],
        }
    )
    market = Market(scenario, seed=752, tapes="none")
    market.run_for(seconds)
    own, below = (blocks[blocks["time_s"] > 0.3 * seconds] for blocks in (market.blocks(), market.blocks(1)))
    rate = own["transactions"].mean() / ROLLUP_BLOCK_S
    return float(rate), float(below["blobs"].mean()), float(below["blob_base_fee_gwei"].mean())


def _under_eip1559(blocks: int, burn_in: int = 200) -> tuple[float, float]:
    """Transactions per block, with standard error, of a chain that prices its space, at three times the target."""
    users = {"arrivals_per_s": 60.0, "gas_mean": GAS, "value_law": "exponential", "patience_s": 0.0}
    chain = {"block_time_s": SLOT_S, "gas_limit": 60_000_000}
    market = Market(bare_scenario({"chain": chain, "background_users": users}), seed=751, tapes="none")
    market.run_for((burn_in + blocks) * SLOT_S)
    return mean_with_error(market.blocks()["transactions"].iloc[burn_in:])
