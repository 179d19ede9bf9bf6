"""Quotas: who still gets mail, what is counted, and what others' changes do to it."""

import asyncio
import os
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from fastsmtp.delivery.quota import STALE_S, MaildirQuotas, OverQuota, Usage, usage
from fastsmtp.ports import Mailbox, Quotas
from fastsmtp.smtp.address import parse_mailbox
from fastsmtp.smtp.replies import MAILBOX_FULL, MAILBOX_FULL_FOR_GOOD, STORE_TROUBLE, Reply
from fastsmtp.smtp.transaction import Recipient
from fastsmtp.stats import Stats
from fastsmtp.testing import SettableClock

QUOTA = 1000
ANN = Mailbox("example.test", "ann", QUOTA)
BOB = Mailbox("example.test", "bob", QUOTA)
FREE = Mailbox("example.test", "free")
STORED = Reply(250, "2.0.0", "stored")


class Rig:
    """The quotas of a mail root, with a clock that can be set."""

    def __init__(self, root: Path, over_quota: OverQuota = "defer", entries: int = 100) -> None:
        self.clock = SettableClock(time.time())
        self.quotas = MaildirQuotas(self.clock, stats := Stats(), over_quota, entries)
        self._stats = stats
        self._root = root

    async def __aenter__(self) -> Self:
        self._fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        self.quotas.open(self._fd)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.quotas.close()
        os.close(self._fd)

    async def admits(self, size: int | None, *mailboxes: Mailbox) -> Reply | None:
        """Whether a message fits, waiting for the answer where that is necessary."""
        port: Quotas = self.quotas
        answer = port.admits(mailboxes or (ANN,), size)
        return await answer if isinstance(answer, Awaitable) else answer

    def ask(self, size: int | None, *mailboxes: Mailbox) -> Reply | None:
        """The same, from the start to the end of the quotas."""

        async def main() -> Reply | None:
            async with self:
                return await self.admits(size, *mailboxes)

        return asyncio.run(main())

    def count(self, name: str, *values: str) -> int:
        family = next(family for family in self._stats.families() if family.name == f"fastsmtp_quota_{name}_total")
        return self._stats.cells[family.children[values]]

    @property
    def recounts(self) -> int:
        return self.count("recounts")


def make_mailbox(
    root: Path, mailbox: Mailbox = ANN, *, content: str | None = None, messages: Sequence[int] = ()
) -> Path:
    """A mailbox with messages of these sizes, and a maildirsize file."""
    folder = root / mailbox.domain / mailbox.user
    for leaf in ("new", "cur", "tmp"):
        (folder / leaf).mkdir(parents=True)
    put(folder, *messages)
    if content is not None:
        (folder / "maildirsize").write_text(content)
    return folder


def put(folder: Path, *sizes: int) -> None:
    for size in sizes:
        (folder / "new" / f"{len(list((folder / 'new').iterdir()))}.x,S={size}").touch()


def append(folder: Path, line: str) -> None:
    """What an IMAP server does."""
    with (folder / "maildirsize").open("a") as file:
        file.write(line)


# --- one check --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("used", "size", "fits"),
    [
        (400, 600, True),
        (400, 601, False),
        (999, None, True),
        (1000, None, False),
        (1000, 0, False),
        (999, 0, True),
        (0, 1000, True),
        (0, 1001, False),
        (5000, 1, False),
    ],
)
def test_the_last_octet_of_a_quota_may_be_used(tmp_path: Path, *, used: int, size: int | None, fits: bool) -> None:
    make_mailbox(tmp_path, content=f"{QUOTA}S\n{used} 1\n")
    rig = Rig(tmp_path)
    assert rig.ask(size) is (None if fits else MAILBOX_FULL)
    assert rig.recounts == 0
    assert rig.count("refusals", "rcpt") == (not fits)
    assert rig.count("refusals", "data") == 0


def test_without_a_quota_nothing_is_looked_at(tmp_path: Path) -> None:
    folder = make_mailbox(tmp_path, FREE, messages=[10_000])
    rig = Rig(tmp_path)
    assert rig.ask(1_000_000, FREE) is None
    assert not (folder / "maildirsize").exists()
    assert rig.recounts == 0


def test_a_mailbox_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert rig.ask(QUOTA) is None
    assert rig.ask(QUOTA + 1) is MAILBOX_FULL
    assert (list(tmp_path.iterdir()), rig.recounts) == ([], 0)


