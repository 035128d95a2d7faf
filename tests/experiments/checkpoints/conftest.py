"""A checkpoint of a fast chain, for tests of what can happen to its files."""

import shutil

import pytest

from blockspace.experiments.checkpoint import save_checkpoint

from .runs import fast, market_until


@pytest.fixture(scope="session")
def half_a_minute(tmp_path_factory):
    """Folder with the checkpoint of a market after 30 s, which nobody may change."""
    folder = tmp_path_factory.mktemp("half-a-minute")
    save_checkpoint(market_until(30.0, fast()), folder)
    return folder


@pytest.fixture
def saved(half_a_minute, tmp_path):
    """A copy of it."""
    return shutil.copytree(half_a_minute, tmp_path / "saved")
