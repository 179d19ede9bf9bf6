"""Settings for the whole suite."""

import os
from pathlib import Path

import pytest
from compiled import out_of_date
from hypothesis import HealthCheck, settings

# A slow machine is no failure; and what guards main tries the same examples each time, so that who breaks something is
# who has changed something. EXPLORE=1 tries others, ten times as many (`make test-explore`).
IS_EXPLORING = bool(os.environ.get("EXPLORE"))
settings.register_profile(
    "fastsmtp",
    deadline=None,
    derandomize=not IS_EXPLORING,
    max_examples=1_000 if IS_EXPLORING else 100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fastsmtp")


def pytest_sessionstart() -> None:
    """Test what is written: a compiled module that is older than its source would be tested in its place."""
    if faults := out_of_date(Path(__file__).parents[1] / "fastsmtp"):
        pytest.exit("\n".join(faults), returncode=pytest.ExitCode.USAGE_ERROR)
