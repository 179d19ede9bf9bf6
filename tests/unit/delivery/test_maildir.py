"""The Maildir store: what lies in new/ afterwards, and what the client and the operator hear."""

import asyncio
import os
import re
import stat
from collections.abc import Awaitable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsmtp.config.model import MaildirSettings
from fastsmtp.delivery.maildir import MaildirStore
from fastsmtp.delivery.quota import OverQuota
from fastsmtp.errors import StartError
from fastsmtp.ports import MessageStore
from fastsmtp.smtp.address import NULL_SENDER, Address, parse_mailbox
from fastsmtp.smtp.replies import MAILBOX_FULL, MAILBOX_FULL_FOR_GOOD, NOBODY_TOOK_IT, STORE_MISCONFIGURED, Reply
from fastsmtp.smtp.transaction import Connection, Hello, Mailbox, Recipient, Transaction
from fastsmtp.stats import Stats

Durability = Literal["journal", "fsync", "none"]

ALICE = ("alice@example.test", ("example.test", "alice"))
BOB = ("bob@example.test", ("example.test", "bob"))


class FixedClock:
    """Always the same second."""

    def time(self) -> float:
        """14 November 2023, 22:13:20.25 UTC."""
        return 1_700_000_000.25

    def monotonic_ns(self) -> int:
        """Not asked for here."""
        return 0


def transaction(
    *recipients: tuple[str, tuple[str, str] | None],
    header: bytes = b"Subject: x\n\n",
    body: Sequence[bytes] = (b"body\n",),
    sender: Address = NULL_SENDER,
    name: str = "T1",
) -> Transaction:
    connection = Connection("c1", "192.0.2.1", 4711, "192.0.2.25", 25, Hello("EHLO", "mail.example.org"))
    subject = Transaction(
        name,
        connection,
        sender,
        recipients=[
            Recipient(parse_mailbox(address), (Mailbox(*mailbox),) if mailbox else ())
            for address, mailbox in recipients
        ],
    )
    subject.message.append(header)
    subject.message.header_complete = True
    for piece in body:
        subject.message.append(piece)
    return subject


def make_store(
    root: Path,
    durability: Durability,
    hostname: str = "mx.example.test",
    stats: Stats | None = None,
    over_quota: OverQuota = "defer",
) -> MaildirStore:
    settings = MaildirSettings.model_validate(
        {
            "root": str(root),
            "durability": durability,
            "journal": f"{root}.journal",
            "journal_size": "1MiB",
            "journal_limit": "16KiB",
            "over_quota": over_quota,
        },
        context={"base": root},
    )
    if durability == "journal":
        settings.journal.mkdir(exist_ok=True)  # whoever keeps it has made it
    return MaildirStore(settings, hostname, FixedClock(), stats or Stats())


def deliver(
    root: Path, *transactions: Transaction, durability: Durability = "none", hostname: str = "mx.example.test"
) -> list[Reply]:
    async def main() -> list[Reply]:
        port: MessageStore = make_store(root, durability, hostname)
        try:
            await port.open()
            answers = [port.store(subject) for subject in transactions]
            return [await answer if isinstance(answer, Awaitable) else answer for answer in answers]
        finally:
            await port.close()

    return asyncio.run(main())


def mailbox(root: Path, user: str) -> list[bytes]:
    """What lies in new/ of a user of example.test; nothing lies anywhere else."""
    folder = root / "example.test" / user
    assert list((folder / "tmp").iterdir()) == []
    assert list((folder / "cur").iterdir()) == []
    return [path.read_bytes() for path in (folder / "new").iterdir()]


@pytest.mark.parametrize("durability", ["journal", "fsync", "none"])
def test_a_message_is_stored_below_its_trace_fields(tmp_path: Path, durability: Durability) -> None:
    subject = transaction(ALICE, sender=parse_mailbox("bounce@example.org"), body=[b"one\n", b"two\n"])
    subject.message.add_header("X-Added", "yes")
    assert deliver(tmp_path, subject, durability=durability) == [Reply(250, "2.0.0", "stored as T1")]
    [copy] = mailbox(tmp_path, "alice")
    assert copy == (
        b"Return-Path: <bounce@example.org>\n"
        b"Delivered-To: alice@example.test\n"
        b"Received: from mail.example.org ([192.0.2.1]) by mx.example.test with ESMTP\n"
        b"\tid T1 for <alice@example.test>;\n"
        b"\tTue, 14 Nov 2023 22:13:20 +0000\n"
        b"X-Added: yes\n"
        b"Subject: x\n\none\ntwo\n"
    )


