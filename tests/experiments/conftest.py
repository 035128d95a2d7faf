"""What several tests of sweeps compare with."""

import pytest

from .small import begin_many, content


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Files of the sweep of :func:`make_many` that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "out"
    with begin_many(folder) as process:
        assert process.wait(timeout=300) == 0, process.stderr.read()
    return content(folder)
