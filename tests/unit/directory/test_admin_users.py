"""Users and their quotas, in both databases."""

import pytest
from unit.directory.conftest import Place

from fastsmtp.directory.admin import (
    Admin,
    BadAddressError,
    DuplicateError,
    MailboxNameError,
    UnknownDomainError,
    UnknownUserError,
    UserRow,
)
from fastsmtp.errors import DirectoryError

GIB = 2**30


def test_users(admin: Admin) -> None:
    admin.add_domain("example.test")
    admin.add_domain("other.test")
    joe = UserRow("example.test", "joe", can_receive=True, can_login=True, quota_bytes=5 * GIB)
    ann = UserRow("example.test", "ann", can_receive=False, can_login=False)
    zoe = UserRow("other.test", "zo\u00eb", can_receive=True, can_login=True)
    assert admin.add_user("Joe@Example.test", quota_bytes=5 * GIB) == joe
    assert admin.add_user("ann@example.test", can_receive=False, can_login=False) == ann
    assert admin.add_user("ZOe\u0308@other.test") == zoe
    assert admin.list_users() == [ann, joe, zoe]
    assert admin.list_users("OTHER.test") == [zoe]
    assert admin.get_user("JOE@example.test") == joe
    assert admin.set_user("JOE@example.test", can_receive=False) == UserRow(
        "example.test", "joe", False, True, quota_bytes=5 * GIB
    )
    assert admin.set_user("ann@example.test", can_receive=True) == UserRow("example.test", "ann", True, False)
    assert admin.set_user("ann@example.test") == UserRow("example.test", "ann", True, False)
    admin.remove_user("joe@EXAMPLE.test")
    assert [row.name for row in admin.list_users("example.test")] == ["ann"]


def test_quotas(admin: Admin, place: Place) -> None:
    admin.add_domain("example.test")
    admin.add_user("joe@example.test")
    assert admin.set_quota("Joe@example.test", GIB).quota_bytes == GIB
    place.run("UPDATE mailbox SET password_hash = 'kept'")
    assert admin.set_quota("joe@example.test", None).quota_bytes is None
    assert place.query("SELECT quota_bytes, password_hash FROM mailbox") == [(None, "kept")]
    with pytest.raises(UnknownUserError):
        admin.set_quota("ann@example.test", GIB)


def test_passwords(admin: Admin, place: Place) -> None:
    admin.add_domain("example.test")
    assert admin.add_user("ann@example.test", quota_bytes=GIB, password_hash="$argon2id$one").has_password  # noqa: S106 - of nobody
    assert not admin.add_user("joe@example.test").has_password
    assert admin.set_password("Joe@example.test", "$argon2id$two").has_password
    assert admin.get_user("ann@example.test") == UserRow("example.test", "ann", True, True, GIB, has_password=True)
    assert admin.set_quota("joe@example.test", GIB).has_password
    assert place.query("SELECT quota_bytes, password_hash FROM mailbox ORDER BY password_hash") == [
        (GIB, "$argon2id$one"),
        (GIB, "$argon2id$two"),
    ]
    assert admin.set_password("joe@example.test", None) == UserRow("example.test", "joe", True, True, GIB)
    with pytest.raises(UnknownUserError):
        admin.set_password("zoe@example.test", "$argon2id$one")
    admin.remove_user("ann@example.test")
    assert not admin.add_user("ann@example.test").has_password


def test_passwords_that_nobody_here_can_check(admin: Admin) -> None:
    admin.add_domain("example.test")
    for name, password_hash in {
        "a": "$argon2id$v=19$...",
        "b": "$2y$05$...",
        "c": "{SHA512-CRYPT}$6$...",
        "d": "SCRAM-SHA-256$4096:...",
        "e": None,
        "f": "{PLAIN}secret",
        "g": "$1$salt$...",
    }.items():
        admin.add_user(f"{name}@example.test", password_hash=password_hash)
    assert admin.unreadable_passwords() == ["f@example.test", "g@example.test"]


