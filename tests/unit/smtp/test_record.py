"""Notes and results."""

from dataclasses import dataclass

import pytest

from fastsmtp.smtp.record import OUTCOMES, Authentication, Notes, Result


@dataclass
class Score:
    points: int


class BetterScore(Score):
    """A class of its own, and so a note of its own."""


def test_a_note_is_found_by_its_class() -> None:
    notes = Notes()
    notes.put(Score(1))
    notes.put("some text")
    assert notes.get(Score) == Score(1)
    assert notes.get(str) == "some text"


def test_no_note_is_none() -> None:
    notes = Notes()
    assert notes.get(Score) is None
    notes.put("some text")
    assert notes.get(Score) is None


def test_there_is_one_note_of_a_class() -> None:
    notes = Notes()
    notes.put(Score(1))
    notes.put(Score(2))
    assert notes.get(Score) == Score(2)


def test_a_subclass_is_another_class() -> None:
    notes = Notes()
    notes.put(BetterScore(3))
    assert notes.get(Score) is None
    assert notes.get(BetterScore) == BetterScore(3)


def test_notes_of_two_transactions_are_apart() -> None:
    mine, yours = Notes(), Notes()
    mine.put(Score(1))
    assert yours.get(Score) is None


def test_a_result_stays_as_it_was_found() -> None:
    result = Result("headers", "fail", "no Date")
    assert result == Result(plugin="headers", outcome="fail", evidence="no Date")
    with pytest.raises(AttributeError):
        result.outcome = "pass"  # type: ignore[misc]  # what mypy says is what we check


def test_a_result_may_be_about_who_sent_it() -> None:
    assert Result("headers", "fail", "no Date").authentication is None
    found = Authentication("spf", "pass", (("smtp", "mailfrom", "jo\ne@example.org"),), "any\ntext")
    assert Result("spf", "pass", "matched a", found).authentication == found


@pytest.mark.parametrize(
    ("method", "result", "properties"),
    [
        ("", "pass", ()),
        ("spf", "", ()),
        ("spf", "pass; dkim=pass", ()),
        ("s pf", "pass", ()),
        ("spf-", "pass", ()),
        ("spf\n", "pass", ()),
        ("spf", "pass", (("sm.tp", "mailfrom", "x"),)),
        ("spf", "pass", (("smtp", "mail\nfrom", "x"),)),
    ],
)
def test_words_that_could_not_stand_in_the_field(
    method: str, result: str, properties: tuple[tuple[str, str, str], ...]
) -> None:
    with pytest.raises(ValueError, match="is not a keyword of Authentication-Results"):
        Authentication(method, result, properties)


def test_outcomes() -> None:
    assert OUTCOMES == ("pass", "fail", "skip", "error")
