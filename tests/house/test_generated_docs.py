"""Pages that a program writes are what it would write now."""

from pathlib import Path

from fastsmtp.config.document import document

DOCS = Path(__file__).parents[2] / "docs"


def test_configuration_page_is_current() -> None:
    assert (DOCS / "configuration.md").read_text() == document(), (
        "run: python -m fastsmtp.config.document > docs/configuration.md"
    )
