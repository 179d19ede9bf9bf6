"""Every backend gives the same answers: the questions are asked once, of each of them."""

import asyncio
import inspect
import sqlite3
import tempfile
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsmtp.directory.lookup import is_mailbox_name
from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.directory.sqlite import SqliteDirectory
from fastsmtp.ports import Directory, Found, Mailbox, NoDomain, NoUser, Whereabouts
from fastsmtp.smtp.address import Address, canonical_domain, fold, parse_forward_path

Domains: TypeAlias = Mapping[str, bool | None]
Users: TypeAlias = Mapping[tuple[str, str], bool | None]
"""Names as somebody spelled them in the database; what SQL calls NULL is None."""
Build: TypeAlias = Callable[[Path, Domains, Users, Address | None, str], Directory]

DOMAINS: Domains = {
    "example.test": True,
    "MixedCase.Test": True,
    "closed.test": False,
    "null.test": None,
    "xn--bcher-kva.test": True,
    "Österreich.TEST": True,
    unicodedata.normalize("NFD", "ÄRGER.test"): True,
    "not a domain": True,
    "": True,
}
USERS: Users = {
    ("example.test", "joe"): True,
    ("example.test", "Mixed.Case"): True,
    ("example.test", "joe+exact"): True,
    ("example.test", "joe+refused"): False,
    ("example.test", "mute"): False,
    ("example.test", "null"): None,
    ("example.test", "karl"): True,
    ("example.test", "100%"): True,
    ("example.test", "under_score"): True,
    ("example.test", "o'neil"): True,
    ("example.test", unicodedata.normalize("NFD", "Zoë")): True,
    ("example.test", ".hidden"): True,
    ("example.test", "a/b"): True,
    ("example.test", ".."): True,
    ("example.test", "+"): True,
    ("example.test", ""): True,
    ("example.test", "two words"): True,
    ("MixedCase.Test", "joe"): True,
    ("MixedCase.Test", "Postmaster"): True,
    ("closed.test", "joe"): True,
    ("null.test", "joe"): True,
    ("xn--bcher-kva.test", "joe"): True,
    ("Österreich.TEST", "joe"): True,
    (unicodedata.normalize("NFD", "ÄRGER.test"), "joe"): True,
}


def in_memory(_: Path, domains: Domains, users: Users, postmaster: Address | None, separator: str) -> Directory:
    directory = MemoryDirectory(postmaster=postmaster, separator=separator)
    for domain, is_active in domains.items():
        if domain.isprintable() and domain and " " not in domain:
            directory.add_domain(domain, is_active=bool(is_active))
    for (domain, user), can_receive in users.items():
        if is_mailbox_name(fold(user)):
            quoted = user.replace("\\", "\\\\").replace('"', '\\"')
            directory.add_user(f'"{quoted}"@{domain}', can_receive=bool(can_receive))
    return directory


def fill(path: Path, domains: Domains, users: Users) -> None:
    """Rows as they are spelled, in tables without our constraints, as other programs make them."""
    database = sqlite3.connect(path)
    database.executescript("""
        PRAGMA synchronous = off;
        CREATE TABLE domain (domain_id int, is_active smallint, domain_name varchar(255));
        CREATE TABLE "user" (
            user_id int, domain_id int, can_receive smallint, can_login smallint, username varchar(255)
        );
    """)
    numbers = {domain: number for number, domain in enumerate(domains)}
    database.executemany(
        "INSERT INTO domain VALUES (?, ?, ?)", [(numbers[name], on, name) for name, on in domains.items()]
    )
    database.executemany(
        'INSERT INTO "user" VALUES (?, ?, ?, 1, ?)',
        [(number, numbers[domain], on, name) for number, ((domain, name), on) in enumerate(users.items())],
    )
    database.commit()
    database.close()


