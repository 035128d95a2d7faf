"""The whole market as a plain Mesa model: a step is a block, agents are Python objects that act in turn."""

import math
from itertools import accumulate, chain
from types import SimpleNamespace

import mesa
import numpy as np
import pandas as pd

from blockspace.experiments.prices import price_path
from blockspace.network.draws import stream_key
from blockspace.network.transaction import KINDS, STATUSES

from .arbitrageurs import Arbitrageur
from .background_users import BackgroundUsers
from .block import Block
from .builders import Builder, exclusive_ends, route_of
from .chain import Chain
from .clearing_keepers import ClearingKeeper
from .constants import BACKGROUND, INSIDE, NEVER, SETTLE, TRANSFER
from .delta_hedgers import DeltaHedger
from .draws import draw_uniform
from .express_lane import ExpressLane
from .feed import Feed
from .leveraged_traders import LeveragedTrader
from .liquidators import Liquidator
from .liquidity_providers import LiquidityProvider
from .margin import scan
from .market_makers import MarketMaker
from .mempool import Mempool
from .option_makers import OptionMaker
from .option_traders import OptionTrader
from .option_vaults import OptionVault
from .options import Options
from .oracle_keepers import OracleKeeper
from .order_book import PRICES
from .pending_swaps import list_pending_swaps
from .perpetual import revalue
from .pool_arbitrageurs import PoolArbitrageur
from .pools import Pool, move
from .price_path import ReferencePath
from .sandwichers import Extractor, Sandwicher
from .swappers import Swapper
from .traders import InformedTrader, NoiseTrader
from .venue import Venue

NS = 10**9


