"""Tables and numbers for people, as the terminal shows them."""

import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from blockspace.experiments.scenario import Scenario


def print_table(table: Table) -> None:
    """Print a table, as wide as the terminal or, for a file or a pipe, as wide as it needs."""
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def format_number(value: float | None, digits: int = 3) -> str:
    """A number for people: a few significant digits, no exponent where it can be avoided.

    Examples
    --------
    >>> [format_number(value) for value in (12345.6, 0.12345, 2e-9, -3.0, float("nan"))]
    ['12,346', '0.123', '2e-09', '−3', '–']
    """
    if value is None or math.isnan(value):
        return "–"
    size = abs(value) if abs(value) > 1e-12 else 0.0  # what is left of a rounding error is nothing
    if size >= 1e9 or 0 < size < 1e-4:
        text = f"{size:.{digits - 1}g}"
    else:
        text = f"{size:,.0f}" if size >= 1000 else f"{size:.{digits}g}"
    return f"−{text}" if value < 0 and size > 0 else text


NETWORK = (
    ("base fee and marginal tip, mean", "base_fee_gwei", "gwei"),
    ("base fee and marginal tip, median", "median_base_fee_gwei", "gwei"),
    ("standard deviation of its logarithm", "base_fee_log_sd", ""),
    ("utilisation", "utilisation", "share of the gas limit"),
    ("transactions", "transactions_per_s", "per s"),
    ("users whom the fee keeps out", "balked_share", "share"),
    ("failed transactions", "failed_share", "share"),
    ("pending transactions", "pending", ""),
    ("delay of users, median", "background_delay_median_s", "s"),
    ("delay of users, 95th percentile", "background_delay_p95_s", "s"),
    ("delay of the market, median", "market_delay_median_s", "s"),
    ("delay of the market, 95th percentile", "market_delay_p95_s", "s"),
)
MARKET = (
    ("quoted spread, mean", "quoted_spread_bps", "bp"),
    ("quoted spread, median", "median_quoted_spread_bps", "bp"),
    ("effective spread", "effective_spread_bps", "bp"),
    ("realised spread after 10 s", "realised_spread_bps", "bp"),
    ("time with an empty side", "one_sided_share", "share"),
    ("depth within 10 bp", "depth_10bps_usd", "$ a side"),
    ("depth within 100 bp", "depth_100bps_usd", "$ a side"),
    ("slippage of $10,000", "slippage_10000usd_bps", "bp"),
    ("trades", "trades_per_h", "per h"),
    ("volume", "volume_usd_per_h", "$ per h"),
    ("arbitrage in it", "arbitrage_volume_share", "share"),
)
POOL = (
    ("value of both reserves", "value_usd", "$"),
    ("distance from the external price", "price_gap_bps", "bp"),
    ("swaps", "swaps_per_h", "per h"),
    ("volume", "volume_usd_per_h", "$ per h"),
    ("arbitrage in it", "arbitrage_volume_share", "share"),
    ("fees", "fees_bps_per_day", "bp of the value per day"),
    ("loss to arbitrage, after fees", "loss_to_arbitrage_bps_per_day", "bp of the value per day"),
    ("gain over rebalancing", "gain_over_rebalancing_bps_per_day", "bp of the value per day"),
    ("swaps sandwiched", "sandwich_rate", "share"),
    ("lost by their senders", "lost_to_sandwiches_usd_per_h", "$ per h"),
)
OPTIONS = (
    ("quoted spread, median", "option_spread_percent_of_mark", "per cent of the mark"),
    ("quoted spread, median", "option_spread_volatility_points", "points of volatility"),
    ("series quoted on both sides", "option_two_sided_share", "share"),
    ("trades", "option_trades_per_h", "per h"),
    ("volume", "option_volume_per_h", "units per h"),
    ("premium", "option_premium_usd_per_h", "$ per h"),
    ("open interest", "option_open_interest", "units"),
)
OPTION_MAKERS = (
    ("premium of the mid over the true volatility", "option_maker_premium_points", "points of volatility"),
    ("half-spread", "option_maker_half_spread_points", "points of volatility"),
    ("half-spread", "option_maker_half_spread_percent", "per cent of the value"),
    ("series that a maker keeps quoted", "option_maker_quoted_share", "share"),
    ("makers' gas", "gas_option_maker_usd_per_h", "$ per h"),
    ("traders' gas", "gas_option_trader_usd_per_h", "$ per h"),
)
VAULTS = (
    ("return of depositors, after gas", "vault_return_percent", "per cent"),
    ("premium taken in", "vault_premium_percent", "per cent"),
    ("gas paid", "vault_gas_percent", "per cent"),
)
DELTA_HEDGERS = (
    ("hedges", "delta_hedger_hedges_per_h", "per h"),
    ("options taken on", "delta_hedger_units_per_h", "units per h"),
    ("delta left unhedged, mean", "delta_hedger_gap_units", "units"),
    ("of the delta of the options", "delta_hedger_gap_share", "share"),
    ("their gas", "gas_delta_hedger_usd_per_h", "$ per h"),
)
COSTS = (
    ("total", "cost_bps", "bp of the order"),
    ("half-spread", "cost_half_spread_bps", "bp"),
    ("impact", "cost_impact_bps", "bp"),
    ("delay", "cost_delay_bps", "bp"),
    ("venue's fee", "cost_fee_bps", "bp"),
    ("gas", "cost_gas_bps", "bp"),
    ("orders not filled", "orders_unfilled_share", "share"),
)
MONEY = (
    ("burned", "burned_usd_per_h", "$ per h"),
    ("base fees to the sequencer", "sequencer_fee_usd_per_h", "$ per h"),
    ("tips", "tips_usd_per_h", "$ per h"),
    ("venue's fees", "venue_fees_usd_per_h", "$ per h"),
    ("arbitrage before gas", "arbitrage_profit_usd_per_h", "$ per h"),
    ("makers at the end", "makers_active", ""),
    ("quotes", "quotes_per_h", "per h"),
)


