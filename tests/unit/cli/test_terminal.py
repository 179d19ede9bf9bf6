import io
import json
import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.cli.terminal import print_json, print_table, printable, progress_bar, say, shown_size, warn

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


HOSTILE = [
    ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
    ("a\nb\r\tc", r"a\nb\r\tc"),
    ("\x9b31mred", r"\x9b31mred"),
    ("\u202egnp.exe", r"\u202egnp.exe"),
    ("\u2066x\u2069\u200e\u200f\u200b\u2028\ufeff", r"\u2066x\u2069\u200e\u200f\u200b\u2028\ufeff"),
    ("\U000e0041", r"\U000e0041"),
    ("\ud800", r"\ud800"),
    ("jürgen@bücher.example 用户 😀 \\x", "jürgen@bücher.example 用户 😀 \\x"),
]


@pytest.mark.parametrize(("text", "shown"), HOSTILE)
def test_what_cannot_be_printed_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_nothing_that_is_shown_steers_a_terminal(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_whatever_prints_is_safe_to_look_at(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        out, err = io.StringIO(), io.StringIO()
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        print_table(["name"], [(f"<{text}>",)], empty="")
        print_table(["name"], [], empty=text)
        print_json({text: [text]})
        say(text)
        say(text, err=True)
        warn(text)
    table, nothing, *document, said = out.getvalue().split("\n")[:-1]
    assert all(line.isprintable() for line in (table, nothing, *document, said, *err.getvalue().split("\n")))
    assert json.loads("\n".join(document)) == {text: [text]}
    assert len(err.getvalue().split("\n")) == 3


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
