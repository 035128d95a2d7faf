"""A venue with a perpetual and options on a price that is given, for tests."""

import numpy as np

from blockspace.markets.instruments import HANDLES, list_instrument
from blockspace.markets.ledger import BURNED, MICRO_DOLLARS, open_account, totals
from blockspace.markets.margin import MARGIN_MODES, scan_margin
from blockspace.markets.matching import IMMEDIATE_OR_CANCEL, LIMIT
from blockspace.markets.options.marks import mark_first
from blockspace.markets.options.series import open_options
from blockspace.markets.options.settings import OptionSettings
from blockspace.markets.order_book import check_book
from blockspace.markets.perpetual import revalue
from blockspace.markets.price_path import CELL_SECONDS, NODE, PricePath
from blockspace.markets.trade_log import TRADE_LOG
from blockspace.markets.venue import execute, new_venue
from blockspace.network.block import BLOCK
from blockspace.network.mempool import new_mempool
from blockspace.network.transaction import CANCEL, COMBINATION, PLACE, STATUSES

NS = 10**9
PERPETUAL = 0
LOT = 0.01
TICK = 0.1


class Given:
    """A price that is a function of time, straight in the logarithm within each second or so."""

    def __init__(self, price):
        self.price = price
        self.initial_price = price(0.0)

    def fill(self, first_cell, count):
        edges_s = np.arange(first_cell, first_cell + count + 1) * CELL_SECONDS
        level = np.log([self.price(second) for second in edges_s])
        nodes = np.zeros(count, NODE)
        nodes["log_price"], nodes["log_price_end"] = level[:-1], level[1:]
        return nodes


class Stage:
    def __init__(self, price=lambda second: 2_000.0, mode="cross", volatility=0.8, batching=False, **settings):
        settings = {"expiries_days": (1 / 24,), "strikes_per_expiry": 3, "taker_fee_bps": 0.0, **settings}
        self.settings = OptionSettings(**settings)
        self.path = PricePath(Given(price), 2**20, seed=1)
        self.path.extend(60 * NS)
        self.venues = new_venue()
        self.venue = self.venues[0]
        self.logs = np.zeros(1, TRADE_LOG)
        self.pools = new_mempool()
        self.blocks = np.zeros(1, BLOCK)
        list_instrument(self.venues, "perpetual", round(TICK * LOT * 1e6), LOT, 50_000, 0, 0, 10)
        self.venue["funding_interval"] = 10**6 * NS
        self.venue["batching"] = batching
        margin = self.venue["margin"]
        margin["liquidates"] = 1
        margin["mode"] = MARGIN_MODES.index(mode)
        margin["maintenance_ppm"] = 500_000
        margin["partial_ppm"] = 1_000_000
        margin["bonus_ppm"] = 5_000
        margin["penalty_ppm"] = 5_000
        margin["price_moves"] = 0.15 * np.repeat(np.arange(-3, 4) / 3.0, 2)
        margin["volatility_moves"] = 0.25 * np.tile([-1.0, 1.0], 7)
        self.ledger = self.venue["ledger"]
        self.fund = margin["insurance"] = open_account(self.ledger, 1_000.0)
        self.producer = open_account(self.ledger)
        self.blocks[0]["base_fee_account"] = BURNED
        self.blocks[0]["producer_account"] = self.producer
        open_options(self.venues, self.settings, price(0.0), volatility)
        mark_first(self.venues, price(0.0))
        self.time_s = 0.0
        self.block(1.0)

    def account(self, cash_usd=1e6):
        return open_account(self.ledger, cash_usd, 1.0)

    def block(self, after_s, *transactions):
        """Make a block some seconds after the last one; what became of its transactions."""
        self.time_s += after_s
        block, rows = self.blocks[0], self.pools[0]["transactions"]
        block["time"] = time = round(self.time_s * NS)
        block["number"] += 1
        self.path.extend(time + 60 * NS)
        rows[: len(transactions)] = np.zeros(len(transactions), rows.dtype)
        for slot, fields in enumerate(transactions):
            for name, value in {"gas": 21_000, "decided": time, **fields}.items():
                rows[name][slot] = value
        block["order"][: len(transactions)] = np.arange(len(transactions))
        block["count"] = len(transactions)
        revalue(self.venues, self.logs, self.path.record, self.blocks)
        execute(self.venues, self.logs, self.pools, self.blocks)
        scan_margin(self.venues, self.blocks)
        self.check()
        return [STATUSES[status] for status in rows["status"][: len(transactions)]]

    def check(self):
        assert not any(totals(self.ledger).values())
        for number in range(int(self.venue["count"])):
            check_book(self.venue["books"][number])

    def instrument(self, number):
        return self.venue["instruments"][number]

    def mark_ticks(self, number):
        instrument = self.instrument(number)
        return max(round(int(instrument["mark"]) / int(instrument["tick_lot_value"])), 1)

    def order(self, account, number, side, lots, price=None, style=LIMIT, slot=0):
        price = self.mark_ticks(number) if price is None else price
        return {
            "kind": PLACE, "sender": account, "order": account * HANDLES + slot, "instrument": number,
            "side": side, "size": lots, "price": price, "style": style,
        }  # fmt: skip

    def trade(self, buyer, seller, number, lots, price=None):
        """Let one account buy from another in a block of its own; whether both could."""
        statuses = self.block(
            0.001,
            self.order(seller, number, -1, lots, price, slot=14),
            self.order(buyer, number, 1, lots, price, IMMEDIATE_OR_CANCEL),
            self.order(seller, number, -1, lots, price, slot=14) | {"kind": CANCEL},
        )
        return statuses[:2] == ["succeeded", "succeeded"]

    def combination(self, account, legs, size, bound_usd):
        ladder = np.zeros(16, np.int32)
        for leg, (number, lots) in enumerate(legs):
            ladder[2 * leg : 2 * leg + 2] = number, lots
        bound = round(bound_usd * MICRO_DOLLARS)
        return {"kind": COMBINATION, "sender": account, "size": size, "bound": bound, "ladder": ladder}

    def position(self, account, number):
        return int(self.ledger["accounts"]["position"][account, number])

    def cash(self, account):
        return int(self.ledger["accounts"]["cash"][account])