def test_each_recipient_gets_a_copy_that_names_nobody_else(tmp_path: Path) -> None:
    assert deliver(tmp_path, transaction(ALICE, BOB)) == [Reply(250, "2.0.0", "stored as T1")]
    [for_alice], [for_bob] = mailbox(tmp_path, "alice"), mailbox(tmp_path, "bob")
    assert for_alice.startswith(b"Return-Path: <>\nDelivered-To: alice@example.test\nReceived: ")
    assert b"bob@" not in for_alice
    assert for_alice.replace(b"alice", b"bob") == for_bob


def test_one_mailbox_gets_one_copy(tmp_path: Path) -> None:
    again = ("alice+tag@example.test", ALICE[1])
    deliver(tmp_path, transaction(ALICE, again, ALICE, BOB))
    [copy] = mailbox(tmp_path, "alice")
    assert b"Delivered-To: alice@example.test\n" in copy
    assert len(mailbox(tmp_path, "bob")) == 1


@pytest.mark.parametrize("recipients", [(), (("a@b.test", None),), (ALICE, ("a@b.test", None), BOB)])
def test_without_a_mailbox_for_everybody_nobody_gets_it(
    tmp_path: Path, recipients: tuple[tuple[str, tuple[str, str] | None], ...]
) -> None:
    assert deliver(tmp_path, transaction(*recipients)) == [NOBODY_TOOK_IT]
    assert [path.name for path in tmp_path.iterdir()] == [".spool"]


def test_file_names(tmp_path: Path) -> None:
    deliver(tmp_path, transaction(ALICE, BOB), transaction(ALICE), hostname="host/a:b")
    names = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    form = re.compile(r"1700000000\.M250000P(\d+)Q(\d+)R([0-9a-f]{16})\.host\\057a\\072b,S=(\d+)")
    parts = []
    for path in names:
        found = form.fullmatch(path.name)
        assert found is not None
        assert int(found[4]) == path.stat().st_size
        assert int(found[1]) == os.getpid()
        parts.append(found)
    assert sorted(int(found[2]) for found in parts) == [1, 2, 3]
    assert len({found[3] for found in parts}) == 1
    # Another store, even in the same process at the same time, makes other names.
    deliver(tmp_path, transaction(ALICE), hostname="host/a:b")
    assert len(mailbox(tmp_path, "alice")) == 3


def test_a_long_host_name_fits_into_a_file_name(tmp_path: Path) -> None:
    assert deliver(tmp_path, transaction(ALICE), hostname="h" * 255)[0].code == 250


@pytest.mark.parametrize(
    ("header", "stored"),
    [
        (b"A: 1\nReturn-Path: <x>\nB: 2\n\n", b"A: 1\nB: 2\n\n"),
        (b"RETURN-path : <x>\nB: 2\n\n", b"B: 2\n\n"),
        (b"Return-Path:\n <x>\n\t(y)\nB: 2\nreturn-path: z\n\n", b"B: 2\n\n"),
        (b"Return-Path: <x>\n", b""),
        (b"X-Return-Path: <x>\nSubject: Return-Path: y\n folded\n\n", None),
        (b"X: y\n Return-Path: <x>\n\n", None),
        (b"Return-Path\n\n", None),
        (b"A: b\r\nB: \xff\0\n\n", None),
        (b"", None),
        (b"\n", None),
    ],
)
@pytest.mark.parametrize("body", [[], [b"Return-Path: <of the body>\n", b" x\n"]])
def test_only_return_path_fields_of_the_header_are_dropped(
    tmp_path: Path, header: bytes, stored: bytes | None, body: list[bytes]
) -> None:
    if not header.endswith(b"\n\n") and header != b"\n":
        body = []
    deliver(tmp_path, transaction(ALICE, header=header, body=body))
    [copy] = mailbox(tmp_path, "alice")
    top, date, rest = copy.partition(b"22:13:20 +0000\n")
    assert date
    assert top.count(b"Return-Path") == 1
    assert rest == (header if stored is None else stored) + b"".join(body)


