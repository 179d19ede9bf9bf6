import json
import os
import pty
import subprocess
import sys

import pytest

from fastsmtp.cli.terminal import print_json, print_table, progress_bar, shown_size, warn

SCRIPT = """
from fastsmtp.cli.terminal import print_table
print_table(["name", "state"], [("one", "ok"), ("[bold]two", "warning")], empty="")
"""

PROGRESS = """
from fastsmtp.cli.terminal import progress_bar
with progress_bar("reading") as progress:
    progress(250, 1000)
print("done")
"""


def on_a_terminal(script: str) -> str:
    terminal, other_end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    subprocess.run([sys.executable, "-c", script], stdout=other_end, stderr=other_end, check=True, env=environment)
    os.close(other_end)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)
    return shown


def test_rows_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "state"], [("one", "ok"), ("longer", "x" * 300)], empty="nothing")

    assert capsys.readouterr().out == f"one     ok\nlonger  {'x' * 300}\n"


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name"], [], empty="nothing")

    assert capsys.readouterr().out == "nothing\n"


def test_a_table_for_people() -> None:
    shown = on_a_terminal(SCRIPT)

    assert "name" in shown
    assert "─" in shown
    assert "\x1b[32mok" in shown
    assert "[bold]two" in shown  # what stands in a cell is never markup


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([{"name": "bücher"}])

    assert json.loads(capsys.readouterr().out) == [{"name": "bücher"}]


def test_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    warn("it is odd")

    assert capsys.readouterr() == ("", "warning: it is odd\n")


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (None, "none"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (2**20 - 1, "1 MiB"),
        (500_000_000, "476.8 MiB"),
        (2**30, "1 GiB"),
        (2**63 - 1, "8388608 TiB"),
    ],
)
def test_sizes(octets: int | None, text: str) -> None:
    assert shown_size(octets) == text


def test_progress_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("reading") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")

    shown = on_a_terminal(PROGRESS)
    assert "reading" in shown
    assert "250/1000" in shown
    assert shown.endswith("done\r\n")
