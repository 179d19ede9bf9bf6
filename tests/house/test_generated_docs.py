"""Pages that a program writes are what it would write now."""

from pathlib import Path

from fastsmtp.config import document as configuration
from fastsmtp.server import document as metrics

DOCS = Path(__file__).parents[2] / "docs"


def test_configuration_page_is_current() -> None:
    assert (DOCS / "configuration.md").read_text() == configuration.document(), "run: make docs"


def test_metrics_page_is_current() -> None:
    assert (DOCS / "metrics.md").read_text() == metrics.document(), "run: make docs"
