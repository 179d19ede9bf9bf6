"""Settings for the whole suite."""

from pathlib import Path

import pytest
from compiled import out_of_date
from hypothesis import settings

# A slow machine is no failure.
settings.register_profile("fastsmtp", deadline=None)
settings.load_profile("fastsmtp")


def pytest_sessionstart() -> None:
    """Test what is written: a compiled module that is older than its source would be tested in its place."""
    if faults := out_of_date(Path(__file__).parents[1] / "fastsmtp"):
        pytest.exit("\n".join(faults), returncode=pytest.ExitCode.USAGE_ERROR)
