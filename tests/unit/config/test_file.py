from pathlib import Path

import pytest

from fastsmtp.config.file import find_file, read_file
from fastsmtp.errors import ConfigurationError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fastsmtp.toml"


def test_its_tables(file: Path) -> None:
    file.write_text('[maildir]\nroot = "post"\n')

    assert read_file(file) == {"maildir": {"root": "post"}}


def test_not_toml_says_line_and_column(file: Path) -> None:
    file.write_text('hostname = "a"\n[limits\n')

    with pytest.raises(ConfigurationError, match=r"fastsmtp\.toml:2:8: not TOML: Expected ']'"):
        read_file(file)


def test_numbers_of_more_than_64_bits_are_not_toml(file: Path) -> None:
    file.write_text(
        f"[limits]\nhops = {2**63}\ncommands = {2**63 - 1}\n[[plugin]]\noptions = {{ a = [1, {-(2**70)}] }}\n"
    )

    with pytest.raises(ConfigurationError) as caught:
        read_file(file)
    assert caught.value.problems == tuple(
        f"{file}: {key}: the number is too large; write 9223372036854775807 or less"
        for key in ("limits.hops", "plugin[0].options.a[1]")
    )


def test_not_utf8_says_where(file: Path) -> None:
    file.write_bytes(b'hostname = "\xff"\n')

    with pytest.raises(ConfigurationError, match="not UTF-8 at octet 12"):
        read_file(file)


def test_a_file_that_cannot_be_read(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file or directory"):
        read_file(file)
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        read_file(file.parent)


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
