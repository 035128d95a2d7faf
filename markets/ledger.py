"""The double-entry ledger: every unit of money and inventory is somewhere, to the last one.

Cash is integer micro-dollars, positions are integer lots, ether is integer wei. An account's wei do not fit
into 64 bits, so they are kept as whole gwei plus a remainder below 10^9. Every change is a transfer from one
account to another; value enters the world from GENESIS, which goes as deep below zero as the others are
above, so that each column sums to zero for ever. Burned ether lies on BURNED.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.network.compilation import kernel

ACCOUNTS = 16384
INSTRUMENTS = 64
WEI_PER_GWEI = 1_000_000_000
WEI_PER_ETHER = 10**18
MICRO_DOLLARS = 1_000_000

# Accounts that every run has; proposers and agents follow.
GENESIS, BURNED, VENUE_FEES, ROUNDING, BACKGROUND = range(5)
FIRST_FREE_ACCOUNT = 5
SYSTEM_ACCOUNTS = ("genesis", "burned", "venue fees", "rounding", "background users")

ACCOUNT = np.dtype(
    [
        ("cash", "i8"),  # micro-dollars; below zero is a loan against positions, limited by margin
        ("gwei", "i8"),  # ether: whole gwei ...
        ("wei", "i8"),  # ... and the wei beyond, 0 to 10^9 - 1
        ("position", "i8", (INSTRUMENTS,)),  # lots
    ],
    align=True,
)

LEDGER = np.dtype([("accounts", ACCOUNT, (ACCOUNTS,)), ("count", "i8")], align=True)


@kernel
def transfer_cash(ledger, debited, credited, amount):
    """Move ``amount`` micro-dollars (it may be negative) from one account to another."""
    ledger.accounts[debited].cash -= amount
    ledger.accounts[credited].cash += amount


@kernel
def transfer_position(ledger, debited, credited, instrument, lots):
    """Move ``lots`` of an instrument from one account to another."""
    ledger.accounts[debited].position[instrument] -= lots
    ledger.accounts[credited].position[instrument] += lots


@kernel
def transfer_ether(ledger, debited, credited, gwei, wei):
    """Move ``gwei`` whole gwei and ``wei`` further wei (both at least 0) from one account to another."""
    gwei += wei // WEI_PER_GWEI
    wei = wei % WEI_PER_GWEI
    payer = ledger.accounts[debited]
    payer.gwei -= gwei
    payer.wei -= wei
    if payer.wei < 0:
        payer.wei += WEI_PER_GWEI
        payer.gwei -= 1
    payee = ledger.accounts[credited]
    payee.gwei += gwei
    payee.wei += wei
    if payee.wei >= WEI_PER_GWEI:
        payee.wei -= WEI_PER_GWEI
        payee.gwei += 1


@kernel
def pay_gas(ledger, debited, credited, gas, price):
    """Move ``gas`` units at ``price`` wei each. Exact for every price: the product is formed in two parts."""
    transfer_ether(ledger, debited, credited, gas * (price // WEI_PER_GWEI), gas * (price % WEI_PER_GWEI))


@kernel
def can_pay_gas(ledger, account, gas, price, data_fee=0):
    """Whether an account holds ``gas`` times ``price`` wei and ``data_fee`` wei beside."""
    wei = gas * (price % WEI_PER_GWEI) + data_fee
    gwei = gas * (price // WEI_PER_GWEI) + wei // WEI_PER_GWEI
    holder = ledger.accounts[account]
    return holder.gwei > gwei or (holder.gwei == gwei and holder.wei >= wei % WEI_PER_GWEI)


def open_account(
    ledger: npt.NDArray[Any], cash_usd: float = 0.0, ether: float = 0.0, lots: tuple[int, ...] = ()
) -> int:
    """Open an account and endow it from GENESIS.

    Parameters
    ----------
    ledger
        Record of type ``LEDGER``.
    cash_usd, ether
        Endowment, rounded down to micro-dollars and gwei.
    lots
        Endowment per instrument.

    Returns
    -------
    int
        Number of the new account.

    Raises
    ------
    ValueError
        If the ledger is full.
    """
    account = max(int(ledger["count"]), FIRST_FREE_ACCOUNT)
    if account >= ACCOUNTS:
        raise ValueError(f"the ledger has {ACCOUNTS} accounts and all are taken; ask for fewer agents or validators")
    ledger["count"] = account + 1
    endow(ledger, account, cash_usd, ether, lots)
    return account


def endow(
    ledger: npt.NDArray[Any], account: int, cash_usd: float = 0.0, ether: float = 0.0, lots: tuple[int, ...] = ()
) -> None:
    """Give an account cash (dollars), ether and lots out of GENESIS."""
    accounts = ledger["accounts"]
    amounts = {"cash": int(cash_usd * MICRO_DOLLARS), "gwei": int(ether * WEI_PER_GWEI)}
    for column, amount in amounts.items():
        accounts[column][GENESIS] -= amount
        accounts[column][account] += amount
    for instrument, amount in enumerate(lots):
        accounts["position"][GENESIS, instrument] -= amount
        accounts["position"][account, instrument] += amount


def ether_wei(ledger: npt.NDArray[Any], account: int) -> int:
    """Ether of an account in wei, as an exact Python integer."""
    row = ledger["accounts"][account]
    return int(row["gwei"]) * WEI_PER_GWEI + int(row["wei"])


def totals(ledger: npt.NDArray[Any]) -> dict[str, int]:
    """Sum of every column over all accounts, as exact Python integers. Each is zero in a sound ledger."""
    accounts = ledger["accounts"][: max(int(ledger["count"]), FIRST_FREE_ACCOUNT)]
    ether = int(accounts["gwei"].sum()) * WEI_PER_GWEI + int(accounts["wei"].sum())
    sums = {"cash_micro_usd": int(accounts["cash"].sum()), "ether_wei": ether}
    for instrument in range(INSTRUMENTS):
        sums[f"position_{instrument}_lots"] = int(accounts["position"][:, instrument].sum())
    return sums
