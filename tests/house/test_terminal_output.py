"""What strangers wrote reaches a terminal through one room, which makes it safe to look at."""

import re
from pathlib import Path
from typing import Final

import fastsmtp.cli

FOLDER: Final = Path(fastsmtp.cli.__file__).parent
EXEMPT: Final = {"terminal.py", "exits.py"}
"""The room itself, and who ends with an error: in colour, through `printable`."""

_prints = re.compile(r"^.*(?:click\.s?echo|(?<![.\w])print|sys\.std(?:out|err)\.write)\(.*$", re.MULTILINE).findall


def test_commands_print_nothing_by_themselves() -> None:
    files = [file for file in FOLDER.glob("*.py") if file.name not in EXEMPT]
    found = {file.name: lines for file in files if (lines := _prints(file.read_text()))}
    assert not found, "use say(), warn(), print_table(), print_json() of fastsmtp.cli.terminal"