def test_without_a_file_the_messages_are_counted_once(tmp_path: Path) -> None:
    folder = make_mailbox(tmp_path, messages=[300, 200])
    (folder / ".Sent" / "cur").mkdir(parents=True)
    (folder / ".Sent" / "cur" / "1.x,S=100:2,S").touch()
    rig = Rig(tmp_path)
    assert rig.ask(400) is None
    assert (folder / "maildirsize").read_text() == "1000S\n600 3\n"
    assert rig.ask(401) is MAILBOX_FULL
    assert rig.recounts == 1


@pytest.mark.parametrize(
    "content",
    [
        "",
        "1000S",
        "1000S\n",
        "1000S\n9000 1\n1",
        "nonsense\n9000 1\n",
        "500S\n9000 1\n",
        "7C\n9000 1\n",
        "1000S\n-1 1\n",
        "1000S\n" + "9 1\n" * 1300,
    ],
)
def test_a_file_that_cannot_be_relied_on_is_replaced(tmp_path: Path, content: str) -> None:
    folder = make_mailbox(tmp_path, content=content, messages=[300])
    rig = Rig(tmp_path)
    assert rig.ask(700) is None
    assert (folder / "maildirsize").read_text() == "1000S\n300 1\n"
    assert rig.recounts == 1


def test_a_file_with_a_limit_of_messages_too_is_left_alone(tmp_path: Path) -> None:
    make_mailbox(tmp_path, content="1000S,7C\n900 1\n")
    rig = Rig(tmp_path)
    assert rig.ask(101) is MAILBOX_FULL
    assert rig.recounts == 0


def test_an_old_file_is_not_believed_when_it_refuses(tmp_path: Path) -> None:
    folder = make_mailbox(tmp_path, content="1000S\n900 9\n", messages=[300])
    rig = Rig(tmp_path)
    rig.clock.now = (folder / "maildirsize").stat().st_mtime + STALE_S - 1
    assert rig.ask(101) is MAILBOX_FULL
    rig.clock.advance(2)
    assert rig.ask(100) is None
    assert rig.recounts == 0
    assert rig.ask(101) is None
    assert rig.recounts == 1
    assert (folder / "maildirsize").read_text() == "1000S\n300 1\n"


def test_what_can_never_fit_is_not_counted_for(tmp_path: Path) -> None:
    make_mailbox(tmp_path, messages=[300])
    rig = Rig(tmp_path)
    assert rig.ask(QUOTA + 1) is MAILBOX_FULL
    assert rig.ask(None, ANN._replace(quota_bytes=0)) is MAILBOX_FULL
    assert rig.recounts == 0


@pytest.mark.parametrize(
    ("over_quota", "full", "refusal"),
    [
        ("defer", (ANN, BOB), MAILBOX_FULL),
        ("defer", (ANN,), MAILBOX_FULL),
        ("reject", (ANN, BOB), MAILBOX_FULL_FOR_GOOD),
        ("reject", (ANN,), MAILBOX_FULL),  # a 5xx would be final for Bob
        ("reject", (), None),
    ],
)
def test_no_mailbox_is_refused_for_good_because_another_is_full(
    tmp_path: Path, over_quota: OverQuota, full: tuple[Mailbox, ...], refusal: Reply | None
) -> None:
    for mailbox in (ANN, BOB):
        make_mailbox(tmp_path, mailbox, messages=[QUOTA if mailbox in full else 1])
    rig = Rig(tmp_path, over_quota)
    for _ in ("counted", "known"):
        assert rig.ask(1, ANN, BOB) is refusal
    assert rig.ask(1, FREE, ANN, BOB) is (refusal and MAILBOX_FULL)


# --- changes ----------------------------------------------------------------------------------------------------------


def test_what_others_do_is_noticed(tmp_path: Path) -> None:
    folder = make_mailbox(tmp_path, content="1000S\n900 9\n", messages=[300])
    rig = Rig(tmp_path)

    async def main() -> None:
        async with rig:
            admits = rig.quotas.admits
            assert admits([ANN], 101) is MAILBOX_FULL
            append(folder, "-100 -1\n")
            assert admits([ANN], 200) is None
            assert admits([ANN], 201) is MAILBOX_FULL
            (folder / "other").write_text("1000S\n500 5\n")  # by somebody who has counted
            (folder / "other").rename(folder / "maildirsize")
            assert admits([ANN], 500) is None
            assert admits([ANN], 501) is MAILBOX_FULL
            assert rig.recounts == 0
            (folder / "maildirsize").unlink()
            assert await rig.admits(700) is None
            assert admits([ANN], 701) is MAILBOX_FULL
            assert rig.recounts == 1

    asyncio.run(main())


