"""Aliases, in both databases."""

import pytest
from unit.directory.conftest import Place

from fastsmtp.directory.admin import (
    Admin,
    AliasList,
    BadAddressError,
    DuplicateError,
    MailboxNameError,
    UnknownAliasError,
    UnknownDomainError,
)
from fastsmtp.directory.admin_aliases import read_alias
from fastsmtp.errors import DirectoryError
from fastsmtp.smtp.address import Address


@pytest.fixture
def ours(admin: Admin) -> Admin:
    admin.add_domain("example.test")
    admin.add_domain("other.test")
    return admin


def test_aliases(ours: Admin) -> None:
    info = AliasList("example.test", "info", True, ("joe@example.test", "Ann@elsewhere.test"))
    assert ours.add_alias("Info@EXAMPLE.test", ["joe@Example.test", "Ann@elsewhere.test"]) == info
    zoe = AliasList("other.test", "zo\u00eb", True, ("zo@xn--bcher-kva.test",))
    assert ours.add_alias("ZOe\u0308@other.test", ["zo@b\u00fccher.test"]) == zoe
    everybody = AliasList("other.test", "*", True, ("info@example.test",))
    assert ours.add_alias("*@other.test", ["info@example.test"]) == everybody
    assert ours.list_aliases() == [info, everybody, zoe]
    assert ours.list_aliases("OTHER.test") == [everybody, zoe]
    assert [row.address for row in ours.list_aliases()] == ["info@example.test", "*@other.test", "zo\u00eb@other.test"]


def test_targets_come_and_go(ours: Admin) -> None:
    ours.add_alias("info@example.test", ["joe@example.test"])
    assert ours.add_alias("info@example.test", ["ann@example.test", "eve@example.test"]).targets == (
        "joe@example.test",
        "ann@example.test",
        "eve@example.test",
    )
    left = ours.remove_alias("INFO@example.test", ["Joe@EXAMPLE.test", "eve@example.test"])
    assert left == AliasList("example.test", "info", True, ("ann@example.test",))
    assert ours.remove_alias("info@example.test", ["ann@example.test"]) is None
    ours.add_alias("info@example.test", ["joe@example.test", "ann@example.test"])
    assert ours.remove_alias("info@example.test") is None
    assert ours.list_aliases() == []


def test_on_and_off(ours: Admin, place: Place) -> None:
    ours.add_alias("info@example.test", ["joe@example.test"])
    ours.add_alias("sales@example.test", ["joe@example.test"])
    assert not ours.set_alias_active("Info@example.test", False).is_active
    assert not ours.add_alias("info@example.test", ["ann@example.test"]).is_active
    assert place.query("SELECT alias_name, is_active FROM alias ORDER BY alias_id") == [
        ("info", 0),
        ("sales", 1),
        ("info", 0),
    ]
    assert ours.set_alias_active("info@example.test", True).is_active


def test_a_target_is_there_once(ours: Admin) -> None:
    ours.add_alias("info@example.test", ["joe@example.test"])
    with pytest.raises(DuplicateError, match=r"info@example\.test leads to Joe@example\.test already"):
        ours.add_alias("info@example.test", ["ann@example.test", "Joe@Example.test"])
    with pytest.raises(DuplicateError):
        ours.add_alias("info@example.test", ["ann@example.test", "ann@example.test"])
    assert ours.list_aliases()[0].targets == ("joe@example.test",)


def test_errors(ours: Admin) -> None:
    ours.add_alias("info@example.test", ["joe@example.test"])
    with pytest.raises(UnknownDomainError, match=r"third\.test"):
        ours.add_alias("info@third.test", ["joe@example.test"])
    with pytest.raises(UnknownDomainError, match=r"third\.test"):
        ours.remove_alias("info@third.test")
    with pytest.raises(BadAddressError, match="SPACE"):
        ours.add_alias("info@example.test", ["joe doe@example.test"])
    with pytest.raises(UnknownAliasError, match=r"the alias sales@example\.test is not in the directory"):
        ours.remove_alias("sales@example.test")
    with pytest.raises(UnknownAliasError):
        ours.set_alias_active("sales@example.test", False)
    with pytest.raises(UnknownAliasError, match=r"does not lead to ann@example\.test$"):
        ours.remove_alias("info@example.test", ["joe@example.test", "ann@example.test"])
    assert ours.list_aliases()[0].targets == ("joe@example.test",)


def test_what_somebody_wrote_by_hand(ours: Admin, place: Place) -> None:
    [(domain_id,)] = place.query("SELECT domain_id FROM domain WHERE domain_name = 'example.test'")
    place.run(
        "INSERT INTO alias (domain_id, alias_name, target)"  # noqa: S608 - a test
        f" VALUES ({domain_id}, 'ZO\u00cb', 'rubbish'), ({domain_id}, 'Info', 'JOE@Example.test')"
    )
    assert [(row.name, row.targets) for row in ours.list_aliases()] == [
        ("info", ("JOE@Example.test",)),
        ("zo\u00cb", ("rubbish",)),
    ]
    ours.remove_alias("info@example.test", ["joe@example.test"])
    ours.remove_alias("zo\u00cb@example.test")
    assert ours.list_aliases() == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Info@Example.test", Address("Info", "example.test")),
        ("*@Example.test", Address("*", "example.test")),
        ("a*b@example.test", Address("a*b", "example.test")),
    ],
)
def test_addresses_of_aliases(text: str, address: Address) -> None:
    assert read_alias(text) == address


def test_addresses_that_cannot_be_aliases() -> None:
    with pytest.raises(BadAddressError):
        read_alias("*@")
    with pytest.raises(MailboxNameError):
        read_alias("a/b@example.test")


def test_the_table_is_missing(empty: Place) -> None:
    empty.run("CREATE TABLE domain (domain_id int, is_active smallint, domain_name varchar(255))")
    empty.run('CREATE TABLE "user" (user_id int, domain_id int, username varchar(255))')
    with empty.admin() as admin:
        admin.add_domain("example.test")
        with pytest.raises(DirectoryError, match=r"alias.*; to make what is missing: fastsmtp db migrate"):
            admin.add_alias("info@example.test", ["joe@example.test"])
        with pytest.raises(DirectoryError, match="fastsmtp db migrate"):
            admin.list_aliases()
