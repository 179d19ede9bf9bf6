"""Every plugin that ships is used in a real server: by a dialog, which is played over a socket, or by a test there.

That each has unit tests is what test_mirror.py says.
"""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PLUGINS = sorted(path.stem for path in (TESTS.parent / "plugins").glob("*.py") if path.stem != "__init__")
PROOFS = [*(TESTS / "dialogs").glob("*.txt"), *(TESTS / "integration").glob("test_*.py")]
USED = {name for path in PROOFS for name in re.findall(r'use = "(\w+)"', path.read_text())}


@pytest.mark.parametrize("name", PLUGINS)
def test_it_is_used_in_a_real_server(name: str) -> None:
    assert name in USED
