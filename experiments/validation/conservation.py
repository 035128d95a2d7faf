"""V42: no micro-dollar, no wei and no lot comes from nowhere or is lost.

After every block of a market with every kind of agent, each column of the ledger sums to zero. At the end, every
account is worked out anew from the tapes of trades and transactions alone and compared with the ledger to the
last unit.
"""

from collections import defaultdict

import pandas as pd

from blockspace.agents.trader import Trader
from blockspace.experiments.market import Market
from blockspace.experiments.scenario import Scenario, load_scenario
from blockspace.experiments.validation import Row, compare, target
from blockspace.markets.ledger import BURNED, VENUE_FEES, totals

IDENTITY = "double entry"
PRESET = "ethereum-30m"
PERPETUAL, SPOT = "ETH-PERP", "ETH-SPOT"

Flows = dict[tuple[int, str], int]
"""Changes by account and column of the ledger."""


class Churner(Trader):
    """Takes, rests, moves and cancels in turn, so that every kind of transaction occurs."""

    def act(self) -> None:
        """Do the next of five things, in one instrument after the other."""
        step = int(self.time_s) // 10
        instrument, price = step // 5 % 2, self.external_price
        if step % 5 == 0:
            self.submit("buy", price * 1.01, 0.5, instrument=instrument)
        elif step % 5 == 1:
            self.submit("sell", price * 0.99, 0.5, instrument=instrument)
        elif step % 5 == 2:
            self.submit("buy", price * 0.999, 0.5, style="limit", slot=1, instrument=instrument)
        elif step % 5 == 3:
            self.replace(1, price * 0.9985, 0.4, instrument=instrument)
        else:
            self.cancel(1, instrument=instrument)


def _scenario(funding_interval_s: float) -> Scenario:
    return load_scenario(
        PRESET,
        {
            "warm_up_s": 0.0,
            "chain.block_time_s": 2.0,
            "chain.gas_limit": 12_000_000,
            "price.volatility_per_day": 0.2,
            "price.jumps_per_day": 200.0,
            "venue.funding_interval_s": funding_interval_s,
            "instruments": [
                {"name": PERPETUAL, "kind": "perpetual", "maker_fee_bps": -0.1, "taker_fee_bps": 0.5},
                {"name": SPOT, "kind": "spot", "maker_fee_bps": 0.2, "taker_fee_bps": 0.7},
            ],
            "informed_traders.orders_per_s": 0.5,
            "informed_traders.noise": 0.5,
            "informed_traders.horizon_s": 120.0,
            "noise_traders.orders_per_s": 2.0,
            "pools": [
                {"name": "PRODUCT", "instrument": SPOT, "fee_ppm": 500},
                {"name": "RANGES", "instrument": SPOT, "kind": "concentrated", "initial_range_bps": 1_000.0},
            ],
            "pool_arbitrageurs.count": 3,
            "swappers": {"count": 10, "orders_per_s": 0.5},
        },
    )


def cash_and_lots(trades: pd.DataFrame, scenario: Scenario) -> Flows:
    """What trades do to cash (micro-dollars) and positions (lots), by account and column of the ledger.

    The buyer pays price times size to the seller, and both pay their fees to the venue; of a swap, what the taker pays
    as a fee the pool earns.
    """
    instruments = {instrument.name: instrument for instrument in scenario.instruments}
    flows: defaultdict[tuple[int, str], int] = defaultdict(int)
    for trade in trades.to_dict("records"):
        instrument = instruments[trade["instrument"]]
        ticks, lots = round(trade["price_usd"] / instrument.tick_usd), round(trade["size"] / instrument.lot_size)
        bought = lots if trade["side"] == "buy" else -lots
        notional = lots * ticks * instrument.tick_lot_value
        if trade["pool"]:  # at a price between two ticks
            notional = round(trade["price_usd"] * trade["size"] * 1e6)
        paid = notional if bought > 0 else -notional
        sides = ((trade["taker"], 1, trade["taker_fee_usd"]), (trade["maker"], -1, trade["maker_fee_usd"]))
        for account, sign, fee_usd in sides:
            fee = round(fee_usd * 1e6)
            flows[account, f"{instrument.name}_lots"] += sign * bought
            flows[account, "cash_micro_usd"] -= sign * paid + fee
            flows[VENUE_FEES, "cash_micro_usd"] += fee
    return flows


