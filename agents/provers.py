"""Provers: they prove the state of a validity rollup, each with its own hardware, and compete for the work.

A prover works on one proof after the other. It offers to do the next for what it costs to run its machines, and can say
when it will be done. Who wins is paid by the operator; what is left after its costs is its profit, which rises with
what it does better than the second best.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.network.draws import draw_normal, stream_key
from blockspace.network.faults import Interval, worked_until
from blockspace.network.rollups.settings import ProofSettings

NS = 1_000_000_000

PROVER = np.dtype(
    [
        ("account", "u4"),
        ("gas_per_s", "f8"),
        ("cost_usd_per_gas", "f8"),
        ("busy_until", "i8"),  # ns
        ("proofs", "i8"),
        ("gas", "i8"),
        ("earned_usd", "f8"),
        ("spent_usd", "f8"),
    ],
    align=True,
)

_SPEED, _COST = np.arange(2)


def new_provers(settings: ProofSettings, accounts: list[int], seed: int) -> npt.NDArray[Any]:
    """Provers with speeds and costs of their own, drawn one by one: rows of type ``PROVER``."""
    provers = np.zeros(len(accounts), PROVER)
    provers["account"] = accounts
    key = np.uint64(stream_key(seed, "provers"))
    for number in range(len(accounts)):
        speed = math.exp(settings.speed_spread * draw_normal(key, number, _SPEED))
        cost = math.exp(settings.cost_spread * draw_normal(key, number, _COST))
        provers["gas_per_s"][number] = settings.gas_per_s * speed
        provers["cost_usd_per_gas"][number] = settings.cost_usd_per_mgas * 1e-6 * cost
    return provers


def choose_prover(
    provers: npt.NDArray[Any],
    settings: ProofSettings,
    now_ns: int,
    gas: int,
    delay_cost_usd_per_s: float,
    standstills: Sequence[Interval] = (),
) -> tuple[int, int, float]:
    """Give a proof to the prover whose cost and delay together are least.

    Parameters
    ----------
    provers
        Rows of type ``PROVER``; that of the winner is updated.
    settings
        Of proofs.
    now_ns
        Time of the request, ns.
    gas
        Gas that is to be proven.
    delay_cost_usd_per_s
        Dollars that a second's wait costs the users.
    standstills
        When no prover works, which nobody knows beforehand.

    Returns
    -------
    prover : int
        Number of the winner.
    ready_ns : int
        When the proof will be made, ns.
    fee_usd : float
        What it is paid: its own cost, and by how much it is better than the second best.
    """
    scores = []
    for number, prover in enumerate(provers):
        start = max(int(prover["busy_until"]), now_ns)
        ready = start + int((settings.fixed_s + gas / float(prover["gas_per_s"])) * NS)
        cost = gas * float(prover["cost_usd_per_gas"])
        scores.append((cost + delay_cost_usd_per_s * (ready - now_ns) * 1e-9, number, ready, cost))
    scores.sort()
    score, number, ready, cost = scores[0]
    fee = cost + (scores[1][0] - score if len(scores) > 1 else 0.0)
    prover = provers[number]
    start = max(int(prover["busy_until"]), now_ns)
    ready = worked_until(standstills, start, ready - start)
    prover["busy_until"] = ready
    prover["proofs"] += 1
    prover["gas"] += gas
    prover["earned_usd"] += fee
    prover["spent_usd"] += cost
    return number, ready, fee
