"""The memory directory's own methods; its answers are in test_lookup."""

import pytest

from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.ports import Elsewhere, Found, Mailbox, NoDomain, NoUser
from fastsmtp.smtp.address import Address

JOE = Address("joe", "example.test")


def test_users_bring_their_domains() -> None:
    directory = MemoryDirectory(["Joe@Example.test", "ann@b\u00fccher.test"])
    assert directory.locate(JOE) == Found((Mailbox("example.test", "joe"),))
    assert directory.locate(Address("ann", "xn--bcher-kva.test")) == Found((Mailbox("xn--bcher-kva.test", "ann"),))


def test_a_user_does_not_wake_an_inactive_domain() -> None:
    directory = MemoryDirectory()
    directory.add_domain("example.test", is_active=False)
    directory.add_user("joe@example.test")
    assert directory.locate(JOE) == NoDomain()
    directory.add_domain("example.test")
    assert directory.locate(JOE) == Found((Mailbox("example.test", "joe"),))


def test_flags_can_be_changed() -> None:
    directory = MemoryDirectory(["joe@example.test"])
    directory.add_user("joe@example.test", can_receive=False)
    assert directory.locate(JOE) == NoUser()


def test_removing() -> None:
    directory = MemoryDirectory(["joe@example.test", "ann@example.test"])
    directory.remove_user("JOE@example.test")
    assert directory.locate(JOE) == NoUser()
    directory.remove_domain("EXAMPLE.test")
    assert directory.locate(JOE) == NoDomain()
    directory.add_domain("example.test")
    assert directory.locate(Address("ann", "example.test")) == NoUser()
    with pytest.raises(KeyError):
        directory.remove_user("joe@example.test")
    with pytest.raises(KeyError):
        directory.remove_domain("other.test")


@pytest.mark.parametrize(
    "address", ["joe", "joe@", "@example.test", "a/b@example.test", '".."@example.test', "a b@c.test"]
)
def test_what_is_no_mailbox(address: str) -> None:
    with pytest.raises(ValueError, match=r"user@domain|mailbox"):
        MemoryDirectory([address])


def test_aliases() -> None:
    directory = MemoryDirectory(["joe@example.test"])
    directory.add_alias("Team@B\u00fccher.test", "Joe@example.test")
    directory.add_alias("*@b\u00fccher.test", "ann@far.test")
    assert directory.locate(Address("team", "xn--bcher-kva.test")) == Found((Mailbox("example.test", "joe"),))
    assert directory.locate(Address("anybody", "xn--bcher-kva.test")) == Elsewhere(("ann@far.test",))
    directory.add_user("team@b\u00fccher.test", quota_bytes=7)
    mailbox = Mailbox("xn--bcher-kva.test", "team", 7)
    assert directory.locate(Address("team", "xn--bcher-kva.test")) == Found((mailbox,))


def test_domain_aliases() -> None:
    directory = MemoryDirectory(["joe@example.test"])
    directory.add_domain_alias("Second.test", "Example.test")
    assert directory.locate(Address("joe", "second.test")) == Found((Mailbox("example.test", "joe"),))
    directory.add_domain_alias("second.test", "example.test", is_active=False)
    assert directory.locate(Address("joe", "second.test")) == NoDomain()
    directory.add_domain_alias("third.test", "nowhere.test")
    assert directory.locate(Address("joe", "third.test")) == NoDomain()


def test_a_domain_takes_its_aliases_along() -> None:
    directory = MemoryDirectory(["joe@example.test", "ann@other.test"])
    directory.add_alias("team@example.test", "ann@other.test")
    directory.add_alias("team@other.test", "ann@other.test")
    directory.add_domain_alias("second.test", "example.test")
    directory.add_domain_alias("third.test", "other.test")
    directory.remove_domain("example.test")
    directory.add_domain("example.test")
    assert directory.locate(Address("team", "example.test")) == NoUser()
    assert directory.locate(Address("joe", "second.test")) == NoDomain()
    assert directory.locate(Address("team", "third.test")) == Found((Mailbox("other.test", "ann"),))


@pytest.mark.parametrize(
    ("alias", "target"), [("team@example.test", "joe"), ("team", "joe@example.test"), ("*@a b", "joe@example.test")]
)
def test_what_is_no_alias(alias: str, target: str) -> None:
    with pytest.raises(ValueError, match=r"user@domain|domain name"):
        MemoryDirectory().add_alias(alias, target)
