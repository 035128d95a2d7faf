"""V7b: an overloaded chain carries what its scarcer resource allows, and no more.

With gas and bytes limited per second, throughput is
``min(gas/s / gas per transaction, bytes/s / bytes per transaction)``.
"""

from functools import partial
from typing import Any

from blockspace.experiments.market import Market
from blockspace.experiments.validation import Row, bare_scenario, compare, mean_with_error, target
from blockspace.network.blob_market import FORKS, USABLE_BYTES_PER_BLOB

IDENTITY = "identity; sizes of blobs by Buterin et al. (2022)"
GAS = 125_000
SLOT_S = 12.0
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
    return rows


def _under_eip1559(blocks: int, burn_in: int = 200) -> tuple[float, float]:
    """Transactions per block, with standard error, of a chain that prices its space, at three times the target."""
    users = {"arrivals_per_s": 60.0, "gas_mean": GAS, "value_law": "exponential", "patience_s": 0.0}
    chain = {"block_time_s": SLOT_S, "gas_limit": 60_000_000}
    market = Market(bare_scenario({"chain": chain, "background_users": users}), seed=751, tapes="none")
    market.run_for((burn_in + blocks) * SLOT_S)
    return mean_with_error(market.blocks()["transactions"].iloc[burn_in:])
