"""Every input that fuzzing has kept, again, without a fuzzer; and that the targets would notice."""

import importlib
import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import segments
from fuzz import corpora, path_grammar
from fuzz.targets import address, chunks, commands, data, journal, proxy, sasl, session
from properties import oracle

from fastsmtp.server.proxy.header import ProxyHeader, read_header
from fastsmtp.smtp.replies import Reply


def check_all(target: str) -> None:
    module = importlib.import_module(f"fuzz.targets.{target}")
    for number, given in enumerate(corpora.read(target), start=1):
        try:
            module.check(given)
        except BaseException as error:
            error.add_note(f"line {number} of tests/fuzz/corpus/{target}.txt: {given!r}")
            raise


@pytest.mark.parametrize("target", corpora.TARGETS)
def test_what_was_kept_is_still_right(target: str) -> None:
    assert corpora.read(target)
    check_all(target)


@pytest.mark.parametrize("target", corpora.TARGETS)
def test_a_target_says_its_invariant_in_its_first_line(target: str) -> None:
    module = importlib.import_module(f"fuzz.targets.{target}")
    assert re.fullmatch(r"[A-Z].{40,}\.", (module.__doc__ or "").splitlines()[0])


def test_inputs_are_kept_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "HERE", tmp_path)
    (tmp_path / "corpus").mkdir()
    inputs = [b"", b"\n", b"'\"\\", bytes(range(256))]
    corpora.write("data", [*inputs, b"\n"])
    assert corpora.read("data") == inputs


# ---------------------------------------------------------------- mistakes that somebody has made


def ends_at_bare_newlines(wire: bytes) -> oracle.Message | None:
    """SMTP smuggling: <LF>.<LF> is an end."""
    return real_message(wire.replace(b"\n.\n", b"\r\n.\r\n"))


def forgets_transparency(wire: bytes) -> oracle.Message | None:
    found = real_message(wire)
    return found and oracle.Message(found.stored.replace(b"..", b"."), found.rest, found.bare)


def takes_bare_newlines(wire: bytes, line_bytes: int) -> Any:
    """One line that a strict reader sees is two commands."""
    return real_commands(wire.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), line_bytes)


def takes_longer_lines(wire: bytes, line_bytes: int) -> Any:
    return real_commands(wire, line_bytes + 1)


def keeps_carriage_returns(given: list[bytes], *, binary: bool) -> oracle.Message:
    return real_chunked(given, binary=True)


def takes_any_octet(given: bytes) -> path_grammar.Path | None:
    return real_path(given.replace(b" ", b"a"))


def ends_early(given: bytes | bytearray) -> tuple[ProxyHeader, int] | None:
    found = real_header(given)
    return found and (found[0], found[1] - 1)


def ends_in_a_bare_newline(challenge: bytes) -> bytes:
    return b"334 " + b64encode(challenge) + b"\n"


def forgets_heads(segment: bytes, lap: int, offset: int) -> tuple[segments.Record, int]:
    record, end = real_record(segment, lap, offset)
    return record._replace(copies=tuple(copy._replace(head=b"") for copy in record.copies)), end


def accepts_nobody(*_: object) -> Reply:
    return Reply(250, "2.0.0", "x" * 600)


real_message, real_commands, real_chunked = oracle.message, oracle.commands, oracle.chunked
real_path, real_header, real_record = path_grammar.read_path, read_header, segments.decode

MISTAKES: list[tuple[Any, str, Callable[..., Any], Any]] = [
    (data, "message", ends_at_bare_newlines, oracle),
    (data, "message", forgets_transparency, oracle),
    (commands, "commands", takes_bare_newlines, oracle),
    (commands, "commands", takes_longer_lines, oracle),
    (chunks, "chunked", keeps_carriage_returns, oracle),
    (address, "read_path", takes_any_octet, path_grammar),
    (journal, "decode", forgets_heads, journal),
    (proxy, "read_header", ends_early, proxy),
    (sasl, "encode_challenge", ends_in_a_bare_newline, sasl),
    (session, "message", forgets_transparency, oracle),
    (session, "answer", accepts_nobody, session),
]


@pytest.mark.parametrize(
    ("target", "name", "mistake", "where"),
    MISTAKES,
    ids=[f"{target.__name__.rpartition('.')[2]}-{mistake.__name__}" for target, _, mistake, _ in MISTAKES],
)
def test_a_mistake_is_noticed(
    target: Any, name: str, mistake: Callable[..., Any], where: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made in the oracle or in the code, it is a difference in either case."""
    monkeypatch.setattr(where, name, mistake)
    with pytest.raises(AssertionError):
        check_all(target.__name__.rpartition(".")[2])
