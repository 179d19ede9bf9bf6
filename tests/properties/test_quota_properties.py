"""Whatever a maildirsize file says, and whoever changes a mailbox: what is remembered is what anybody would read."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from fastsmtp.delivery.maildirsize import Sizes, Usage, parse
from fastsmtp.delivery.quota import MaildirQuotas, usage
from fastsmtp.ports import Mailbox
from fastsmtp.smtp.replies import MAILBOX_FULL, Reply
from fastsmtp.stats import Stats
from fastsmtp.testing import SettableClock

ANN = Mailbox("example.test", "ann", 1000)
STORED = Reply(250, "2.0.0", "stored")

counts = st.integers(-(10**12), 10**12)
blanks = st.text(" \t", min_size=1, max_size=5)
edges = st.text(" \t", max_size=5)
lines = st.lists(st.tuples(edges, counts, blanks, counts, edges), min_size=1, max_size=20)
contents = (
    st.binary(max_size=60)
    | st.text("0123456789SC, -\n", max_size=60).map(str.encode)
    | st.tuples(st.integers(0, 1200), lines).map(
        lambda drawn: f"{drawn[0]}S\n".encode() + b"".join(b"%d %d\n" % (line[1], line[3]) for line in drawn[1])
    )
)


@given(st.integers(1, 2**63 - 1), st.none() | st.integers(0, 10**9), lines)
def test_lines_add_up(quota: int, messages: int | None, drawn: list[tuple[str, int, str, int, str]]) -> None:
    limits = f"{quota}S" if messages is None else f"{quota}S,{messages}C"
    content = "\n".join([limits, *(f"{a}{octets}{b}{count}{c}" for a, octets, b, count, c in drawn), ""]).encode()
    expected = Usage(sum(line[1] for line in drawn), sum(line[3] for line in drawn))
    try:
        assert parse(content) == Sizes(quota, expected)
    except ValueError:
        assert min(expected) < 0


@given(contents)
def test_any_content_says_something_sound_or_nothing(content: bytes) -> None:
    try:
        quota, used = parse(content)
    except ValueError:
        return
    assert content.endswith(b"\n")
    assert quota is None or quota > 0
    assert min(used) >= 0


@settings(max_examples=60, deadline=None)
@given(contents, st.lists(st.integers(0, 600), max_size=3), st.integers(1, 1000))
def test_a_message_fits_by_a_sound_file_or_by_a_count(content: bytes, messages: list[int], size: int) -> None:
    with TemporaryDirectory() as name:
        folder = make_mailbox(Path(name), messages)
        (folder / "maildirsize").write_bytes(content)
        used = Usage(sum(messages), len(messages))
        try:
            sizes = parse(content)
        except ValueError:
            pass
        else:
            assert usage(Path(name), *ANN[:2]) == sizes.usage
            used = sizes.usage if sizes.quota_bytes == ANN.quota_bytes else used

        async def main() -> None:
            fits = used.bytes + size <= 1000
            assert await admits(quotas, size) is (None if fits else MAILBOX_FULL)

        quotas = MaildirQuotas(SettableClock(time.time()), Stats())
        run(Path(name), main, quotas)
        assert usage(Path(name), *ANN[:2]) == used


# What happens to a mailbox: we deliver, an IMAP server appends, counts, or writes nonsense, somebody deletes the file.
changes = st.one_of(
    st.tuples(st.just("deliver"), st.integers(1, 400)),
    st.tuples(st.just("append"), st.integers(-400, 400)),
    st.tuples(st.just("count"), st.integers(0, 1200)),
    st.tuples(st.just("break"), st.just(0)),
    st.tuples(st.just("delete"), st.just(0)),
    st.tuples(st.just("ask"), st.integers(1, 1000)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(changes, max_size=30), st.lists(st.integers(0, 300), max_size=3))
def test_what_is_remembered_is_what_another_worker_reads(done: list[tuple[str, int]], messages: list[int]) -> None:
    with TemporaryDirectory() as name:
        folder = make_mailbox(Path(name), messages)
        file = folder / "maildirsize"
        long_lived, other = (MaildirQuotas(SettableClock(time.time()), Stats()) for _ in range(2))

        async def main() -> None:
            for what, number in done:
                match what:
                    case "deliver":
                        reply = long_lived.deliver([(ANN, number)], lambda: STORED)
                        assert (reply if isinstance(reply, Reply) else await reply) in (STORED, MAILBOX_FULL)
                    case "append":
                        with file.open("a") as opened:
                            opened.write(f"{number} {(number > 0) - (number < 0)}\n")
                    case "count":
                        (folder / "tmp" / "mine").write_text(f"1000S\n{number} 1\n")
                        # Nobody counts twice within a tick of the kernel's clock.
                        os.utime(folder / "tmp" / "mine", ns=(now := time.time_ns(), now))
                        (folder / "tmp" / "mine").rename(file)
                    case "break":
                        file.write_text("1000S\n12")
                    case "delete":
                        file.unlink(missing_ok=True)
                    case _:
                        answer = await admits(long_lived, number)
                        # Now the file is sound, and says what the answer was.
                        used = usage(Path(name), *ANN[:2]).bytes
                        assert answer is (None if used + number <= 1000 else MAILBOX_FULL)
                        assert answer is await admits(other, number)

        run(Path(name), main, long_lived, other)


def make_mailbox(root: Path, messages: list[int]) -> Path:
    folder = root / ANN.domain / ANN.user
    for leaf in ("tmp", "new", "cur"):
        (folder / leaf).mkdir(parents=True)
    for number, size in enumerate(messages):
        (folder / "cur" / f"{number}.x,S={size}:2,S").touch()
    return folder


async def admits(quotas: MaildirQuotas, size: int) -> Reply | None:
    answer = quotas.admits([ANN], size)
    return await answer if isinstance(answer, Awaitable) else answer


def run(root: Path, work: Callable[[], Awaitable[None]], *all_quotas: MaildirQuotas) -> None:
    """Run this while the quotas are open."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)

    async def main() -> None:
        for quotas in all_quotas:
            quotas.open(fd)
        try:
            await work()
        finally:
            for quotas in all_quotas:
                await quotas.close()

    try:
        asyncio.run(main())
    finally:
        os.close(fd)