def in_foreign_sqlite(
    folder: Path, domains: Domains, users: Users, postmaster: Address | None, separator: str
) -> Directory:
    fill(folder / "directory.db", domains, users)
    return SqliteDirectory(folder / "directory.db", postmaster=postmaster, separator=separator)


def in_indexed_sqlite(
    folder: Path, domains: Domains, users: Users, postmaster: Address | None, separator: str
) -> Directory:
    directory = in_foreign_sqlite(folder, domains, users, postmaster, separator)
    with closing(sqlite3.connect(folder / "directory.db")) as database:
        base = resources.files("fastsmtp_schema").joinpath("sqlite", "base.sql").read_text()
        database.executescript(f"PRAGMA synchronous = off; PRAGMA journal_mode = wal; {base}")
    return directory


BACKENDS: dict[str, Build] = {"memory": in_memory, "foreign": in_foreign_sqlite, "indexed": in_indexed_sqlite}


@pytest.fixture(params=list(BACKENDS))
def build(request: pytest.FixtureRequest) -> Build:
    return BACKENDS[request.param]


def locate(directory: Directory, address: Address) -> Whereabouts:
    answer = directory.locate(address)
    assert not inspect.isawaitable(answer)
    return answer


def where(directory: Directory, path: str) -> Whereabouts:
    """The answer for a forward-path as a client sends it."""
    return locate(directory, parse_forward_path(f"<{path}>".encode(), smtputf8=True)[0])


@pytest.fixture
def directory(build: Build, tmp_path: Path) -> Directory:
    return build(tmp_path, DOMAINS, USERS, None, "+")


def test_the_port_opens_and_closes(directory: Directory) -> None:
    async def life() -> Whereabouts:
        await directory.open()
        answer = where(directory, "joe@example.test")
        await directory.close()
        return answer

    assert asyncio.run(life()) == Found((Mailbox("example.test", "joe"),))


@pytest.mark.parametrize(
    ("path", "domain", "user"),
    [
        ("joe@example.test", "example.test", "joe"),
        ("JOE@EXAMPLE.TEST", "example.test", "joe"),
        ("mixed.case@example.test", "example.test", "mixed.case"),
        ('"joe"@example.test', "example.test", "joe"),
        (r'"j\oe"@example.test', "example.test", "joe"),
        ('"two words"@example.test', "example.test", "two words"),
        ("joe@mixedcase.test", "mixedcase.test", "joe"),
        ("100%@example.test", "example.test", "100%"),
        ("under_score@example.test", "example.test", "under_score"),
        ("o'neil@example.test", "example.test", "o'neil"),
    ],
)
def test_known(directory: Directory, path: str, domain: str, user: str) -> None:
    assert where(directory, path) == Found((Mailbox(domain, user),))


@pytest.mark.parametrize("user", ["Zoë", "ZOë", unicodedata.normalize("NFD", "zoë")])
def test_local_parts_beyond_ascii_in_either_normalization_form(directory: Directory, user: str) -> None:
    assert where(directory, f"{user}@example.test") == Found((Mailbox("example.test", "zoë"),))


@pytest.mark.parametrize(
    ("spellings", "canonical"),
    [
        (("bücher.test", "BÜCHER.test", "xn--bcher-kva.test", "XN--BCHER-KVA.Test"), "xn--bcher-kva.test"),
        (("österreich.test", "Österreich.test", "xn--sterreich-z7a.test"), "xn--sterreich-z7a.test"),
        (("ärger.test", "xn--rger-koa.test"), "xn--rger-koa.test"),
    ],
)
def test_international_domains_in_every_form(directory: Directory, spellings: tuple[str, ...], canonical: str) -> None:
    for spelling in spellings:
        assert where(directory, f"joe@{spelling}") == Found((Mailbox(canonical, "joe"),))
        assert where(directory, f"nobody@{spelling}") == NoUser()


