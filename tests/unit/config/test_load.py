from pathlib import Path

import pytest

from fastsmtp.config.load import examine, find_file, load
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


def test_numbers_of_more_than_64_bits_are_not_toml(file: Path) -> None:
    file.write_text(
        f"[limits]\nhops = {2**63}\ncommands = {2**63 - 1}\n[[plugin]]\noptions = {{ a = [1, {-(2**70)}] }}\n"
    )

    with pytest.raises(ConfigurationError) as caught:
        examine(file)
    assert caught.value.problems == tuple(
        f"{file}: {key}: the number is too large; write 9223372036854775807 or less"
        for key in ("limits.hops", "plugin[0].options.a[1]")
    )


def test_not_toml_says_line_and_column(file: Path) -> None:
    file.write_text('hostname = "a"\n[limits\n')

    with pytest.raises(ConfigurationError, match=r"fastsmtp\.toml:2:8: not TOML: Expected ']'"):
        load(file)


def test_not_utf8_says_where(file: Path) -> None:
    file.write_bytes(b'hostname = "\xff"\n')

    with pytest.raises(ConfigurationError, match="not UTF-8 at octet 12"):
        load(file)


def test_a_file_that_cannot_be_read(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file or directory"):
        load(file)
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load(file.parent)


def test_the_file_is_looked_for_in_order(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    monkeypatch.delenv("FASTSMTP_CONFIG", raising=False)
    if not Path("/etc/fastsmtp/fastsmtp.toml").exists():
        with pytest.raises(ConfigurationError, match="no configuration: neither"):
            find_file()

    file.touch()
    assert find_file() == Path("fastsmtp.toml")
    monkeypatch.setenv("FASTSMTP_CONFIG", "/elsewhere/mx.toml")
    assert find_file() == Path("/elsewhere/mx.toml")
    assert find_file(Path("given.toml")) == Path("given.toml")
