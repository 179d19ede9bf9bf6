"""Copies of messages."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastsmtp.delivery.spool import SpoolFolder
from fastsmtp.errors import PluginLoadError
from fastsmtp.smtp.record import Result
from fastsmtp.testing import Site

MESSAGE = b"Subject: hi\n\nHello\n"
DAY = "2023-11-14"


def content_log(folder: Path, **options: object) -> Site:
    users = ("user@example.test", "user@other.test")
    return Site([("content_log", {"folder": str(folder), **options})], users)


def outcomes(site: Site) -> list[str]:
    return [result.outcome for transaction in site.transactions for result in transaction.results]


@contextmanager
def file_size_limit(octets: int) -> Iterator[None]:
    """The kernel refuses to write more into one file, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_copy_by_day_and_transaction_for_nobody_elses_eyes(tmp_path: Path) -> None:
    with content_log(tmp_path / "made" / "here") as site:
        site.connect().send("somebody@example.org", "user@example.test", MESSAGE)
        copy = tmp_path / "made" / "here" / DAY / "T1.eml"
        assert copy.read_bytes() == MESSAGE
        assert copy.stat().st_mode & 0o777 == 0o600
        assert copy.parent.stat().st_mode & 0o777 == 0o700
        assert site.transactions[0].results == [Result("content_log", "pass", f"copied to {copy}")]


def test_in_shadow_nothing_is_copied(tmp_path: Path) -> None:
    with Site([{"use": "content_log", "mode": "shadow", "options": {"folder": str(tmp_path / "copies")}}]) as site:
        assert site.connect().send("ann@example.org", "user@example.test", MESSAGE).code == 250
        assert site.transactions[0].results == [Result("content_log", "skip", "would be copied")]
    assert not (tmp_path / "copies").exists()


def test_a_new_day_has_a_new_folder(tmp_path: Path) -> None:
    with content_log(tmp_path) as site:
        client = site.connect()
        client.send("", "user@example.test", MESSAGE)
        site.clock.advance(86_400)
        client.send("", "user@example.test", MESSAGE)
    assert sorted(str(file.relative_to(tmp_path)) for file in tmp_path.glob("*/*")) == [
        "2023-11-14/T1.eml",
        "2023-11-15/T2.eml",
    ]


def test_refused_mail_is_not_copied(tmp_path: Path) -> None:
    with content_log(tmp_path) as site:
        site.connect().send("", "nobody@example.test", MESSAGE)
    assert list(tmp_path.iterdir()) == []


def test_mail_of_some_domains_only(tmp_path: Path) -> None:
    with content_log(tmp_path, sender_domains=["A.example"], recipient_domains=["other.test"]) as site:
        client = site.connect()
        client.send("x@a.example", "user@example.test", MESSAGE)
        client.send("x@b.example", "user@other.test", MESSAGE)
        client.send("x@a.example", ["user@example.test", "user@other.test"], MESSAGE)
    assert [file.name for file in tmp_path.glob("*/*")] == ["T3.eml"]


def test_large_messages_are_left_out(tmp_path: Path) -> None:
    with content_log(tmp_path, max_message=len(MESSAGE)) as site:
        client = site.connect()
        client.send("", "user@example.test", MESSAGE)
        client.send("", "user@example.test", MESSAGE + b"!")
        assert outcomes(site) == ["pass", "skip"]
    assert [file.name for file in tmp_path.glob("*/*")] == ["T1.eml"]


def test_a_message_in_a_spool_is_copied_whole(tmp_path: Path) -> None:
    spool = SpoolFolder(tmp_path)
    spool.open()
    large = MESSAGE + b"x" * 200_000 + b"\n"
    options = {"folder": str(tmp_path / "copies")}
    with Site([("content_log", options)], spool_above=1_000, make_spool=spool.new) as site:
        site.connect().send("", "user@example.test", large)
        assert outcomes(site) == ["pass"]
        assert site.transactions[0].message.spool is not None
    assert (tmp_path / "copies" / DAY / "T1.eml").read_bytes() == large


def test_a_day_is_full_at_some_time_and_restarts_do_not_empty_it(tmp_path: Path) -> None:
    (tmp_path / DAY).mkdir()
    (tmp_path / DAY / "earlier.eml").write_bytes(MESSAGE)
    with content_log(tmp_path, max_day=2 * len(MESSAGE)) as site:
        client = site.connect()
        client.send("", "user@example.test", MESSAGE)
        client.send("", "user@example.test", MESSAGE)
        site.clock.advance(86_400)
        client.send("", "user@example.test", MESSAGE)
        assert outcomes(site) == ["pass", "skip", "pass"]


def test_a_full_disk_does_not_hurt_the_mail_and_leaves_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    large = MESSAGE + b"x" * 200_000
    with content_log(tmp_path) as site:
        client = site.connect()
        with file_size_limit(100_000):
            reply = client.send("", "user@example.test", large)
        assert reply.code == 250
        assert site.transactions[0].results == [Result("content_log", "error", "no copy: File too large")]
        assert list(tmp_path.glob("*/*")) == []
        client.send("", "user@example.test", large)
        assert [file.name for file in tmp_path.glob("*/*")] == ["T2.eml"]
        assert len(site.delivered["user@example.test"]) == 2
    assert [record.getMessage() for record in caplog.records] == ["no copy"]


def test_a_folder_that_is_none_does_not_hurt_the_mail(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with content_log(tmp_path / "file" / "below") as site:
        assert site.connect().send("", "user@example.test", MESSAGE).code == 250
        assert site.transactions[0].results == [Result("content_log", "error", "no copy: Not a directory")]


def test_a_link_that_lies_there_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / DAY).mkdir()
    (tmp_path / DAY / "T1.eml").symlink_to(tmp_path / "elsewhere")
    with content_log(tmp_path) as site:
        site.connect().send("", "user@example.test", MESSAGE)
        assert outcomes(site) == ["error"]
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"folder": "copies"}, "plugin[0].options: `folder` has to be an absolute path, not 'copies'"),
        ({"max_day": 0}, "plugin[0].options: `max_day` is a size in octets above 0, not 0"),
        ({"sender_domains": ["a b"]}, "plugin[0].options: 'a b' is not a domain name"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, object], problem: str) -> None:
    with pytest.raises(PluginLoadError) as caught:
        Site([("content_log", {"folder": "/nowhere", **options})])
    assert caught.value.problems == (problem,)