@pytest.mark.parametrize(
    "path",
    [
        "nobody@example.test",
        "mute@example.test",
        "null@example.test",
        "jo_@example.test",
        "%@example.test",
        "underXscore@example.test",
        '"joe "@example.test',
        "j*@example.test",
        '"\' OR 1=1 --"@example.test',
        '"x\') UNION SELECT 1,1,1,1 --"@example.test',
        "\uff4a\uff4f\uff45@example.test",  # fullwidth
        "j\u043ee@example.test",  # Cyrillic
        "\u212aarl@example.test",  # Kelvin sign
        "joe\u200b@example.test",  # zero width space
        "joé@example.test",
    ],
)
def test_unknown_user(directory: Directory, path: str) -> None:
    assert where(directory, path) == NoUser()


@pytest.mark.parametrize(
    "path",
    [
        "joe@other.test",
        "joe@closed.test",
        "joe@null.test",
        "joe@sub.example.test",
        "joe@test",
        "joe@example.testing",
        "joe@[127.0.0.1]",
        "joe@[IPv6:::1]",
        "joe@b\u00fccher.example",
        "joe@\u0435xample.test",  # Cyrillic
        "joe%example.test@other.test",
        '"../x"@other.test',
        "postmaster@[127.0.0.1]",
        "postmaster@other.test",
        "postmaster@closed.test",
    ],
)
def test_not_our_domain(directory: Directory, path: str) -> None:
    assert where(directory, path) == NoDomain()


def test_null_path_and_names_without_a_domain_are_not_ours(directory: Directory) -> None:
    assert locate(directory, Address("", "")) == NoDomain()
    assert locate(directory, Address("joe", "")) == NoDomain()


@pytest.mark.parametrize("domain", ["Example.test", "b\u00fccher.test", "\udcff.test", "example.test\0", "..", "/"])
def test_only_a_canonical_domain_is_ours(directory: Directory, domain: str) -> None:
    assert locate(directory, Address("joe", domain)) == NoDomain()
    assert locate(directory, Address("postmaster", domain)) == NoDomain()


@pytest.mark.parametrize("user", [".hidden", "a/b", "..", ".", "", "/", "joe\0", "x" * 256, "é" * 128, "\udcff"])
def test_a_name_that_cannot_be_a_folder_is_never_looked_up(directory: Directory, user: str) -> None:
    assert locate(directory, Address(user, "example.test")) == NoUser()
    assert locate(directory, Address(user, "other.test")) == NoDomain()


@pytest.mark.parametrize(
    ("local", "user"),
    [
        ("joe+tag", "joe"),
        ("JOE+Tag+more", "joe"),
        ("joe+", "joe"),
        ("joe+exact", "joe+exact"),
        ("joe+exact+more", "joe"),
        ("joe+../../etc", "joe"),
        ("joe+ë", "joe"),
        ("Zoë+tag", "zoë"),
        ("joe+refused", None),
        ("mute+tag", None),
        ("+", "+"),
        ("+joe", None),
        ("joe-tag", None),
        ("..+joe", None),
    ],
)
def test_sub_addressing(directory: Directory, local: str, user: str | None) -> None:
    expected = NoUser() if user is None else Found((Mailbox("example.test", user),))
    assert locate(directory, Address(local, "example.test")) == expected


@pytest.mark.parametrize(
    ("separator", "local", "user"),
    [("-", "joe-tag", "joe"), ("-", "joe+tag", None), ("", "joe+tag", None), ("", "joe+exact", "joe+exact")],
)
def test_other_separators(build: Build, tmp_path: Path, separator: str, local: str, user: str | None) -> None:
    directory = build(tmp_path, DOMAINS, USERS, None, separator)
    expected = NoUser() if user is None else Found((Mailbox("example.test", user),))
    assert locate(directory, Address(local, "example.test")) == expected


def test_postmaster_of_a_domain_without_configuration(directory: Directory) -> None:
    assert where(directory, "POSTMASTER@mixedcase.test") == Found((Mailbox("mixedcase.test", "postmaster"),))
    assert where(directory, "postmaster@example.test") == NoUser()
    assert where(directory, "postmaster") == NoUser()


