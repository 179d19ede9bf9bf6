"""Lists in the directory: read at the start and after a change; what is wrong leaves the last good one."""

import asyncio
import logging
import time

import pytest

from fastsmtp.errors import DirectoryError
from fastsmtp.lists import stored
from fastsmtp.lists.stored import StoredList, parse_rows
from fastsmtp.ports import ListRow
from fastsmtp.smtp.address import parse_mailbox
from fastsmtp.testing import MemoryLists


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["error"] for record in caplog.records if record.levelno == logging.ERROR]


def test_rows_are_entries_and_the_reason_of_the_row_goes_before_that_of_the_entry() -> None:
    rows = [ListRow(" Ann@Example.org ", "go"), ListRow("spam.example we know you", ""), ListRow("b@ one", "two")]
    assert [(one.kind, one.key, one.reason) for one in parse_rows("sender", rows)] == [
        ("address", "ann@example.org", "go"),
        ("domain", "spam.example", "we know you"),
        ("local", "b", "two"),
    ]


def test_every_row_that_is_no_entry_is_told() -> None:
    rows = [ListRow("good.example", ""), ListRow("", ""), ListRow("*.example", ""), ListRow("x" * 1001, "")]
    with pytest.raises(ValueError, match="the list sender in the directory, entry ''") as caught:
        parse_rows("sender", rows)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("the list sender in the directory, entry '*.example': '*.example' is no pattern")
    assert lines[2].endswith("an entry has at most 1000 characters, not 1001")


def test_changes_are_seen_and_trouble_leaves_the_last_good_list(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        caplog.set_level(logging.INFO, "fastsmtp.lists")
        lists, watched = MemoryLists(), StoredList("sender")
        lists.entries["sender"] = {"spam.example": ""}
        lists.entries["recipient"] = {"ann@": ""}
        spam, other = parse_mailbox("a@mail.spam.example"), parse_mailbox("a@other.example")

        assert watched.value.find(spam) is None
        await watched.start(lists)
        try:
            assert watched.value.find(spam) is not None
            assert watched.value.find(parse_mailbox("ann@example.org")) is None
            assert not await watched.look(lists)

            lists.entries["sender"] = {"other.example": ""}
            assert await watched.look(lists)
            assert (watched.value.find(spam), watched.value.find(other) is None) == (None, False)

            lists.entries["sender"] = {"*.example": ""}
            assert not await watched.look(lists)
            assert not await watched.look(lists)
            assert len(errors(caplog)) == 1
            assert watched.value.find(other) is not None

            lists.trouble = DirectoryError("it is away")
            assert not await watched.look(lists)
            assert not await watched.look(lists)
            assert errors(caplog)[1:] == ["it is away"]
            assert watched.value.find(other) is not None

            lists.trouble = None
            lists.entries["sender"] = {"spam.example": ""}
            assert await watched.look(lists)
            assert watched.value.find(spam) is not None
            told = [record.message for record in caplog.records if record.levelno == logging.INFO]
            assert told == ["list read again", "list can be read again", "list read again"]
        finally:
            await watched.stop()

    asyncio.run(work())


def test_it_is_looked_at_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "INTERVAL_S", 0.01)
    lists, watched = MemoryLists(), StoredList("sender", subdomains=False)
    with asyncio.Runner() as runner:
        runner.run(watched.start(lists))
        lists.entries["sender"] = {"spam.example": ""}
        deadline = time.monotonic() + 20
        while watched.value.find(parse_mailbox("a@spam.example")) is None:
            assert time.monotonic() < deadline
            runner.run(asyncio.sleep(0.01))
        assert watched.value.find(parse_mailbox("a@mail.spam.example")) is None
        runner.run(watched.stop())


@pytest.mark.parametrize("entry", ["*.example", None])
def test_it_does_not_start_with_a_list_that_is_wrong_or_away(entry: str | None) -> None:
    async def work() -> None:
        lists = MemoryLists()
        if entry is None:
            lists.trouble = DirectoryError("it is away")
        else:
            lists.entries["sender"] = {entry: ""}
        watched = StoredList("sender")
        with pytest.raises(DirectoryError, match=r"it is away|is no pattern for addresses"):
            await watched.start(lists)
        await watched.stop()

    asyncio.run(work())