@pytest.mark.parametrize("blank", [b" ", b"\t"])
@pytest.mark.parametrize("removed", [b"", b"Return-Path: <x>\n"])
def test_a_message_that_begins_with_a_blank_cannot_continue_our_fields(
    tmp_path: Path, blank: bytes, removed: bytes
) -> None:
    header = blank + b"folded\n" + removed + b"Subject: x\n\n"
    subject = transaction(ALICE, header=header)
    subject.message.add_header("X-Added", "yes")
    deliver(tmp_path, subject)
    [copy] = mailbox(tmp_path, "alice")
    assert copy.endswith(b"\nX-Added: yes\n\n" + blank + b"folded\nSubject: x\n\nbody\n")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_bodies_are_stored_as_they_are(body: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        deliver(Path(folder), transaction(ALICE, body=body))
        [copy] = mailbox(Path(folder), "alice")
        assert copy.endswith(b"22:13:20 +0000\nSubject: x\n\n" + b"".join(body))


@pytest.mark.parametrize("part", ["", ".", "..", "a/b", "/etc", "a\0b", "x" * 256, "é" * 128, "\udc80"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_mailbox_that_is_no_path_below_the_root_is_refused(
    tmp_path: Path, part: str, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    place_of = ("example.test", part) if place else (part, "user")
    replies = deliver(tmp_path, transaction(BOB, ("a@b.test", place_of)), transaction(BOB))
    assert replies == [STORE_MISCONFIGURED, Reply(250, "2.0.0", "stored as T1")]
    [record] = caplog.records
    assert record.name == "fastsmtp.delivery"
    assert record.message.startswith("T1 not stored: mailbox: ")
    assert record.message.isprintable()
    assert len(mailbox(tmp_path, "bob")) == 1


def test_a_failure_is_that_message_s_alone_and_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "example.test").mkdir()
    (tmp_path / "example.test" / "li\nne").touch()
    odd = ("a@b.test", ("example.test", "li\nne"))
    replies = deliver(
        tmp_path, transaction(BOB, name="T1"), transaction(BOB, odd, name="T2"), transaction(BOB, name="T3")
    )
    assert [reply.code for reply in replies] == [250, 451, 250]
    assert replies[1] is STORE_MISCONFIGURED
    assert [record.message for record in caplog.records] == [
        "T2 not stored: open 'example.test/li\\nne/tmp': ENOTDIR",
    ]
    assert len(mailbox(tmp_path, "bob")) == 2


def test_the_root_is_made_for_nobody_else_to_read(tmp_path: Path) -> None:
    root = tmp_path / "a" / "mail"
    deliver(root, transaction(ALICE))
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert len(mailbox(root, "alice")) == 1


def test_a_root_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for root in (file, file / "mail"):
        with pytest.raises(StartError, match=rf"the mail root {root} cannot be used: Not a directory"):
            deliver(root)
    with pytest.raises(StartError, match="the mail root /proc/mail cannot be used: "):
        deliver(Path("/proc/mail"))


def test_a_root_that_is_not_writable_is_told_at_the_start() -> None:
    user = os.geteuid()
    if user == 0:  # who may write everywhere
        os.seteuid(65534)
    try:
        with pytest.raises(StartError, match="the mail root / cannot be used: it is not writable"):
            deliver(Path("/"))
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("durability", ["journal", "fsync", "none"])
def test_it_can_be_closed_twice_and_opened_again(durability: Durability, tmp_path: Path) -> None:
    async def main() -> None:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a list of numbers, no paths
        store = make_store(tmp_path, durability)
        for _ in range(2):
            await store.open()
            answer = store.store(transaction(ALICE))
            await store.close()
            reply = answer if isinstance(answer, Reply) else await answer
            assert reply.code == 250
            await store.close()
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above

    asyncio.run(main())
    assert len(mailbox(tmp_path, "alice")) == 2


# --- quotas -----------------------------------------------------------------------------------------------------------


def limited(*users: tuple[str, int | None], body: bytes = b"body\n") -> Transaction:
    """A message to users of example.test with these quotas."""
    subject = transaction(body=[body])
    subject.recipients = [
        Recipient(parse_mailbox(f"{user}@example.test"), (Mailbox("example.test", user, quota),))
        for user, quota in users
    ]
    return subject


async def answer_of(store: MaildirStore, subject: Transaction) -> Reply:
    answer = store.store(subject)
    return await answer if isinstance(answer, Awaitable) else answer


@pytest.mark.parametrize("durability", ["journal", "fsync", "none"])
@pytest.mark.parametrize(("over_quota", "refusal"), [("defer", MAILBOX_FULL), ("reject", MAILBOX_FULL_FOR_GOOD)])
def test_a_mailbox_takes_what_fits_into_its_quota(
    tmp_path: Path, durability: Durability, over_quota: OverQuota, refusal: Reply
) -> None:
    deliver(tmp_path / "measured", limited(("alice", None)))
    [copy] = mailbox(tmp_path / "measured", "alice")
    quota = 3 * len(copy)

    async def main() -> list[Reply]:
        store = make_store(tmp_path / "mail", durability, over_quota=over_quota)
        await store.open()
        replies = [await answer_of(store, limited(("alice", quota))) for _ in range(4)]
        replies.append(await answer_of(store, limited(("alice", quota), ("bob", quota))))
        await store.close()
        return replies

    stored = Reply(250, "2.0.0", "stored as T1")
    assert asyncio.run(main()) == [stored, stored, stored, refusal, MAILBOX_FULL]
    assert len(mailbox(tmp_path / "mail", "alice")) == 3
    assert not (tmp_path / "mail" / "example.test" / "bob").exists()
    counted = (tmp_path / "mail" / "example.test" / "alice" / "maildirsize").read_text()
    # The first message made the mailbox, the second one counted it.
    assert counted == f"{quota}S\n{len(copy)} 1\n{len(copy)} 1\n{len(copy)} 1\n"


@pytest.mark.parametrize("durability", ["journal", "none"])
def test_in_lmtp_only_those_are_refused_who_have_no_room_or_no_mailbox(tmp_path: Path, durability: Durability) -> None:
    subject = limited(("alice", 10), ("bob", None), ("carol", 100_000))
    subject.recipients.insert(0, Recipient(parse_mailbox("elsewhere@example.test")))
    subject.recipients.append(Recipient(parse_mailbox("dave@example.test"), (Mailbox("example.test", "dave"),)))
    subject.recipients[-1].refusal = STORE_MISCONFIGURED
    subject.replies_each = True
    assert deliver(tmp_path, subject, durability=durability) == [Reply(250, "2.0.0", "stored as T1")]
    assert [recipient.refusal for recipient in subject.recipients] == [
        NOBODY_TOOK_IT,
        MAILBOX_FULL,
        None,
        None,
        STORE_MISCONFIGURED,
    ]
    assert len(mailbox(tmp_path, "bob")) == 1
    assert (tmp_path / "example.test" / "carol" / "new").exists()
    assert {path.name for path in (tmp_path / "example.test").iterdir()} == {"bob", "carol"}


@pytest.mark.parametrize("durability", ["journal", "none"])
def test_in_lmtp_an_alias_is_refused_for_one_full_mailbox_and_its_other_ones_get_nothing_by_it(
    tmp_path: Path, durability: Durability
) -> None:
    subject = limited(("alice", 10), ("bob", None))
    full, free = (recipient.mailboxes[0] for recipient in subject.recipients)
    subject.recipients = [
        Recipient(parse_mailbox("both@example.test"), (full, free)),
        Recipient(parse_mailbox("bob@example.test"), (free,)),
        Recipient(parse_mailbox("bob@example.test"), (free,)),
    ]
    subject.replies_each = True
    assert deliver(tmp_path, subject, durability=durability) == [Reply(250, "2.0.0", "stored as T1")]
    assert [recipient.refusal for recipient in subject.recipients] == [MAILBOX_FULL, None, None]
    [copy] = mailbox(tmp_path, "bob")
    assert b"Delivered-To: bob@example.test\n" in copy


def test_in_lmtp_when_nobody_has_room_nothing_is_stored(tmp_path: Path) -> None:
    subject = limited(("alice", 10), ("bob", 10))
    subject.replies_each = True
    [reply] = deliver(tmp_path, subject)
    assert not reply.is_positive
    assert [recipient.refusal for recipient in subject.recipients] == [MAILBOX_FULL] * 2
    assert not (tmp_path / "example.test").exists()


def test_without_a_quota_there_is_no_file(tmp_path: Path) -> None:
    deliver(tmp_path, limited(("alice", None)), limited(("alice", None)), limited(("alice", None), ("bob", 10_000)))
    assert len(mailbox(tmp_path, "alice")) == 3
    assert list(tmp_path.rglob("maildirsize")) == []


@pytest.mark.parametrize("durability", ["journal", "fsync", "none"])
def test_closing_finishes_what_waits_for_a_count(tmp_path: Path, durability: Durability) -> None:
    deliver(tmp_path, limited(("alice", None)))

    async def main() -> None:
        store = make_store(tmp_path, durability)
        await store.open()
        answers = [store.store(limited(("alice", 10_000))) for _ in range(3)]
        await store.close()
        assert [answer.result().code for answer in answers if isinstance(answer, asyncio.Future)] == [250, 250, 250]

    asyncio.run(main())
    lines = (tmp_path / "example.test" / "alice" / "maildirsize").read_text().splitlines()
    sizes = [len(copy) for copy in mailbox(tmp_path, "alice")]
    assert lines == ["10000S", *(f"{size} 1" for size in sizes)]
    assert len(sizes) == 4


def test_a_name_that_is_no_folder_is_no_question_of_quota(tmp_path: Path) -> None:
    subject = limited(("alice", 10_000))
    subject.recipients[0].mailboxes = (Mailbox("..", "x", 10_000),)
    assert deliver(tmp_path / "mail", subject) == [STORE_MISCONFIGURED]
