"""The compiled market and its twin give the same run on chains of every kind."""

from blockspace.experiments.recording.rents import rents
from tests.reference.runs import SPOT, run_both


def test_congested_proof_of_stake():
    """Many validators, a base fee that moves, users who balk or give up, makers who leave and come back."""
    market = run_both(
        {
            "chain": {"block_time_s": 12.0, "gas_limit": 3_000_000, "byte_limit": 20_000},
            "fee_market": {"initial_base_fee_wei": 10**10},
            "topology": {"validators": 120, "stake_concentration": 0.8},
            "background_users": {"arrivals_per_s": 6.0, "patience_s": 25.0, "burst_sd": 0.8, "surge": 2.0},
            "noise_traders": {"count": 30, "orders_per_s": 0.4},
            "market_makers": {"review_interval_s": 90.0, "rest_s": 600.0, "memory_s": 120.0},
        },
        seconds=4_000,
        seed=1,
    )
    blocks = market.blocks()
    assert blocks["base_fee_gwei"].max() > 1.5 * blocks["base_fee_gwei"].min()
    assert blocks[["balked_total", "expired_total"]].iloc[-1].min() > 100
    assert (market.transactions()["status"] == "failed").any()
    assert (market.transactions().query("kind == 'quote'")["bytes"] == 250).any(), "nobody took the quotes down"
    assert len(market.trades()) > 100


def test_single_sequencer():
    """Colocated makers, at their position limits now and then, on a chain with room for everybody."""
    market = run_both(
        {
            "chain": {"block_time_s": 2.0, "gas_limit": 20_000_000},
            "fee_market": {
                "elasticity": 6,
                "denominator": 50,
                "minimum_base_fee_wei": 5_000_000,
                "initial_base_fee_wei": 5_000_000,
            },
            "topology": {"validators": 1},
            "background_users": {"arrivals_per_s": 20.0, "value_law": "exponential", "value_gwei": 0.1},
            "noise_traders": {"orders_per_s": 1.0},
            "informed_traders": {"orders_per_s": 0.3},
            "market_makers": {"position_limit": 1.0},
        },
        seconds=1_500,
        seed=2,
    )
    assert market.blocks()["base_fee_gwei"].nunique() > 50
    assert len(market.trades()) > 500
    assert (abs(market.world.makers["position"]) >= market.world.makers["position_limit"]).any()


def test_data_of_transactions_cost():
    """A rollup whose users pay for the data of their transactions, most of what trading costs there."""
    market = run_both(
        {
            "chain": {"block_time_s": 2.0, "gas_limit": 20_000_000},
            "fee_market": {
                "elasticity": 6,
                "denominator": 50,
                "minimum_base_fee_wei": 5_000_000,
                "initial_base_fee_wei": 5_000_000,
                "data_fee_wei_per_byte": 8_321_987_654.3,
                "base_fee_recipient": "producer",
            },
            "topology": {"validators": 1},
            "background_users": {"arrivals_per_s": 10.0, "value_law": "exponential", "value_gwei": 0.1},
            "noise_traders": {"orders_per_s": 0.5, "size_mean": 0.1},
        },
        seconds=600,
        seed=4,
    )
    found = rents(market)
    assert found["data_wei"] > found["tips_wei"]
    assert market.summary()["balked_share"] > 0.05


def test_fast_chain_with_idle_blocks():
    """Blocks every 50 ms, latencies above that, and stretches in which nothing happens."""
    market = run_both(
        {
            "chain": {"block_time_s": 0.05, "gas_limit": 1_000_000},
            "fee_market": {"initial_base_fee_wei": 10**8, "denominator": 250},
            "topology": {"validators": 5, "regions": ["tokyo", "virginia", "frankfurt"]},
            "venue": {"gas_token": "fixed", "gas_token_usd": 30.0},
            "background_users": {
                "arrivals_per_s": 3.0,
                "gas_variation": 0.0,
                "value_law": "uniform",
                "value_gwei": 5.0,
            },
            "noise_traders": {"orders_per_s": 2.0},
            "market_makers": {"look_interval_s": 0.8, "memory_s": 30.0},
            "arbitrageurs": {"look_interval_s": 1.0},
        },
        seconds=240,
        seed=3,
    )
    numbers = market.blocks()["block"]
    assert numbers.iloc[-1] > 1.2 * len(numbers) > 1_000
    assert (market.transactions().eval("time_s - decided_s") > 0.05).mean() > 0.2


