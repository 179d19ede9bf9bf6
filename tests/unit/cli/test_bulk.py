import io
from collections.abc import Iterable, Iterator

import pytest

from fastsmtp.cli.bulk import import_lines
from fastsmtp.cli.exits import Failure
from fastsmtp.directory.admin import Imported, RefusedImportError
from fastsmtp.directory.admin_import import Progress
from fastsmtp.directory.csv_lines import Problem

WRONG = (Problem(2, "is odd"), Problem(3, "is even"))


def read(lines: Iterable[str]) -> Iterator[str]:
    return (line.strip() for line in lines)


@pytest.mark.parametrize(
    ("imported", "said"),
    [
        (Imported(0, 0, ()), "things added: 0\n"),
        (Imported(2, 0, ()), "things added: 2\n"),
        (Imported(0, 1, WRONG), "things added: 0, updated: 1, left out: 2\n"),
    ],
)
def test_what_became_of_the_lines(imported: Imported, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    stored: list[str] = []

    def store(lines: Iterable[str], progress: Progress) -> Imported:
        stored.extend(lines)
        progress(2, 2)
        return imported

    import_lines(io.StringIO("one\ntwo\n"), read, store, "things")

    assert stored == ["one", "two"]
    output = capsys.readouterr()
    assert output.out == said
    assert output.err == "".join(f"warning: {problem}; left out\n" for problem in imported.problems)


def test_all_wrong_lines_are_told() -> None:
    def store(lines: Iterable[str], progress: Progress) -> Imported:
        raise RefusedImportError(WRONG)

    with pytest.raises(Failure) as caught:
        import_lines(io.StringIO(""), read, store, "things")

    assert caught.value.problems == ("line 2: is odd", "line 3: is even", "nothing was imported")