def test_another_quota_is_noticed(tmp_path: Path) -> None:
    folder = make_mailbox(tmp_path, content="1000S\n900 9\n", messages=[300])
    rig = Rig(tmp_path)

    async def main() -> None:
        async with rig:
            assert await rig.admits(100) is None
            assert await rig.admits(4701, ANN._replace(quota_bytes=5000)) is MAILBOX_FULL
            assert await rig.admits(4700, ANN._replace(quota_bytes=5000)) is None

    asyncio.run(main())
    assert (folder / "maildirsize").read_text() == "5000S\n300 1\n"
    assert rig.recounts == 1


def test_two_workers_see_each_other(tmp_path: Path) -> None:
    folder = make_mailbox(tmp_path, content="1000S\n0 0\n")
    one, other = Rig(tmp_path), Rig(tmp_path)

    async def main() -> None:
        async with one, other:
            for rig in (one, other, one, other):
                assert rig.quotas.deliver([(ANN, 250)], lambda: STORED) is STORED
            for rig in (one, other):
                assert rig.quotas.deliver([(ANN, 1)], lambda: STORED) is MAILBOX_FULL

    asyncio.run(main())
    assert (folder / "maildirsize").read_text() == "1000S\n0 0\n" + "250 1\n" * 4


def test_a_small_memory_is_right_too(tmp_path: Path) -> None:
    mailboxes = [Mailbox("example.test", f"u{number}", QUOTA) for number in range(5)]
    for number, mailbox in enumerate(mailboxes):
        make_mailbox(tmp_path, mailbox, content=f"1000S\n{number} 1\n")
    rig = Rig(tmp_path, entries=2)

    async def main() -> None:
        async with rig:
            for size in (100, 200):
                for mailbox in mailboxes:
                    assert rig.quotas.deliver([(mailbox, size)], lambda: STORED) is STORED
            for number, mailbox in enumerate(mailboxes):
                assert await rig.admits(700 - number, mailbox) is None
                assert await rig.admits(701 - number, mailbox) is MAILBOX_FULL

    asyncio.run(main())
    assert rig.recounts == 0


def test_our_own_lines_make_a_long_file_short_again(tmp_path: Path) -> None:
    folder = make_mailbox(tmp_path, content="1000S\n0 0\n")
    rig = Rig(tmp_path)

    async def main() -> None:
        async with rig:
            for _ in range(1300):  # nothing lies in the mailbox: only the file says that something came
                reply = rig.quotas.deliver([(ANN, 0)], lambda: STORED)
                assert (reply if isinstance(reply, Reply) else await reply) is STORED

    asyncio.run(main())
    assert rig.recounts == 1
    assert (folder / "maildirsize").stat().st_size < 5120


def test_who_waits_for_the_same_count_waits_together(tmp_path: Path) -> None:
    for mailbox in (ANN, BOB):
        make_mailbox(tmp_path, mailbox, messages=[300])
    rig = Rig(tmp_path)

    async def main() -> None:
        async with rig:
            questions = [(700, ANN), (701, ANN), (700, BOB), (1, ANN)]
            answers = await asyncio.gather(*(rig.admits(size, mailbox) for size, mailbox in questions))
            assert answers == [None, MAILBOX_FULL, None, None]

    asyncio.run(main())
    assert rig.recounts == 2


def test_who_goes_away_does_not_end_the_count_for_others(tmp_path: Path) -> None:
    make_mailbox(tmp_path, messages=[300])
    rig = Rig(tmp_path)

    async def main() -> None:
        async with rig:
            leaving, staying = (asyncio.create_task(rig.admits(701)) for _ in range(2))
            await asyncio.sleep(0)
            leaving.cancel()
            assert await staying is MAILBOX_FULL
            assert leaving.cancelled()

    asyncio.run(main())
    assert rig.recounts == 1


# --- delivering -------------------------------------------------------------------------------------------------------


class Writer:
    """Counts how often it was called; answers now, soon, or with a future when the test says so."""

    def __init__(self, reply: Reply = STORED) -> None:
        self.reply = reply
        self.futures: list[asyncio.Future[Reply]] = []
        self.calls = 0

    def now(self) -> Reply:
        self.calls += 1
        return self.reply

    def soon(self) -> asyncio.Future[Reply]:
        future = self.later()
        asyncio.get_running_loop().call_soon(future.set_result, self.reply)
        return future

    def later(self) -> asyncio.Future[Reply]:
        self.calls += 1
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]


