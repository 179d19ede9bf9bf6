"""No compiled module hides a source that was changed since."""

import os
import traceback
from pathlib import Path
from typing import cast

import pytest
from compiled import out_of_date

from fastsmtp.smtp.extensions import parse_mail_parameters

ROOT = Path(__file__).parents[2]
LIBRARY = "words.cpython-311-x86_64-linux-gnu.so"


def make(folder: Path, ages_s: dict[str, int]) -> Path:
    for name, age_s in ages_s.items():
        (folder / name).touch()
        os.utime(folder / name, (1_000_000 - age_s, 1_000_000 - age_s))
    return folder


def test_what_was_compiled_is_what_the_sources_say() -> None:
    assert not out_of_date(ROOT / "fastsmtp")


@pytest.mark.parametrize("changed", ["words.py", "words.pxd"])
def test_a_source_that_was_changed_since(tmp_path: Path, changed: str) -> None:
    folder = make(tmp_path, {"words.py": 9, "words.pxd": 9, LIBRARY: 5, changed: 1})
    assert out_of_date(folder) == [f"{LIBRARY} was compiled before {changed} was changed; run make .venv/.built"]


def test_what_is_to_be_compiled_no_more(tmp_path: Path) -> None:
    (left,) = out_of_date(make(tmp_path, {"words.py": 9, LIBRARY: 5}))
    assert "nothing says that it is to be compiled" in left


def test_what_is_up_to_date_or_was_never_compiled(tmp_path: Path) -> None:
    assert not out_of_date(make(tmp_path, {"words.pyx": 9, LIBRARY: 5, "others.py": 1, "others.pxd": 1}))


def test_a_traceback_shows_the_source() -> None:
    with pytest.raises(TypeError) as raised:
        parse_mail_parameters(b" SIZE=1", cast("dict[str, str]", None))  # raises what nobody expects
    shown = "".join(traceback.format_exception(raised.value))  # as the log does
    assert 'fastsmtp/smtp/extensions.py", line' in shown
    assert "if read is None or extension not in offered:" in shown
