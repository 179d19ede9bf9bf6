"""Each part is played once or twice: that it is the part which is measured, not how fast it is."""

import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.micro import chain, dialogue, figures, lookup, parser, replies
from bench.micro.figures import Figure, NotPlayedError, best_ns


@pytest.fixture(autouse=True)
def one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "ROUNDS", 1)


@pytest.mark.parametrize(("module", "count"), [(parser, 11), (replies, 4), (lookup, 2), (chain, 4)])
def test_figures(module: object, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if module is parser:
        monkeypatch.setattr(parser, "_PLAYED", 4096)
    found = list(module.figures())  # type: ignore[attr-defined] # each of them has them
    assert len(found) == count
    assert all(isinstance(figure, Figure) and figure.value > 0 and figure.unit for figure in found)


@pytest.mark.parametrize("verb", ["data", "bdat"])
def test_dialogue(verb: str) -> None:
    assert dialogue.play_site(verb, 4096, messages=10, rounds=1) > 0


def test_a_message_that_is_not_taken_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogue, "ENVELOPE", (b"MAIL FROM:<a@bench.example>\r\n", b"RCPT TO:<b@bench.example>\r\n"))
    with pytest.raises(SystemExit, match="the server said"):
        dialogue.play_site("data", 4096, messages=3, rounds=1)  # fewer than errors are forgiven


def test_a_command_that_is_not_parsed_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "_COMMANDS", b"\0\r\n")
    with pytest.raises(NotPlayedError):
        list(parser.figures())


def test_best_is_the_least() -> None:
    plays = 0

    def play() -> None:
        nonlocal plays
        plays += 1

    assert best_ns(play, 3, per_play=2) >= 0
    assert plays == 4  # one to warm up


def test_command_line() -> None:
    done = CliRunner().invoke(main, ["micro", "replies"])
    assert done.exit_code == 0, done.output
    assert "a constant reply's bytes" in done.output
