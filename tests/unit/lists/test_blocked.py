"""Entries from everywhere are one list."""

import asyncio
from pathlib import Path

import pytest

from fastsmtp.errors import DirectoryError, PluginLoadError
from fastsmtp.lists.addresses import parse_address_entry
from fastsmtp.lists.blocked import BlockList
from fastsmtp.smtp.address import parse_mailbox
from fastsmtp.testing import MemoryLists


def test_options_file_and_directory_are_one_list(tmp_path: Path) -> None:
    async def work() -> None:
        file = tmp_path / "senders"
        file.write_text("file.example from the file\n!good@stored.example\n")
        entries = map(parse_address_entry, ["ann@example.org", "options.example"])
        lists = MemoryLists()
        lists.entries["sender"] = {
            "stored.example": "from the directory",
            "file.example": "too late",
            "!good@file.example": "",
            "!good@options.example": "",
        }
        blocked = BlockList(entries, file, ("sender",), subdomains=True)

        def reason(address: str) -> str | None:
            found = blocked.find(parse_mailbox(address))
            return None if found is None else found.reason

        assert reason("a@stored.example") is None  # not started
        await blocked.start(lists)
        try:
            assert reason("ann@example.org") == ""
            assert reason("a@options.example") == ""
            assert reason("a@mail.file.example") == "from the file"
            assert reason("a@stored.example") == "from the directory"
            for good in ("good@stored.example", "good@file.example", "good@options.example", "a@other.example"):
                assert reason(good) is None
        finally:
            await blocked.stop()

    asyncio.run(work())


def test_without_a_list_the_directory_is_not_asked() -> None:
    async def work() -> None:
        lists = MemoryLists()
        lists.trouble = DirectoryError("it was asked")
        blocked = BlockList([parse_address_entry("spam.example")], None, (), subdomains=False)
        await blocked.start(lists)
        assert blocked.find(parse_mailbox("a@spam.example")) is not None
        assert blocked.find(parse_mailbox("a@mail.spam.example")) is None
        await blocked.stop()

    asyncio.run(work())


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PluginLoadError, match="cannot be read"):
        BlockList((), tmp_path / "nowhere", (), subdomains=True)
