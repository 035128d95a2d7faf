"""V7b: an overloaded chain carries what its scarcer resource allows, and no more.

With gas and bytes limited per second, throughput is ``min(gas/s / gas per transaction, bytes/s / bytes per transaction)``.
"""

from typing import Any

from blockspace.experiments.market import Market
from blockspace.experiments.validation import Row, bare_scenario, compare, mean_with_error, target

IDENTITY = "identity; sizes of blobs by Buterin et al. (2022)"
GAS = 125_000
SLOT_S = 12.0
USABLE_BYTES_PER_BLOB = 4096 * 31
"""A blob has 4,096 field elements, of whose 32 bytes 31 are free."""

TARGET_BLOBS = {"Cancun": 3, "Pectra": 6, "BPO1": 10, "BPO2": 14}
"""Target blobs per slot by upgrade (EIP-4844, EIP-7691, EIP-7892)."""


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
    """Send half as much again as fits, and see what a block carries and which resource has no room for one more.

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
                "arrivals_per_s": 1.5 * fitting / block_time_s, "gas_mean": GAS, "bytes": size, "patience_s": 0.0
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
    rows = []
    gas_limit, byte_limit, block_time_s = 60_000_000, 150_000, 3.7
    blocks = 20 if quick else 200
    for size in (100, 250, 310, 315, 500, 1_000):
        per_second, binding = throughput(gas_limit / block_time_s, GAS, byte_limit / block_time_s, size)
        carried, full = overload(gas_limit, byte_limit, size, blocks, block_time_s=block_time_s)
        case = f"{size} bytes each"
        rows.append(
            compare(
                "V7b", f"transactions per s under overload: {case}", per_second, carried / block_time_s,
                absolute=1.0 / block_time_s, note=f"{binding} bind; tolerance of one transaction a block", source=IDENTITY,
            )
        )
        rows.append(
            compare(
                "V7b", f"blocks are full of {binding} and of nothing else (1 yes, 0 no): {case}", 1, int(full == {binding}),
                source=IDENTITY,
            )
        )
    for upgrade, blobs in TARGET_BLOBS.items():
        carried, _ = overload(10**10, blobs * USABLE_BYTES_PER_BLOB, 100, 2 if quick else 10)
        rows.append(
            compare(
                "V7b", f"transactions of 100 bytes per s in the data of {upgrade}", data_throughput(blobs), carried / SLOT_S,
                absolute=1.0 / SLOT_S, note=f"{blobs} blobs per slot", source=IDENTITY,
            )
        )
    scenario = bare_scenario(
        {
            "chain": {"block_time_s": SLOT_S, "gas_limit": 60_000_000},
            "background_users": {
                "arrivals_per_s": 60.0, "gas_mean": GAS, "value_law": "exponential", "patience_s": 0.0
            },
        }
    )
    market = Market(scenario, seed=751, tapes="none")
    burn_in, blocks = 200, 2_000 if quick else 10_000
    market.run_for((burn_in + blocks) * SLOT_S)
    per_block, error = mean_with_error(market.blocks()["transactions"].iloc[burn_in:])
    rows.append(
        compare(
            "V7b", "swaps per s on Ethereum's 60 million gas under EIP-1559", 20.0, per_block / SLOT_S,
            absolute=1.0 / SLOT_S, standard_error=error / SLOT_S, note="the target, half of what fits, is carried",
            source=IDENTITY,
        )
    )
    return rows