def test_nobody_inherits_what_somebody_left(admin: Admin, place: Place) -> None:
    admin.add_domain("example.test")
    admin.add_user("joe@example.test", quota_bytes=GIB)
    admin.remove_user("joe@example.test")
    assert place.query("SELECT count(*) FROM mailbox") == [(0,)]
    assert admin.add_user("ann@example.test") == admin.get_user("ann@example.test")


def test_numbers_are_new_whoever_gave_the_others(admin: Admin, place: Place) -> None:
    admin.add_domain("example.test")
    admin.add_user("joe@example.test")
    [(domain_id,)] = place.query("SELECT domain_id FROM domain")
    place.run(f"INSERT INTO \"user\" (user_id, domain_id, username) VALUES (40, {domain_id}, 'by.hand')")  # noqa: S608 - a test
    admin.add_user("ann@example.test")
    place.run(f"INSERT INTO \"user\" (domain_id, username) VALUES ({domain_id}, 'by.default')")  # noqa: S608 - a test
    admin.add_user("zoe@example.test")
    assert len(set(place.query('SELECT user_id FROM "user"'))) == 5


def test_duplicates(admin: Admin) -> None:
    admin.add_domain("b\u00fccher.test")
    admin.add_user("joe@b\u00fccher.test")
    with pytest.raises(DuplicateError, match=r"joe@xn--bcher-kva\.test is here already"):
        admin.add_user("JOE@xn--bcher-kva.test")


def test_unknown_domains_and_users(admin: Admin) -> None:
    admin.add_domain("example.test")
    admin.add_domain_alias("also.test", "example.test")
    with pytest.raises(UnknownDomainError, match=r"other\.test"):
        admin.add_user("joe@other.test")
    with pytest.raises(UnknownDomainError, match=r"also\.test.*another name of example\.test"):
        admin.add_user("joe@also.test")
    with pytest.raises(UnknownDomainError):
        admin.list_users("other.test")
    with pytest.raises(UnknownDomainError):
        admin.remove_user("joe@other.test")
    with pytest.raises(UnknownUserError, match=r"joe@example\.test"):
        admin.remove_user("joe@example.test")
    with pytest.raises(UnknownUserError):
        admin.get_user("joe@example.test")
    with pytest.raises(UnknownUserError):
        admin.set_user("joe@example.test", can_receive=False)


def test_names_that_are_none(admin: Admin) -> None:
    admin.add_domain("example.test")
    with pytest.raises(BadAddressError, match="user@domain"):
        admin.add_user("joe")
    with pytest.raises(MailboxNameError):
        admin.add_user("a/b@example.test")
    assert admin.list_users() == []


def test_a_database_of_others_is_read(foreign: Place) -> None:
    with foreign.admin() as admin:
        assert admin.list_users() == [
            UserRow("example.test", "ann", False, False),
            UserRow("example.test", "joe", True, False),
            UserRow("xn--bcher-kva.test", "zo\u00cb", True, True),
        ]


def test_a_database_of_others_is_changed(foreign: Place) -> None:
    with foreign.admin() as admin:
        with pytest.raises(DuplicateError):
            admin.add_user("zo\u00cb@b\u00fccher.test")
        admin.set_user("ann@example.test", can_receive=True)
        admin.remove_user("ZO\u00cb@B\u00dcCHER.test")
        admin.add_user("eve@example.test")
    assert foreign.query('SELECT * FROM "user" ORDER BY 1') == [
        (3, 7, 1, 0, "Joe"),
        (4, 7, 1, None, "Ann"),
        (5, 7, 1, 1, "eve"),
    ]


def test_a_quota_needs_its_table(empty: Place) -> None:
    empty.run("CREATE TABLE domain (domain_id int, is_active smallint, domain_name varchar(255))")
    empty.run(
        'CREATE TABLE "user" (user_id int, domain_id int, can_receive smallint, can_login smallint, username text)'
    )
    with empty.admin() as admin:
        admin.add_domain("example.test")
        with pytest.raises(DirectoryError, match=r"mailbox.*fastsmtp db migrate"):
            admin.add_user("joe@example.test", quota_bytes=GIB)
        assert admin.list_users() == []
        assert admin.add_user("joe@example.test") == admin.get_user("joe@example.test")