def test_two_instruments():
    """A perpetual with funding and a spot market, with fees and rebates, jumps and stochastic volatility."""
    market = run_both(
        {
            "chain": {"block_time_s": 1.0, "gas_limit": 10_000_000},
            "topology": {"validators": 1},
            "price": {
                "volatility_per_day": 0.08,
                "jumps_per_day": 2_000.0,
                "jump_law": "normal",
                "volatility_of_volatility_per_sqrt_day": 3.0,
            },
            "venue": {"funding_interval_s": 60.0, "oracle_delay_s": 60.0},
            "instruments": [{"maker_fee_bps": -0.2, "taker_fee_bps": 0.7, "impact_size": 3.0}, SPOT],
            "background_users": {"arrivals_per_s": 5.0, "value_law": "pareto", "value_gwei": 2.0},
            "endowment": {"cash_usd": 700_000.0, "spot": 300.0},
            "noise_traders": {"orders_per_s": 2.0, "size_mean": 3.0},
            "market_makers": {"count": 6, "mark_out_s": 2.0, "levels": 4, "inventory_aversion": 2.0, "memory_s": 60.0},
            "arbitrageurs": {"count": 6},
        },
        seconds=1_000,
        seed=4,
    )
    trades, ledger = market.trades(), market.ledger()
    assert trades["instrument"].value_counts().min() > 100
    assert (trades["maker_fee_usd"] < 0).any()
    assert market.blocks()["ETH-PERP.funding_rate"].nunique() > 3
    assert ledger.loc[ledger["role"] == "rounding", "cash_micro_usd"].item() > 0


def test_first_price_with_random_blocks():
    """Blocks at random times, first-price fees, agents without much ether or cash."""
    market = run_both(
        {
            "chain": {"block_time_s": 10.0, "block_arrivals": "poisson", "gas_limit": 2_000_000},
            "fee_market": {"rule": "first_price", "wallet_tip_wei": 10**9},
            "topology": {"validators": 20, "stake_concentration": 1.5, "home_validator_share": 0.0},
            "instruments": [{"initial_margin": 0.5}],
            "endowment": {"cash_usd": 2_000.0, "ether": 0.02},
            "background_users": {"arrivals_per_s": 4.0, "gas_variation": 3.0, "value_gwei": 27.0, "patience_s": 120.0},
            "noise_traders": {"count": 20, "orders_per_s": 0.4, "value_bps": 200.0},
            "market_makers": {"count": 3, "unit_size": 0.5, "levels": 3},
        },
        seconds=4_000,
        seed=5,
    )
    assert market.blocks()["time_s"].diff().std() > 5.0
    assert market.world.chain.forks.stale.sum() > 0
    assert market.blocks()["marginal_tip_gwei"].max() > 5.0
    assert (market.transactions()["status"] == "failed").any()
    assert market.blocks()["unfunded_transactions"].sum() > 0


def test_tiny_mempool():
    """A fixed price paid to the proposer, slow lines, a mempool that overflows, impatient users, a scripted crash."""
    market = run_both(
        {
            "chain": {"block_time_s": 4.0, "gas_limit": 1_500_000},
            "fee_market": {"rule": "fixed", "base_fee_wei": 10**9},
            "topology": {"validators": 8, "latency_scale": 2.0, "validator_bandwidth_mbps": 0.5},
            "mempool": {"capacity": 40},
            "price": {"source": "script", "script": [[300.0, 1.0], [400.0, 0.7]]},
            "background_users": {
                "arrivals_per_s": 20.0,
                "patience_s": 0.0,
                "surge": 0.01,
                "usual_volatility_per_day": 0.02,
            },
            "noise_traders": {"count": 40, "orders_per_s": 2.0},
        },
        seconds=1_000,
        seed=6,
    )
    last = market.blocks().iloc[-1]
    assert min(last["evicted_total"], last["refused_total"]) > 100
    assert len(market.trades()) > 30


def test_timing_games():
    """Validators who wait, blocks that come too late, and a mempool that outlives them."""
    market = run_both(
        {
            "chain": {"block_time_s": 4.0, "gas_limit": 3_000_000},
            "topology": {"validators": 40, "stake_concentration": 0.8},
            "attestation": {"deadline_s": 2.5, "needed_share": 0.6, "jitter_s": 0.6},
            "timing_games": {"share": 0.6},
            "background_users": {"arrivals_per_s": 12.0},
            "fee_market": {"initial_base_fee_wei": 10**9},
        },
        seconds=4_000,
        seed=16,
    )
    numbers = market.blocks()["block"]
    assert numbers.iloc[-1] > 1.02 * len(numbers)
    assert market.world.chain.timing.usual_delay_ns > 0


def test_late_blocks_among_peers():
    """Blocks of home validators that are missed the more often the more is in them, without anybody who waits."""
    market = run_both(
        {
            "chain": {"block_time_s": 4.0, "gas_limit": 3_000_000, "verification_ns_per_gas": 50.0},
            "topology": {"validators": 40, "home_validator_share": 0.6, "home_bandwidth_mbps": 0.5, "peers": 6},
            "attestation": {"deadline_s": 1.8, "needed_share": 0.5, "jitter_s": 0.2},
            "background_users": {"arrivals_per_s": 12.0, "burst_sd": 1.0},
            "fee_market": {"initial_base_fee_wei": 10**9},
        },
        seconds=2_000,
        seed=21,
    )
    attestation = market.world.chain.attestation
    assert attestation.missed[16:].sum() > 10 > attestation.missed[:16].sum()