class ReferenceMarket(mesa.Model):
    """One chain with its market; the same scenario and seed as a :class:`Market` give the same tapes."""

    def __init__(self, scenario, seed=0):
        super().__init__(rng=int(seed))
        self.settings = scenario
        self.gas = scenario.charged_gas
        self.path = ReferencePath(price_path(scenario, seed)[0])
        self.chain = Chain(scenario, seed)
        self.mempool = Mempool(scenario.mempool.capacity, stream_key(seed, "chain/ties"))
        self.venue = Venue(scenario)
        self.feed = Feed(scenario, len(self.chain.producers[0].latency), self.path)
        self.own_agents = []
        self.route_ends = exclusive_ends(scenario.builders)
        self.block_rows = []
        self.transaction_rows = []
        self.settle_in(seed)
        self.look_ahead = int(scenario.look_ahead_s * NS)
        self.path.extend(self.look_ahead)
        if scenario.options.count:
            volatility = scenario.options.first_volatility(scenario.price.volatility_per_day)
            self.venue.options = Options(self.venue, scenario.options, self.path.price_at(0), volatility)
        self.open_pools()
        self.block = Block(0, 0, self.chain.base_fee, self.chain.producers[0], 0, 0)
        self.publish(self.chain.base_fee)
        self.feed.views[0].visible = [0] * len(self.chain.producers[0].latency)

    # Setting up.

    def settle_in(self, seed):
        """Open the accounts and create the agents."""
        scenario = self.settings
        self.venue.ledger.endow(BACKGROUND, ether=9e8)
        for producer in self.chain.producers:
            producer.account = self.venue.ledger.open_account("producer")
        makers = scenario.market_makers
        beliefs = np.linspace(0.75, 1.25, makers.count) if makers.count > 1 else np.ones(1)
        for place, belief in zip(self.places("maker", makers, seed), beliefs.tolist(), strict=False):
            MarketMaker(self, makers, place, belief)
        for number, place in enumerate(self.places("noise", scenario.noise_traders, seed)):
            NoiseTrader(self, scenario.noise_traders, number, place, seed)
        for number, place in enumerate(self.places("informed", scenario.informed_traders, seed)):
            InformedTrader(self, scenario.informed_traders, number, place, seed)
        for number, place in enumerate(self.places("arbitrageur", scenario.arbitrageurs, seed)):
            Arbitrageur(self, scenario.arbitrageurs, number, place, seed)
        for number, place in enumerate(self.pool_places("pool_arbitrageur", scenario.pool_arbitrageurs, seed)):
            PoolArbitrageur(self, scenario.pool_arbitrageurs, number, place, seed)
        for number, place in enumerate(self.pool_places("swapper", scenario.swappers, seed)):
            Swapper(self, scenario.swappers, number, place, seed)
        for number, place in enumerate(self.pool_places("provider", scenario.liquidity_providers, seed)):
            LiquidityProvider(self, scenario.liquidity_providers, number, place, seed)
        if scenario.margin.liquidations:
            self.venue.margin.insurance = self.venue.ledger.open_account("insurance")
            self.venue.ledger.endow(self.venue.margin.insurance, scenario.margin.insurance_usd)
        for account, access, _ in self.places("sandwicher", scenario.sandwichers, seed):
            Sandwicher(self, scenario.sandwichers, account, access)
        share, key = scenario.producers.extracting_share, stream_key(seed, "producers/extracting")
        for number, producer in enumerate(self.chain.producers):
            if draw_uniform(key, number, 0) < share:
                Extractor(self, scenario.sandwichers, self.open_account("extractor"), producer)
        self.settle_leveraged(seed)
        self.settle_option_agents(seed)
        if scenario.venue.settlement != "immediate":
            ((account, access, _),) = self.places("clearing_keeper", SimpleNamespace(count=1), seed)
            if scenario.clearing_keeper.colocated and len(self.chain.producers) == 1:
                access = len(self.chain.access_points) - 1
            self.venue.clearing.operator = account
            ClearingKeeper(self, scenario.clearing_keeper, account, access)
        BackgroundUsers(self, scenario.background_users, len(self.chain.access_points) - 1, seed)
        kinds = (BackgroundUsers, NoiseTrader, InformedTrader, Arbitrageur)
        kinds += (PoolArbitrageur, Swapper, LiquidityProvider, MarketMaker)
        kinds += (OptionTrader, OptionVault, DeltaHedger, OptionMaker, LeveragedTrader, Liquidator, OracleKeeper)
        kinds += (ClearingKeeper,)
        self.makers = self.agents_by_type.get(MarketMaker, [])
        self.arbitrageurs = self.agents_by_type.get(Arbitrageur, [])
        self.pool_arbitrageurs = self.agents_by_type.get(PoolArbitrageur, [])
        self.swappers = self.agents_by_type.get(Swapper, [])
        self.providers = self.agents_by_type.get(LiquidityProvider, [])
        self.lane = None
        if scenario.express_lane.round_s > 0:
            bidders = [*self.arbitrageurs, *self.pool_arbitrageurs]
            self.lane = ExpressLane(self, scenario.express_lane, bidders, seed)
        self.sandwichers = self.agents_by_type.get(Sandwicher, [])
        self.extractors = self.agents_by_type.get(Extractor, [])
        self.leveraged = self.agents_by_type.get(LeveragedTrader, [])
        self.liquidators = self.agents_by_type.get(Liquidator, [])
        self.keepers = self.agents_by_type.get(OracleKeeper, [])
        self.clearing_keepers = self.agents_by_type.get(ClearingKeeper, [])
        self.option_makers = self.agents_by_type.get(OptionMaker, [])
        self.option_traders = self.agents_by_type.get(OptionTrader, [])
        self.option_vaults = self.agents_by_type.get(OptionVault, [])
        self.delta_hedgers = self.agents_by_type.get(DeltaHedger, [])
        self.set_up_wallets(seed)
        self.builders = [Builder(self, scenario.builders, number, seed) for number in range(scenario.builders.count)]
        self.populations = [self.agents_by_type[kind] for kind in kinds if kind in self.agents_by_type]

    def set_up_wallets(self, seed):
        """Say which wallets send to one builder alone, and which ask builders for protection."""
        for kind, agents in (("noise", self.agents_by_type.get(NoiseTrader, [])), ("swapper", self.swappers)):
            key = stream_key(seed, f"builders/wallets/{kind}")
            for number, agent in enumerate(agents):
                self.mempool.routes[agent.account] = route_of(self.route_ends, key, number, 0)
        if self.settings.builders.count:
            self.mempool.protected |= {agent.account for agent in [*self.arbitrageurs, *self.pool_arbitrageurs]}

    def settle_leveraged(self, seed):
        """Create those who live with margin, with endowments of their own."""
        traders, liquidators, ledger = (
            self.settings.leveraged_traders, self.settings.liquidators, self.venue.ledger,
        )  # fmt: skip
        accounts = []
        for number in range(traders.count):
            accounts.append(ledger.open_account("leveraged"))
            ledger.endow(accounts[-1], LeveragedTrader.endowment(traders, number, seed), traders.ether)
        for number, place in enumerate(self.perpetual_places("leveraged", accounts, False, seed)):
            LeveragedTrader(self, traders, number, place, seed)
        accounts = []
        for _ in range(liquidators.count):
            accounts.append(ledger.open_account("liquidator"))
            ledger.endow(accounts[-1], liquidators.capital_usd, self.settings.endowment.ether)
        for number, place in enumerate(self.perpetual_places("liquidator", accounts, liquidators.colocated, seed)):
            Liquidator(self, liquidators, number, place)
        if self.venue.on_chain_oracle:
            keeper = self.settings.oracle_keeper
            generator = np.random.Generator(np.random.PCG64(stream_key(seed, "places/keeper")))
            public = len(self.chain.access_points) - 1
            alone = keeper.colocated and len(self.chain.producers) == 1
            self.venue.keeper = self.open_account("keeper")
            OracleKeeper(self, keeper, self.venue.keeper, public if alone else int(generator.integers(public)))

    def settle_option_agents(self, seed):
        """Create those who make and trade options."""
        makers, traders = self.settings.option_makers, self.settings.option_traders
        beliefs = np.linspace(0.75, 1.25, makers.count).tolist() if makers.count > 1 else [1.0]
        for place, belief in zip(self.places("option_maker", makers, seed), beliefs, strict=False):
            OptionMaker(self, makers, place, belief)
        for number, place in enumerate(self.places("option_trader", traders, seed)):
            OptionTrader(self, traders, number, place, seed)
        vaults, ledger = self.settings.option_vaults, self.venue.ledger
        accounts = [ledger.open_account("option_vault") for _ in range(vaults.count)]
        spot = [0 if one.perpetual else round(self.settings.endowment.spot / one.lot_size) for one in self.listed()]
        for number, account in enumerate(accounts):
            ledger.endow(account, vaults.deposit_usd, vaults.ether, spot)
            OptionVault(self, vaults, account, number % (len(self.chain.access_points) - 1))
        for number, place in enumerate(self.places("delta_hedger", self.settings.delta_hedgers, seed)):
            DeltaHedger(self, self.settings.delta_hedgers, number, place, seed)

    def listed(self):
        """Instruments that are not options."""
        return [one for one in self.venue.instruments if not one.option]

    def perpetual_places(self, kind, accounts, colocated, seed):
        public = len(self.chain.access_points) - 1
        generator = np.random.Generator(np.random.PCG64(stream_key(seed, f"places/{kind}")))
        access = generator.integers(public, size=len(accounts)).tolist()
        if colocated and len(self.chain.producers) == 1:
            access = [public] * len(accounts)
        perpetuals = [instrument for instrument in self.venue.instruments if instrument.perpetual]
        for number, account in enumerate(accounts):
            yield account, access[number], perpetuals[number % len(perpetuals)]

    def places(self, kind, settings, seed):
        """Account, access point and instrument of each member of a population."""
        public = len(self.chain.access_points) - 1
        generator = np.random.Generator(np.random.PCG64(stream_key(seed, f"places/{kind}")))
        accounts = [self.open_account(kind) for _ in range(settings.count)]
        if getattr(settings, "colocated", False) and len(self.chain.producers) == 1:
            access = [public] * settings.count
        else:
            access = generator.integers(public, size=settings.count).tolist()
        shares = list(accumulate(instrument.share_of_traders for instrument in self.settings.instruments))
        places = []
        for number in range(settings.count):
            share = (number + 0.5) / settings.count * shares[-1]
            instrument = next(index for index, upper in enumerate(shares) if upper >= share)
            places.append((accounts[number], access[number], self.venue.instruments[instrument]))
        return places

    def pool_places(self, kind, settings, seed):
        """Account, access point, number of the pool and its instrument of each member of a population."""
        names = [instrument.name for instrument in self.settings.instruments]
        places = self.places(kind, settings, seed)
        for number, (account, access, _) in enumerate(places):
            pool = number % len(self.settings.pools)
            instrument = names.index(self.settings.pools[pool].instrument)
            yield account, access, pool, self.venue.instruments[instrument]

    def open_pools(self):
        """Open the pools at the external price, and let first providers bring the liquidity of each."""
        names = [instrument.name for instrument in self.settings.instruments]
        ledger = self.venue.ledger
        for number, settings in enumerate(self.settings.pools):
            instrument = names.index(settings.instrument)
            lot_price = self.path.price_at(0) * self.settings.instruments[instrument].lot_size * 10**6
            pool = Pool(settings, number, instrument, ledger.open_account("pool"), lot_price)
            cash = round(settings.initial_liquidity_usd * 10**6)
            lots = round(cash / lot_price)
            provider = ledger.open_account("provider")
            ledger.endow(provider, settings.initial_liquidity_usd, 0.0, [0] * instrument + [lots])
            self.venue.pools.append(pool)
            ticks = pool.range_around(settings.initial_range_bps) if pool.concentrated else (0, 0)
            move(self.venue, pool, provider, *pool.mint(provider, lots, cash, *ticks))

    def open_account(self, role):
        """Open an account with the scenario's endowment."""
        endowment = self.settings.endowment
        number = self.venue.ledger.open_account(role)
        lots = [
            0 if instrument.perpetual else round(endowment.spot / instrument.lot_size)
            for instrument in self.venue.instruments
            if not instrument.option
        ]
        self.venue.ledger.endow(number, endowment.cash_usd, endowment.ether, lots)
        return number

    # Running.

    def run_until_s(self, seconds):
        """Make every block up to a time."""
        while self.chain.next_time / NS <= seconds:
            self.step()

    def step(self):
        """Make one block."""
        self.path.extend(self.chain.next_time + self.look_ahead)
        self.block = self.chain.open_block()
        self.feed.survey(self.block)
        if self.lane:
            self.lane.auction(self.block)
        for population in self.populations:
            population.do("act")
        for agent in self.own_agents:
            outlook = self.feed.outlook_at(agent.access)
            if outlook:
                agent.observe(outlook)
                agent.act()
        self.pending_swaps = list_pending_swaps(self)
        for searcher in (*self.sandwichers, *self.extractors):
            searcher.act()
        producer = self.venue.ledger.accounts[self.block.producer.account]
        before = producer.wei // 10**9
        stale = self.chain.is_stale()
        if not stale:
            self.mempool.expire(self.block.time)
            self.hold_auction()
            self.block.plan(self.mempool)
        if not stale and not self.chain.is_missed(self.block):
            self.block.take(self.mempool)
            revalue(self.venue, self.path, self.block.time, self.block.number)
            self.venue.execute(self.block, self.chain.fee_rule.burns_base_fee)
            self.settle_auction()
            scan(self.venue, self.block.time)
            self.record()
            self.publish(self.chain.price_next(self.block.gas_used))
        else:
            self.chain.let_time_pass()
        self.chain.close_block(producer.wei // 10**9 - before, None if stale else self.block)
        self.skip_idle_blocks()

    def hold_auction(self):
        """Let every builder plan the block and bid for it."""
        if self.builders:
            for builder in self.builders:
                builder.plan(self.block, self.mempool)
            winner = max(self.builders, key=lambda one: (one.bid, one.tie(self.block.number)))
            self.block.maker, self.block.route, bid = winner, winner.route, winner.bid
            self.block.bid = int(bid) if bid < 9e18 else int(bid / 1e9) * 10**9

    def settle_auction(self):
        """Pay the winner's bid, and let every builder learn."""
        if self.builders:
            winner, ledger = self.block.maker, self.venue.ledger
            self.block.bid = min(self.block.bid, ledger.accounts[winner.account].wei)
            ledger.transfer_wei(winner.account, self.block.producer.account, self.block.bid)
            bids = {builder: builder.bid for builder in self.builders}
            promised = winner.protected
            for builder in self.builders:
                rivals = [bid for other, bid in bids.items() if other is not builder]
                builder.learn(self.block, promised, max(rivals, default=0.0))

    def publish(self, next_base_fee):
        self.feed.publish(self.block, self.venue, next_base_fee, self.settings.chain.verification_ns_per_gas)

    def skip_idle_blocks(self):
        """Let blocks pass at once that come before anybody can be in them."""
        if self.own_agents:
            return
        nearest = self.chain.shortest_latency
        arrivals = (
            one.decided + (0 if one.access == INSIDE else nearest[one.access])
            for one in self.mempool.pending.values()
            if one.gas <= self.settings.chain.gas_limit
            and one.bytes <= self.settings.chain.byte_limit
            and one.max_fee >= self.chain.lowest_base_fee
        )
        fundings = (traded.next_funding for traded in self.venue.instruments if traded.next_funding > 0)
        due = min(chain(arrivals, fundings, (agent.due() for agent in self.agents)), default=NEVER)
        if self.venue.margin.liquidates or self.leveraged:
            due = min(due, self.block.time + round(self.settings.margin.watch_interval_s * NS))
        if self.lane:
            due = min(due, self.lane.due())
        if self.venue.options:
            due = min([due, *(tenor.expiry for tenor in self.venue.options.tenors if tenor.open)])
        if any(instrument.batch.waiting for instrument in self.venue.instruments):
            due = min(due, self.venue.next_batch)
        if self.chain.skip_empty_blocks(due):
            self.feed.views[-1].base_fee = self.chain.base_fee

    # What happened.

    def record(self):
        block, pool = self.block, self.mempool
        row = [block.time * 1e-9, block.number, block.base_fee * 1e-9, block.marginal_tip * 1e-9, block.gas_used]
        row += [len(pool.pending), pool.submitted, pool.balked, pool.expired, pool.evicted, pool.refused]
        row.append(self.venue.tape.external_price)
        for traded in self.venue.instruments[: len(self.settings.instruments)]:
            tick = traded.tick_lot_value * 1e-6 / traded.lot_size
            bid, ask = traded.book.best_bid, traded.book.best_ask
            row += [bid * tick if bid > 0 else math.nan, ask * tick if ask < PRICES else math.nan]
            row += [value * 1e-6 / traded.lot_size for value in (traded.mark, traded.index)]
            row.append(traded.funding_rate)
        for pool in self.venue.pools:
            lot_size = self.settings.instruments[pool.instrument].lot_size
            lots, cash = pool.slow.reserves
            row += [pool.price * 1e-6 / lot_size, lots * lot_size, cash * 1e-6, float(pool.liquidity)]
        self.block_rows.append(row)
        self.transaction_rows += [(block.time, block.number, block.base_fee, one) for one in block.transactions]

    def blocks(self):
        """One row per block: the columns of :meth:`Market.blocks` that say what happened, not what it cost."""
        columns = ["time_s", "block", "base_fee_gwei", "marginal_tip_gwei", "gas_used", "pending"]
        columns += [f"{name}_total" for name in ("arrived", "balked", "expired", "evicted", "refused")]
        columns.append("external_price_usd")
        names = [f"{instrument.name}." for instrument in self.settings.instruments]
        for prefix in names if len(names) > 1 else [""]:
            columns += [f"{prefix}{name}_usd" for name in ("best_bid", "best_ask", "mark", "index")]
            columns.append(f"{prefix}funding_rate")
        for pool in self.settings.pools:
            columns += [f"{pool.name}.{name}" for name in ("price_usd", "reserve", "reserve_usd", "liquidity")]
        return pd.DataFrame(self.block_rows, columns=columns)

    def trades(self):
        """One row per trade, as in :meth:`Market.trades`."""
        rows = []
        for trade in self.venue.tape.trades:
            instrument, name, series = self.terms(trade.instrument, trade.time)
            rows.append({
                "time_s": trade.time * 1e-9,
                "block": trade.block,
                "instrument": name,
                "price_usd": trade.price * instrument.tick_usd,
                "size": trade.size * instrument.lot_size,
                "side": "buy" if trade.side > 0 else "sell",
                "maker": trade.maker,
                "taker": trade.taker,
                "maker_fee_usd": trade.maker_fee * 1e-6,
                "taker_fee_usd": trade.taker_fee * 1e-6,
                "external_price_usd": trade.external_price,
            })  # fmt: skip
            if trade.pool is not None:
                rows[-1]["price_usd"] = trade.notional * 1e-6 / (trade.size * instrument.lot_size)
            if self.venue.margin.liquidates:
                rows[-1]["cause"] = trade.cause
                if trade.cause != "order":
                    rows[-1]["price_usd"] = trade.notional * 1e-6 / (trade.size * instrument.lot_size)
            if self.settings.options.count:
                rows[-1]["series"] = series
            if self.settings.pools:
                rows[-1]["pool"] = "" if trade.pool is None else self.settings.pools[trade.pool].name
        return pd.DataFrame(rows)

    def liquidations(self):
        """One row per liquidation, as in :meth:`Market.liquidations`."""
        rows = []
        for entry in self.venue.margin.liquidations:
            instrument, name, _ = self.terms(entry.instrument, entry.listed)
            rows.append({
                "time_s": entry.time * 1e-9,
                "block": entry.block,
                "below_since_s": entry.below_since * 1e-9,
                "account": entry.account,
                "liquidator": entry.liquidator,
                "instrument": name,
                "size": entry.lots * instrument.lot_size,
                "mark_usd": entry.mark * 1e-6 / instrument.lot_size,
                "external_price_usd": entry.external_price,
                "equity_usd": entry.equity * 1e-6,
                "bonus_usd": entry.bonus * 1e-6,
                "penalty_usd": entry.penalty * 1e-6,
                "insurance_usd": entry.insurance * 1e-6,
                "socialised_usd": entry.socialised * 1e-6,
                "deleveraged_accounts": entry.deleveraged,
            })  # fmt: skip
        return pd.DataFrame(rows)

    def terms(self, number, time):
        """Settings of an instrument, the name of what was listed under its number at a time, and of which series."""
        if number < len(self.settings.instruments):
            settings = self.settings.instruments[number]
            return settings, settings.name, -1
        history = self.venue.instruments[number].history
        return self.settings.options, *[entry[1:] for entry in history if entry[0] <= time][-1]

    def transactions(self):
        """One row per included transaction, as in :meth:`Market.transactions`."""
        rows = []
        for time, block, base_fee, one in self.transaction_rows:
            instrument, name, series = self.terms(one.instrument, time)
            of_market = one.kind not in (TRANSFER, SETTLE)
            lots = instrument.lot_size if of_market else math.nan
            rows.append({
                "time_s": time * 1e-9,
                "block": block,
                "decided_s": one.decided * 1e-9,
                "kind": KINDS[one.kind],
                "status": STATUSES[one.status],
                "sender": one.sender,
                "nonce": one.nonce,
                "gas_used": one.gas_used,
                "bytes": one.bytes,
                "base_fee_wei": base_fee,
                "tip_wei": one.effective_tip(base_fee),
                "instrument": name if of_market else "",
                "side": one.side if of_market else 0,
                "price_usd": one.price * instrument.tick_usd if of_market else math.nan,
                "size": one.size * lots,
                "filled": max(one.filled, 0) * lots,
            })  # fmt: skip
            if self.settings.options.count:
                rows[-1]["series"] = series
        return pd.DataFrame(rows)

    def ledger(self):
        """One row per account, as in :meth:`Market.ledger`."""
        rows = []
        for account in self.venue.ledger.accounts:
            row = {"role": account.role, "cash_micro_usd": account.cash, "ether_wei": account.wei}
            for traded, lots in zip(self.venue.instruments, account.positions, strict=True):
                if not traded.option or not traded.closed:
                    row[f"{self.terms(traded.number, self.block.time)[1]}_lots"] = lots
            rows.append(row)
        return pd.DataFrame(rows)