def summary_groups(scenario: "Scenario") -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Main measures of a run of a scenario: label, name and unit of each, in groups with a title."""
    several = len(scenario.instruments) > 1
    groups: list[tuple[str, tuple[tuple[str, str, str], ...], str]] = [("Network", NETWORK, "")]
    for instrument in scenario.instruments:
        groups.append((instrument.name, MARKET, f"{instrument.name}." if several else ""))
    if scenario.options.count:
        groups.append(("Options", OPTIONS, ""))
    if scenario.option_makers.count:
        groups.append(("Makers of options", OPTION_MAKERS, ""))
    if scenario.option_vaults.count:
        groups.append(("Option vaults", VAULTS, ""))
    if scenario.delta_hedgers.count:
        groups.append(("Delta hedgers", DELTA_HEDGERS, ""))
    groups += [(pool.name, POOL, f"{pool.name}.") for pool in scenario.pools]
    groups += [("Cost of an order", COSTS, ""), ("Money", MONEY, "")]
    return [
        (title, [(label, prefix + measure, unit) for label, measure, unit in measures])
        for title, measures, prefix in groups
    ]


def summary_title(scenario: "Scenario", seed: int) -> str:
    """What a summary is one of."""
    hours = (scenario.duration_s - scenario.warm_up_s) / 3600
    return f"{scenario.name}, seed {seed}, {hours:.3g} h after the warm-up"


def summary_table(summary: Mapping[str, Any], scenario: "Scenario", seed: int) -> Table:
    """Lay out the summary of a run: what came of the network, of each market, of the costs of orders and of money."""
    table = Table("", "", "", title=summary_title(scenario, seed), show_header=False)
    table.columns[1].justify = "right"
    for title, measures in summary_groups(scenario):
        table.add_section()
        table.add_row(f"[bold]{title}[/bold]")
        for label, measure, unit in measures:
            table.add_row(f"  {label}", format_number(summary.get(measure), 4), unit)
    return table
