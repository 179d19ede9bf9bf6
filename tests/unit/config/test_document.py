import subprocess
import sys
import tomllib

from fastsmtp.config.document import document
from fastsmtp.config.model import Settings
from fastsmtp.config.outline import outline


def test_every_key_has_its_row() -> None:
    page = document()

    for table in outline():
        assert not table.name or f"## `{table.heading}`\n" in page
        for key in table.keys:
            assert f"| `{key.name}` | {key.type_name} |" in page


def test_the_complete_example_is_valid() -> None:
    example = document().split("```toml\n")[1].split("```")[0]

    assert Settings.model_validate(tomllib.loads(example)).plugin[0].use == "block_sender"


def test_the_module_prints_the_page() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "fastsmtp.config.document"], check=True, capture_output=True, text=True
    ).stdout

    assert printed == document()