def test_what_is_stored_is_counted_before_the_client_hears_of_it(tmp_path: Path) -> None:
    folders = [make_mailbox(tmp_path, mailbox, content="1000S\n0 0\n") for mailbox in (ANN, BOB)]
    free = make_mailbox(tmp_path, FREE)
    rig, writer = Rig(tmp_path), Writer()
    copies = [(ANN, 400), (FREE, 402), (BOB, 401)]

    async def main() -> None:
        async with rig:
            assert rig.quotas.deliver(copies, writer.now) is STORED
            pending = rig.quotas.deliver(copies, writer.soon)
            assert not isinstance(pending, Reply)
            assert await pending is STORED
            assert rig.quotas.deliver(copies, writer.now) is MAILBOX_FULL

    asyncio.run(main())
    assert [(folder / "maildirsize").read_text() for folder in folders] == [
        "1000S\n0 0\n400 1\n400 1\n",
        "1000S\n0 0\n401 1\n401 1\n",
    ]
    assert not (free / "maildirsize").exists()
    assert writer.calls == 2
    assert (rig.count("refusals", "data"), rig.count("refusals", "rcpt")) == (1, 0)


def test_what_is_not_stored_is_not_counted(tmp_path: Path) -> None:
    folder = make_mailbox(tmp_path, content="1000S\n0 0\n")
    rig, writer = Rig(tmp_path), Writer(STORE_TROUBLE)

    async def main() -> None:
        async with rig:
            assert rig.quotas.deliver([(ANN, 400)], writer.now) is STORE_TROUBLE
            for _ in range(3):
                rig.quotas.deliver([(ANN, 400)], writer.later)
            refused, failed, cancelled = writer.futures
            refused.set_result(STORE_TROUBLE)
            failed.set_exception(OSError("no more"))
            cancelled.cancel()

    asyncio.run(main())
    assert (folder / "maildirsize").read_text() == "1000S\n0 0\n"
    assert writer.calls == 4


@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize(("size", "reply"), [(700, STORED), (701, MAILBOX_FULL)])
def test_a_message_waits_for_the_count(tmp_path: Path, *, is_slow: bool, size: int, reply: Reply) -> None:
    folder = make_mailbox(tmp_path, messages=[300])
    rig, writer = Rig(tmp_path), Writer()

    async def main() -> None:
        async with rig:
            pending = rig.quotas.deliver([(ANN, size)], writer.soon if is_slow else writer.now)
            assert not isinstance(pending, Reply)
            assert writer.calls == 0
            assert await pending is reply
            assert rig.recounts == 1

    asyncio.run(main())
    assert writer.calls == (reply is STORED)
    assert (folder / "maildirsize").read_text() == "1000S\n300 1\n" + ("700 1\n" if reply is STORED else "")


@pytest.mark.parametrize(("size", "refusals"), [(700, [None, None]), (701, [MAILBOX_FULL, None])])
def test_in_lmtp_the_others_get_it_when_all_have_been_counted(
    tmp_path: Path, size: int, refusals: list[Reply | None]
) -> None:
    make_mailbox(tmp_path, messages=[300])
    rig, writer, rest = Rig(tmp_path), Writer(), Writer()
    recipients = [Recipient(parse_mailbox(f"{box.user}@example.test"), (box,)) for box in (ANN, FREE)]

    async def main() -> None:
        async with rig:
            pending = rig.quotas.deliver_each(recipients, [(ANN, size), (FREE, size)], writer.now, rest.soon)
            assert writer.calls == rest.calls == 0
        assert pending.result() is STORED  # closing has waited for it

    asyncio.run(main())
    assert [recipient.refusal for recipient in recipients] == refusals
    assert (writer.calls, rest.calls) == ((1, 0) if refusals == [None, None] else (0, 1))


def test_closing_waits_for_messages_that_wait_for_a_count(tmp_path: Path) -> None:
    make_mailbox(tmp_path, messages=[300])
    rig, writer = Rig(tmp_path), Writer()

    async def main() -> None:
        async with rig:
            pending = rig.quotas.deliver([(ANN, 1)], writer.now)
        assert not isinstance(pending, Reply)
        assert pending.result() is STORED

    asyncio.run(main())


