import json
import os
import pty
import subprocess
import sys

import pytest

from fastsmtp.cli.terminal import print_json, print_table

SCRIPT = """
from fastsmtp.cli.terminal import print_table
print_table(["name", "state"], [("one", "ok"), ("[bold]two", "warning")], empty="")
"""


def test_rows_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "state"], [("one", "ok"), ("longer", "x" * 300)], empty="nothing")

    assert capsys.readouterr().out == f"one     ok\nlonger  {'x' * 300}\n"


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name"], [], empty="nothing")

    assert capsys.readouterr().out == "nothing\n"


def test_a_table_for_people() -> None:
    terminal, other_end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    subprocess.run([sys.executable, "-c", SCRIPT], stdout=other_end, check=True, env=environment)
    os.close(other_end)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)

    assert "name" in shown
    assert "─" in shown
    assert "\x1b[32mok" in shown
    assert "[bold]two" in shown  # what stands in a cell is never markup


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([{"name": "bücher"}])

    assert json.loads(capsys.readouterr().out) == [{"name": "bücher"}]
