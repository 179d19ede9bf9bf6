from pathlib import Path

import pytest

from fastsmtp.config.load import examine, load
from fastsmtp.errors import ConfigurationError

FAULTY = """
hostnam = "mx.example.org"
[limits]
message_size = "25 apples"
recipients = "many"
[maildir]
root = "mail"
[[plugin]]
use = "one"
[[plugin]]
use = "two"
timeout = "soon"
options = { a = 1 }
[[plugin]]
timeout = 1
[[plugin]]
use = "four"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fastsmtp.toml"


def test_relative_paths_are_relative_to_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('[maildir]\nroot = "post"\n')
    monkeypatch.chdir(file.parent.parent)

    assert load(Path(file.parent.name) / file.name).maildir.root == file.parent / "post"


def test_every_fault_at_once_with_file_and_key(file: Path) -> None:
    file.write_text(FAULTY)

    with pytest.raises(ConfigurationError) as caught:
        load(file)

    keys = [problem.removeprefix(f"{file}: ").partition(":")[0] for problem in caught.value.problems]
    assert sorted(keys) == ["hostnam", "limits.message_size", "limits.recipients", "plugin[1].timeout", "plugin[2].use"]
    assert all(problem.startswith(f"{file}: ") for problem in caught.value.problems)


def test_an_examination_goes_on_with_what_is_sound(file: Path) -> None:
    file.write_text(FAULTY)

    examination = examine(file)

    assert len(examination.problems) == 5
    assert examination.faulty_tables == {"hostnam", "limits", "plugin"}
    assert examination.settings.limits.recipients == 100
    assert examination.settings.maildir.root == file.parent / "mail"
    # Plugins keep their numbers; behind an entry that names none they would not.
    assert [(entry.use, entry.options, entry.timeout) for entry in examination.settings.plugin] == [
        ("one", {}, 10.0),
        ("two", {"a": 1}, 10.0),
    ]


def test_contradictions_are_among_the_faults(file: Path) -> None:
    file.write_text("""
        limits.recipients = 0
        [[plugin]]
        use = "loop"
        [[listener]]
        address = "127.0.0.1:0"
        plugins = ["lop"]
    """)

    examination = examine(file)

    assert examination.problems == (
        f"{file}: limits.recipients: 0 is too small; write 1 or more",
        f"{file}: listener[0].plugins[0]: no [[plugin]] is called 'lop'; did you mean \"loop\"?",
    )
    assert examination.faulty_tables == {"limits", "listener"}
    with pytest.raises(ConfigurationError, match="is called 'lop'"):
        load(file)


@pytest.mark.parametrize("plugins", ["plugin = 3", "plugin = [3]", 'plugin = ["a"]', "[plugin]\nuse = 1"])
def test_plugins_that_are_no_tables(file: Path, plugins: str) -> None:
    file.write_text(plugins)

    examination = examine(file)

    assert examination.faulty_tables == {"plugin"}
    assert examination.settings.plugin == ()


def test_a_list_of_which_nothing_is_right_is_not_called_empty(file: Path) -> None:
    file.write_text('[auth]\nmechanisms = ["CRAM-MD5"]\n')

    assert [problem.split(": ")[1] for problem in examine(file).problems] == ["auth.mechanisms[0]"]


def test_what_was_read_already_is_not_read_again(file: Path) -> None:
    assert load(file, {"maildir": {"root": "post"}}).maildir.root == file.parent / "post"