def test_the_first_message_of_a_mailbox_is_found_by_the_next_check(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def main() -> None:
        def write() -> Reply:
            make_mailbox(tmp_path, messages=[400])
            return STORED

        async with rig:
            assert rig.quotas.deliver([(ANN, 400)], write) is STORED
            assert await rig.admits(601) is MAILBOX_FULL
            assert await rig.admits(600) is None

    asyncio.run(main())
    assert rig.recounts == 1


# --- trouble ----------------------------------------------------------------------------------------------------------


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Whoever may not read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("shut", ["new", "cur", ".Sent", ".Sent/new", ""])
def test_a_mailbox_that_cannot_be_counted_takes_mail_and_the_log_hears_of_it_once(
    tmp_path: Path, shut: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_mailbox(tmp_path, messages=[300])
    (folder / ".Sent" / "new").mkdir(parents=True)
    for path in (folder.parent, folder, *folder.rglob("*/")):
        path.chmod(0o755)
    tmp_path.chmod(0o755)
    (folder / shut).chmod(0)
    rig = Rig(tmp_path)

    async def main() -> None:
        async with rig:
            with ordinary_user():
                for _ in range(3):
                    assert await rig.admits(700) is None
                assert await rig.admits(1001) is MAILBOX_FULL

    try:
        asyncio.run(main())
    finally:
        for path in (folder, folder / ".Sent", *folder.rglob("*/")):
            path.chmod(0o755)
    assert told(caplog) == "cannot keep the quota of 'example.test/ann': Permission denied"


def told(caplog: pytest.LogCaptureFixture) -> str:
    """The one line in the log."""
    [record] = caplog.records
    assert (record.name, record.levelname) == ("fastsmtp.delivery", "ERROR")
    return record.getMessage()


def test_a_count_that_cannot_be_written_down_is_good_for_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = make_mailbox(tmp_path, messages=[300])
    (folder / "maildirsize").mkdir()
    rig, writer = Rig(tmp_path), Writer()

    async def main() -> None:
        async with rig:
            for size, answer in ((701, MAILBOX_FULL), (700, None), (701, MAILBOX_FULL)):
                assert await rig.admits(size) is answer
            pending = rig.quotas.deliver([(ANN, 700)], writer.now)
            assert not isinstance(pending, Reply)
            assert await pending is STORED

    asyncio.run(main())
    assert rig.recounts == 4
    assert told(caplog) == "cannot keep the quota of 'example.test/ann': Is a directory"


def test_a_name_that_is_none_is_the_stores_to_refuse(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(tmp_path / "mail")
    (tmp_path / "mail").mkdir()
    make_mailbox(tmp_path, Mailbox("outside", "x"), content="1000S\n5000 1\n")
    for mailbox in (Mailbox("..", "outside/x", QUOTA), Mailbox("example.test", "\udc80", QUOTA)):
        assert rig.ask(1, mailbox) is None
    assert not caplog.records


def test_a_linked_mailbox_is_not_followed(tmp_path: Path) -> None:
    outside = make_mailbox(tmp_path, Mailbox("outside", "x"), messages=[5000])
    (tmp_path / "example.test").mkdir()
    (tmp_path / "example.test" / "ann").symlink_to(outside)
    assert Rig(tmp_path).ask(1) is None  # the store will say what is wrong with it
    assert not (outside / "maildirsize").exists()


# --- what the command line shows --------------------------------------------------------------------------------------


def test_usage(tmp_path: Path) -> None:
    assert usage(tmp_path / "nowhere", *ANN[:2]) == Usage(0, 0)
    assert usage(tmp_path, *ANN[:2]) == Usage(0, 0)
    folder = make_mailbox(tmp_path, messages=[300, 200])
    assert usage(tmp_path, *ANN[:2]) == Usage(500, 2)
    assert not (folder / "maildirsize").exists()
    (folder / "maildirsize").write_text("1000S\n900 9\n")
    assert usage(tmp_path, *ANN[:2]) == Usage(900, 9)
    (folder / "maildirsize").write_text("broken")
    assert usage(tmp_path, *ANN[:2]) == Usage(500, 2)
    with pytest.raises(ValueError, match="no name of a folder"):
        usage(tmp_path, "..", "ann")
    (tmp_path / "example.test" / "link").symlink_to(folder)
    with pytest.raises(OSError, match=r"symbolic|Not a directory"):
        usage(tmp_path, "example.test", "link")
