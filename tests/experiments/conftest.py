"""What several tests of sweeps compare with."""

import pytest

from .small import content, make_many


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Files of the sweep of :func:`make_many` that nothing has disturbed, in this process."""
    folder = tmp_path_factory.mktemp("undisturbed") / "out"
    make_many(folder, jobs=1)
    return content(folder)
