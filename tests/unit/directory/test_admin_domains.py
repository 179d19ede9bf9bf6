"""Domains and their other names, in both databases."""

import pytest
from unit.directory.conftest import Place

from fastsmtp.directory.admin import (
    Admin,
    BadAddressError,
    DomainAlias,
    DomainInUseError,
    DomainRow,
    DuplicateError,
    UnknownAliasError,
    UnknownDomainError,
)
from fastsmtp.errors import DirectoryError


def test_domains(admin: Admin) -> None:
    assert admin.list_domains() == []
    assert admin.add_domain("Z.test") == DomainRow("z.test", is_active=True, users=0)
    assert admin.add_domain("B\u00fccher.TEST", is_active=False) == DomainRow("xn--bcher-kva.test", False, 0)
    admin.add_user("joe@z.test")
    assert admin.list_domains() == [DomainRow("xn--bcher-kva.test", False, 0), DomainRow("z.test", True, 1)]
    admin.set_domain_active("b\u00fccher.test", True)
    admin.set_domain_active("Z.TEST", False)
    assert admin.list_domains() == [DomainRow("xn--bcher-kva.test", True, 0), DomainRow("z.test", False, 1)]
    assert admin.remove_domain("xn--bcher-kva.test") == 0
    assert [row.name for row in admin.list_domains()] == ["z.test"]


def test_a_domain_in_use_is_removed_only_by_force(admin: Admin, place: Place) -> None:
    for domain in ("example.test", "other.test"):
        admin.add_domain(domain)
        admin.add_user(f"joe@{domain}", quota_bytes=1000)
        admin.add_user(f"ann@{domain}")
        admin.add_alias(f"info@{domain}", ["joe@example.test", "ann@example.test"])
        admin.add_domain_alias(f"also.{domain}", domain)
    with pytest.raises(DomainInUseError, match=r"example\.test still has users: 2, targets of aliases: 2"):
        admin.remove_domain("example.test")
    assert len(admin.list_users()) == 4

    assert admin.remove_domain("example.test", force=True) == 2
    assert [row.name for row in admin.list_domains()] == ["other.test"]
    assert [row.address for row in admin.list_users()] == ["ann@other.test", "joe@other.test"]
    assert [row.address for row in admin.list_aliases()] == ["info@other.test"]
    assert admin.list_domain_aliases() == [DomainAlias("also.other.test", "other.test")]
    assert place.query("SELECT count(*) FROM mailbox") == [(1,)]


def test_a_domain_with_nothing_but_aliases_is_in_use(admin: Admin) -> None:
    admin.add_domain("example.test")
    admin.add_alias("*@example.test", ["joe@example.test"])
    with pytest.raises(DomainInUseError, match="users: 0, targets of aliases: 1"):
        admin.remove_domain("example.test")


def test_other_names(admin: Admin) -> None:
    admin.add_domain("example.test")
    assert admin.add_domain_alias("B\u00fccher.test", "EXAMPLE.test") == DomainAlias(
        "xn--bcher-kva.test", "example.test"
    )
    admin.add_domain_alias("also.test", "example.test")
    assert admin.list_domain_aliases() == [
        DomainAlias("also.test", "example.test"),
        DomainAlias("xn--bcher-kva.test", "example.test"),
    ]
    admin.remove_domain_alias("b\u00dccher.TEST")
    assert admin.list_domain_aliases() == [DomainAlias("also.test", "example.test")]
    with pytest.raises(UnknownAliasError, match="is not another name of a domain"):
        admin.remove_domain_alias("b\u00fccher.test")


def test_a_name_is_given_once(admin: Admin) -> None:
    admin.add_domain("b\u00fccher.test")
    admin.add_domain_alias("also.test", "b\u00fccher.test")
    with pytest.raises(DuplicateError, match=r"xn--bcher-kva\.test is here already"):
        admin.add_domain("XN--BCHER-KVA.test")
    for add in (admin.add_domain, lambda name: admin.add_domain_alias(name, "b\u00fccher.test")):
        with pytest.raises(DuplicateError, match=r"also\.test is here already, as another name of xn--bcher-kva\.test"):
            add("Also.test")
    with pytest.raises(DuplicateError):
        admin.add_domain_alias("b\u00fccher.test", "b\u00fccher.test")
    with pytest.raises(UnknownDomainError, match=r"it is another name of xn--bcher-kva\.test, use that"):
        admin.add_domain_alias("third.test", "also.test")


def test_unknown_domains(admin: Admin) -> None:
    with pytest.raises(UnknownDomainError, match=r"other\.test is not in the directory$"):
        admin.set_domain_active("other.test", True)
    with pytest.raises(UnknownDomainError):
        admin.remove_domain("other.test")
    with pytest.raises(UnknownDomainError):
        admin.add_domain_alias("also.test", "other.test")
    with pytest.raises(BadAddressError, match="SPACE"):
        admin.add_domain("exam ple.test")
    with pytest.raises(BadAddressError, match="SPACE"):
        admin.remove_domain_alias("exam ple.test")


def test_a_database_of_others(foreign: Place) -> None:
    with foreign.admin() as admin:
        assert admin.list_domains() == [DomainRow("example.test", True, 2), DomainRow("xn--bcher-kva.test", False, 1)]
        with pytest.raises(DuplicateError):
            admin.add_domain("b\u00fccher.test")
        admin.set_domain_active("b\u00fccher.test", True)
        admin.add_domain("new.test")
        assert admin.remove_domain("EXAMPLE.test", force=True) == 2
    assert foreign.query("SELECT * FROM domain ORDER BY 1") == [(8, 1, "B\u00dcCHER.test"), (9, 1, "new.test")]
    assert foreign.query('SELECT user_id FROM "user"') == [(5,)]


def test_tables_that_are_missing(empty: Place) -> None:
    with empty.admin() as admin:
        with pytest.raises(DirectoryError, match=r"domain.*; to make what is missing: fastsmtp db migrate"):
            admin.add_domain("example.test")
        with pytest.raises(DirectoryError, match="fastsmtp db migrate"):
            admin.list_domain_aliases()
