"""Runs on a cluster: a Dask scheduler with two real worker processes on this machine."""

import os
import signal

import pytest
from distributed import LocalCluster

from .small import begin_many, content, modified, wait_for_runs


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        yield cluster


def test_a_cluster_gives_the_same_results_as_two_processes(cluster, undisturbed, tmp_path):
    out = tmp_path / "out"
    with begin_many(out, cluster.scheduler_address) as process:
        assert process.wait(timeout=300) == 0, process.stderr.read()
    assert content(out) == undisturbed


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_killing_a_worker_of_a_cluster_loses_and_repeats_nothing(cluster, undisturbed, tmp_path):
    out = tmp_path / "out"
    with begin_many(out, cluster.scheduler_address) as process:
        wait_for_runs(out, process, 3)
        kept = modified(out)
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        assert process.wait(timeout=300) == 0, process.stderr.read()
    after = modified(out)
    assert {name: after[name] for name in kept} == kept
    assert content(out) == undisturbed