@pytest.mark.parametrize("path", ["postmaster", "PostMaster", "postmaster@example.test", "Postmaster@bücher.test"])
def test_postmaster_goes_to_the_configured_mailbox(build: Build, tmp_path: Path, path: str) -> None:
    directory = build(tmp_path, DOMAINS, USERS, Address("Joe+post", "mixedcase.test"), "+")
    assert where(directory, path) == Found((Mailbox("mixedcase.test", "joe"),))
    assert where(directory, "postmaster@mixedcase.test") == Found((Mailbox("mixedcase.test", "postmaster"),))
    assert where(directory, "postmaster@closed.test") == NoDomain()
    assert where(directory, "postmaster@other.test") == NoDomain()
    assert where(directory, "nobody@example.test") == NoUser()


def test_postmaster_gets_through_although_a_user_of_that_name_cannot_receive(build: Build, tmp_path: Path) -> None:
    users = {("example.test", "postmaster"): False, ("example.test", "joe"): True}
    directory = build(tmp_path, {"example.test": True}, users, Address("joe", "example.test"), "+")
    assert where(directory, "postmaster@example.test") == Found((Mailbox("example.test", "joe"),))


@pytest.mark.parametrize("postmaster", [Address("joe", "other.test"), Address("nobody", "example.test")])
def test_a_configured_postmaster_who_is_nobody(build: Build, tmp_path: Path, postmaster: Address) -> None:
    directory = build(tmp_path, DOMAINS, USERS, postmaster, "+")
    assert where(directory, "postmaster") == NoUser()
    assert where(directory, "postmaster@example.test") == NoUser()


SPELLINGS = ["a.test", "A.Test", "\u00e9.test", "\u00c9.test", "e\u0301.TEST", "xn--9ca.test", "k.test", "\u0137.test"]
DOMAIN = st.sampled_from(SPELLINGS)
NAME = st.text("aAkKwW+.%_\u00e9\u00c9\u0301\u030a\u212a\uff41", min_size=1, max_size=4)
FLAG = st.sampled_from([True, False, None])


@settings(max_examples=50, deadline=None)
@given(
    domains=st.dictionaries(DOMAIN, FLAG),
    users=st.dictionaries(st.tuples(DOMAIN, NAME), FLAG, max_size=8),
    asked=st.lists(st.tuples(st.sampled_from([*SPELLINGS, "b.test"]), NAME | st.just("postmaster")), max_size=8),
    postmaster=st.none() | st.builds(Address, NAME, DOMAIN.map(canonical_domain)),
)
def test_all_backends_agree(
    domains: Domains, users: Users, asked: list[tuple[str, str]], postmaster: Address | None
) -> None:
    # One row a name, as the unique indexes demand; which spelling it has is open.
    spelling = {canonical_domain(domain): domain for domain in domains}
    domains = {domain: domains[domain] for domain in spelling.values()}
    rows = {(canonical_domain(domain), fold(name)): (name, flag) for (domain, name), flag in users.items()}
    users = {(spelling[domain], name): flag for (domain, _), (name, flag) in rows.items() if domain in spelling}
    with tempfile.TemporaryDirectory() as folder:
        directories = []
        for backend, build in BACKENDS.items():
            Path(folder, backend).mkdir()
            directories.append(build(Path(folder, backend), domains, users, postmaster, "+"))
        for domain, local in [*asked, *users, ("a.test", "postmaster")]:
            address = Address(local, canonical_domain(domain))
            answers = {locate(directory, address) for directory in directories}
            assert len(answers) == 1, (address, answers)
            user = fold(local)
            if domains.get(domain) and users.get((domain, local)) and is_mailbox_name(user):
                assert answers == {Found((Mailbox(canonical_domain(domain), user),))}
        for directory in directories:
            asyncio.run(directory.close())
