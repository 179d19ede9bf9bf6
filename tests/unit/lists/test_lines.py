"""Lists in files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.lists.lines import read_entries


def read(tmp_path: Path, content: bytes) -> list[str]:
    path = tmp_path / "list"
    path.write_bytes(content)
    return read_entries(path, str)


@pytest.mark.parametrize(
    ("content", "entries"),
    [
        (b"", []),
        (b"a\nb", ["a", "b"]),
        (b"  a \t\r\n\r\n\n b c  \n", ["a", "b c"]),
        (b"# all\na # of it\n#b\n/[#]x/ # but not in it\n", ["a", "/[#]x/"]),
        (b"\xef\xbb\xbfa\n", ["a"]),
        ("bücher.example\n".encode(), ["bücher.example"]),
        ("a\u2028b\n".encode(), ["a\u2028b"]),
    ],
)
def test_one_entry_a_line(tmp_path: Path, content: bytes, entries: list[str]) -> None:
    assert read(tmp_path, content) == entries


def test_every_problem_at_once_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("1\n\n# x\ntwo\n3\n" + "9" * 1001 + "\n")
    with pytest.raises(ValueError, match="invalid literal") as caught:
        read_entries(path, int)
    assert str(caught.value).splitlines() == [
        f"{path}:4: invalid literal for int() with base 10: 'two'",
        f"{path}:6: an entry has at most 1000 characters, not 1001",
    ]


def test_of_many_problems_the_first_ten(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("x\n" * 25)
    with pytest.raises(ValueError, match="15 more like that") as caught:
        read_entries(path, int)
    assert len(str(caught.value).splitlines()) == 11


def test_what_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"list: not UTF-8 at octet 2"):
        read(tmp_path, b"a\n\xff\n")


@given(st.lists(st.text(st.characters(exclude_characters="#\n", exclude_categories=["Cs"]), min_size=1, max_size=50)))
def test_what_was_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "written"
    path.write_bytes("\n".join(lines).encode())
    wanted = [line.strip() for line in lines]
    if wanted:
        wanted[0] = lines[0].removeprefix("\ufeff").strip()
    assert read_entries(path, str) == [line for line in wanted if line]


def test_of_no_file_there_is_no_entry() -> None:
    assert read_entries(None, str) == []
