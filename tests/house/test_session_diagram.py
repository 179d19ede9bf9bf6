"""The picture in docs/session.md is the table in fastsmtp/smtp/transitions.py."""

from pathlib import Path

from fastsmtp.smtp.transitions import TRANSITIONS, mermaid

PAGE = (Path(__file__).parents[2] / "docs" / "session.md").read_text()


def test_the_diagram_is_current() -> None:
    drawn = PAGE.partition("```mermaid\n")[2].partition("\n```")[0]
    assert drawn == mermaid(), (
        "put the output of this into docs/session.md: "
        "python -c 'from fastsmtp.smtp.transitions import mermaid; print(mermaid())'"
    )


def test_every_verb_is_on_the_page() -> None:
    verbs = {verb.decode() for row in TRANSITIONS.values() for verb in row}
    assert sorted(verb for verb in verbs - {"PUT", "HEAD", "OPTIONS", "CONNECT", "PATCH"} if verb not in PAGE) == []
