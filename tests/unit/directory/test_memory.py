"""The memory directory's own methods; its answers are in test_lookup."""

import pytest

from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.ports import Found, Mailbox, NoDomain, NoUser
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