def gas_paid(transactions: pd.DataFrame) -> tuple[dict[int, int], int, int]:
    """Wei that each sender paid, and how much of it was base fee and tip."""
    paid: defaultdict[int, int] = defaultdict(int)
    base_fees = tips = 0
    columns = (transactions[name].tolist() for name in ("sender", "gas_used", "base_fee_wei", "tip_wei"))
    for sender, gas, base_fee, tip in zip(*columns, strict=True):
        paid[sender] += gas * (base_fee + tip)
        base_fees += gas * base_fee
        tips += gas * tip
    return paid, base_fees, tips


def accounts_off(
    before: pd.DataFrame, after: pd.DataFrame, changes: Flows, columns: list[str], accounts: list[int]
) -> int:
    """Number of ``accounts`` that differ from what they were before plus the changes, in any of the columns."""
    old, new = ({column: frame[column].tolist() for column in columns} for frame in (before, after))

    def explained(account: int, column: str) -> bool:
        return bool(new[column][account] == old[column][account] + changes.get((account, column), 0))

    return sum(not all(explained(account, column) for column in columns) for account in accounts)


@target("V42")
def conservation(quick: bool) -> list[Row]:
    """Every column of the ledger sums to zero after every block, and the tapes explain every account."""
    rows = []
    blocks = 150 if quick else 1_500
    # Funding is on no tape: one run pays it every minute, the others are short enough to have none.
    runs = [(420, 60.0), (421, 1e6)] if quick else [(420, 60.0), (421, 1e6), (422, 1e6), (423, 1e6)]
    for seed, funding_interval_s in runs:
        rows += _reconcile(seed, funding_interval_s, blocks)
    return rows


def _reconcile(seed: int, funding_interval_s: float, blocks: int) -> list[Row]:
    scenario = _scenario(funding_interval_s)
    market = Market(scenario, seed)
    Churner(market)
    before = market.ledger()
    ledger = market.world.venues[0]["ledger"]
    unbalanced = 0
    for _ in range(blocks):
        market.step()
        unbalanced += any(totals(ledger).values())
    after, trades, transactions = market.ledger(), market.trades(), market.transactions()
    producers = set(after.index[after["role"] == "producer"])
    paid, base_fees, tips = gas_paid(transactions)
    changes = cash_and_lots(trades, scenario) | {(sender, "ether_wei"): -wei for sender, wei in paid.items()}
    changes[BURNED, "ether_wei"] = base_fees
    fees = changes[VENUE_FEES, "cash_micro_usd"]
    gained = (after["ether_wei"] - before["ether_wei"]).tolist()
    burned, to_producers = gained[BURNED], sum(gained[account] for account in producers)
    collected = int(after["cash_micro_usd"][VENUE_FEES] - before["cash_micro_usd"][VENUE_FEES])
    funded = funding_interval_s < scenario.chain.block_time_s * blocks
    columns = ["ether_wei", f"{PERPETUAL}_lots", f"{SPOT}_lots"] + ([] if funded else ["cash_micro_usd"])
    # Who made which block is not on the tape either: the producers have been compared as a whole.
    others = [account for account in after.index if account not in producers]
    case = f"seed {seed}" + (", funding every minute" if funded else "")
    amounts = {
        "blocks after which a column of the ledger does not sum to zero": (unbalanced, f"{blocks} blocks"),
        "burned wei less base fees on the tape": (burned - base_fees, f"{base_fees / 1e18:.3f} ether"),
        "producers' wei less tips on the tape": (to_producers - tips, f"{tips / 1e18:.3f} ether"),
        "venue's micro-dollars less fees on the tape": (collected - fees, f"${fees / 1e6:,.2f}"),
        "accounts that the tapes do not explain": (
            accounts_off(before, after, changes, columns, others),
            f"{len(others)} accounts, {len(trades)} trades, {len(transactions)} transactions",
        ),
    }
    return [
        compare("V42", f"{what}: {case}", 0, difference, note=note, source=IDENTITY)
        for what, (difference, note) in amounts.items()
    ]
