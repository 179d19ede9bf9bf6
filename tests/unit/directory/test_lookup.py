"""Every backend gives the same answers: the questions are asked once, of each of them."""

import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import BACKENDS, Alias, Town, World

from fastsmtp.directory.lookup import is_mailbox_name
from fastsmtp.errors import DirectoryError
from fastsmtp.ports import Elsewhere, Found, Mailbox, NoDomain, NoUser, Whereabouts
from fastsmtp.smtp.address import Address, canonical_domain, fold, parse_forward_path

Settle: TypeAlias = Callable[[World], Town]

DOMAINS: Mapping[str, bool | None] = {
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
USERS: Mapping[tuple[str, str], bool | None] = {
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


@pytest.fixture(params=list(BACKENDS))
def settle(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settle]:
    with ExitStack() as towns:
        yield lambda world: towns.enter_context(Town(BACKENDS[request.param](tmp_path, world)))


@pytest.fixture
def town(settle: Settle) -> Town:
    return settle(World(DOMAINS, USERS))


def where(town: Town, path: str) -> Whereabouts:
    """The answer for a forward-path as a client sends it."""
    return town.locate(parse_forward_path(f"<{path}>".encode(), smtputf8=True)[0])


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
def test_known(town: Town, path: str, domain: str, user: str) -> None:
    assert where(town, path) == Found((Mailbox(domain, user),))


@pytest.mark.parametrize("user", ["Zoë", "ZOë", unicodedata.normalize("NFD", "zoë")])
def test_local_parts_beyond_ascii_in_either_normalization_form(town: Town, user: str) -> None:
    assert where(town, f"{user}@example.test") == Found((Mailbox("example.test", "zoë"),))


@pytest.mark.parametrize(
    ("spellings", "canonical"),
    [
        (("bücher.test", "BÜCHER.test", "xn--bcher-kva.test", "XN--BCHER-KVA.Test"), "xn--bcher-kva.test"),
        (("österreich.test", "Österreich.test", "xn--sterreich-z7a.test"), "xn--sterreich-z7a.test"),
        (("ärger.test", "xn--rger-koa.test"), "xn--rger-koa.test"),
    ],
)
def test_international_domains_in_every_form(town: Town, spellings: tuple[str, ...], canonical: str) -> None:
    for spelling in spellings:
        assert where(town, f"joe@{spelling}") == Found((Mailbox(canonical, "joe"),))
        assert where(town, f"nobody@{spelling}") == NoUser()


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
def test_unknown_user(town: Town, path: str) -> None:
    assert where(town, path) == NoUser()


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
def test_not_our_domain(town: Town, path: str) -> None:
    assert where(town, path) == NoDomain()


def test_null_path_and_names_without_a_domain_are_not_ours(town: Town) -> None:
    assert town.locate(Address("", "")) == NoDomain()
    assert town.locate(Address("joe", "")) == NoDomain()


@pytest.mark.parametrize("domain", ["Example.test", "b\u00fccher.test", "\udcff.test", "example.test\0", "..", "/"])
def test_only_a_canonical_domain_is_ours(town: Town, domain: str) -> None:
    assert town.locate(Address("joe", domain)) == NoDomain()
    assert town.locate(Address("postmaster", domain)) == NoDomain()


@pytest.mark.parametrize("user", [".hidden", "a/b", "..", ".", "", "/", "joe\0", "x" * 256, "é" * 128, "\udcff"])
def test_a_name_that_cannot_be_a_folder_is_never_looked_up(town: Town, user: str) -> None:
    assert town.locate(Address(user, "example.test")) == NoUser()
    assert town.locate(Address(user, "other.test")) == NoDomain()


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
def test_sub_addressing(town: Town, local: str, user: str | None) -> None:
    expected = NoUser() if user is None else Found((Mailbox("example.test", user),))
    assert town.locate(Address(local, "example.test")) == expected


@pytest.mark.parametrize(
    ("separator", "local", "user"),
    [("-", "joe-tag", "joe"), ("-", "joe+tag", None), ("", "joe+tag", None), ("", "joe+exact", "joe+exact")],
)
def test_other_separators(settle: Settle, separator: str, local: str, user: str | None) -> None:
    town = settle(World(DOMAINS, USERS, separator=separator))
    expected = NoUser() if user is None else Found((Mailbox("example.test", user),))
    assert town.locate(Address(local, "example.test")) == expected


def test_postmaster_of_a_domain_without_configuration(town: Town) -> None:
    assert where(town, "POSTMASTER@mixedcase.test") == Found((Mailbox("mixedcase.test", "postmaster"),))
    assert where(town, "postmaster@example.test") == NoUser()
    assert where(town, "postmaster") == NoUser()


@pytest.mark.parametrize("path", ["postmaster", "PostMaster", "postmaster@example.test", "Postmaster@bücher.test"])
def test_postmaster_goes_to_the_configured_mailbox(settle: Settle, path: str) -> None:
    town = settle(World(DOMAINS, USERS, postmaster=Address("Joe+post", "mixedcase.test")))
    assert where(town, path) == Found((Mailbox("mixedcase.test", "joe"),))
    assert where(town, "postmaster@mixedcase.test") == Found((Mailbox("mixedcase.test", "postmaster"),))
    assert where(town, "postmaster@closed.test") == NoDomain()
    assert where(town, "postmaster@other.test") == NoDomain()
    assert where(town, "nobody@example.test") == NoUser()


def test_postmaster_gets_through_although_a_user_of_that_name_cannot_receive(settle: Settle) -> None:
    users = {("example.test", "postmaster"): False, ("example.test", "joe"): True}
    town = settle(World({"example.test": True}, users, postmaster=Address("joe", "example.test")))
    assert where(town, "postmaster@example.test") == Found((Mailbox("example.test", "joe"),))


@pytest.mark.parametrize("postmaster", [Address("joe", "other.test"), Address("nobody", "example.test")])
def test_a_configured_postmaster_who_is_nobody(settle: Settle, postmaster: Address) -> None:
    town = settle(World(DOMAINS, USERS, postmaster=postmaster))
    assert where(town, "postmaster") == NoUser()
    assert where(town, "postmaster@example.test") == NoUser()


# --- aliases, domain aliases, quota -----------------------------------------------------------------------------------

NFD_ZOE = unicodedata.normalize("NFD", "Zo\u00eb")
PEOPLE = World(
    domains={"example.test": True, "Other.Test": True, "b\u00fccher.test": True, "closed.test": False, "not one": True},
    users={
        ("example.test", "joe"): True,
        ("example.test", "Ann"): True,
        ("example.test", "mute"): False,
        ("Other.Test", "eve"): True,
        ("Other.Test", "joe"): True,
        ("b\u00fccher.test", "bob"): True,
        ("closed.test", "joe"): True,
    },
    quotas={("example.test", "joe"): 1000, ("example.test", "Ann"): None, ("Other.Test", "eve"): 2**40},
    aliases=[
        Alias("example.test", "Team", "JOE@Example.Test"),
        Alias("example.test", "team", "ann+tag@example.test"),
        Alias("example.test", "TEAM", "eve@other.test"),
        Alias("example.test", "all", "team@example.test"),
        Alias("example.test", "all", "all@example.test"),
        Alias("example.test", "all", "bob@B\u00fccher.test"),
        Alias("example.test", "off", "joe@example.test", is_active=False),
        Alias("example.test", "null", "joe@example.test", is_active=None),
        Alias("example.test", "partly-off", "joe@example.test", is_active=False),
        Alias("example.test", "partly-off", "ann@example.test"),
        Alias("example.test", NFD_ZOE, "ann@example.test"),
        Alias("example.test", "joe", "ann@example.test"),
        Alias("example.test", "mute", "ann@example.test"),
        Alias("example.test", "away", "joe@far.test"),
        Alias("example.test", "away", "joe@example.test"),
        Alias("example.test", "away", "Ann@Far.Test"),
        Alias("example.test", "gone", "nobody@example.test"),
        Alias("example.test", "gone", "joe@closed.test"),
        Alias("example.test", "gone", "joe@sleeping.test"),
        Alias("example.test", "half-gone", "nobody@example.test"),
        Alias("example.test", "half-gone", "joe@closed.test"),
        Alias("example.test", "half-gone", "joe@example.test"),
        Alias("example.test", "loop", "loop2@example.test"),
        Alias("example.test", "loop2", "loop@example.test"),
        Alias("example.test", "by-alias", "eve@second.test"),
        Alias("Other.Test", "*", "eve@other.test"),
        Alias("Other.Test", "sales", "joe@example.test"),
        Alias("b\u00fccher.test", "*", "joe@far.test"),
    ],
    domain_aliases={
        "Second.Test": ("Other.Test", True),
        "\u00e4rger.test": ("b\u00fccher.test", True),
        "sleeping.test": ("example.test", False),
        "null.test": ("example.test", None),
        "to-closed.test": ("closed.test", True),
        "to-none.test": ("not one", True),
    },
)
JOE = Mailbox("example.test", "joe", 1000)
ANN = Mailbox("example.test", "ann")
EVE = Mailbox("other.test", "eve", 2**40)
BOB = Mailbox("xn--bcher-kva.test", "bob")


@pytest.mark.parametrize(
    ("path", "mailboxes"),
    [
        ("joe@example.test", [JOE]),  # the user comes before an alias of that name
        ("team@example.test", [ANN, JOE, EVE]),
        ("TEAM+tag@example.test", [ANN, JOE, EVE]),
        ("all@example.test", [ANN, JOE, EVE, BOB]),
        ("partly-off@example.test", [ANN]),
        ("zo\u00eb@example.test", [ANN]),
        ("ZO\u00eb+tag@example.test", [ANN]),
        ("half-gone@example.test", [JOE]),
        ("eve@other.test", [EVE]),
        ("joe@other.test", [Mailbox("other.test", "joe")]),
        ("sales@other.test", [JOE]),
        ("anybody@other.test", [EVE]),
        ("any+body@other.test", [EVE]),
        ('".hidden"@other.test', [EVE]),
        ("postmaster@other.test", [EVE]),
        ("eve@second.test", [EVE]),
        ("sales@SECOND.test", [JOE]),
        ("anybody@second.test", [EVE]),
        ("by-alias@example.test", [EVE]),
        ("bob@\u00e4rger.test", [BOB]),
        ("Bob+tag@xn--rger-koa.test", [BOB]),
    ],
)
def test_aliases(settle: Settle, path: str, mailboxes: list[Mailbox]) -> None:
    assert where(settle(PEOPLE), path) == Found(tuple(mailboxes))


@pytest.mark.parametrize(
    "path", ["mute@example.test", "off@example.test", "null@example.test", "*@example.test", "nobody@example.test"]
)
def test_no_alias(settle: Settle, path: str) -> None:
    assert where(settle(PEOPLE), path) == NoUser()


@pytest.mark.parametrize(
    "domain", ["sleeping.test", "null.test", "to-closed.test", "to-none.test", "closed.test", "sub.second.test"]
)
def test_no_domain_alias(settle: Settle, domain: str) -> None:
    assert where(settle(PEOPLE), f"joe@{domain}") == NoDomain()


@pytest.mark.parametrize(
    ("path", "targets"),
    [
        ("away@example.test", ("Ann@far.test", "joe@far.test")),
        ("anybody@b\u00fccher.test", ("joe@far.test",)),
        ("anybody@\u00e4rger.test", ("joe@far.test",)),
    ],
)
def test_aliases_that_lead_to_other_servers(settle: Settle, path: str, targets: tuple[str, ...]) -> None:
    assert where(settle(PEOPLE), path) == Elsewhere(targets)


@pytest.mark.parametrize("name", ["gone", "loop", "loop2"])
def test_an_alias_that_leads_nowhere_is_trouble(settle: Settle, name: str) -> None:
    town = settle(PEOPLE)
    with pytest.raises(DirectoryError, match=f"{name}@example.test leads to no mailbox"):
        where(town, f"{name}@example.test")
    assert where(town, "joe@example.test") == Found((JOE,))


def test_the_deputy_comes_before_the_catch_all(settle: Settle) -> None:
    town = settle(replace(PEOPLE, postmaster=Address("team", "example.test")))
    for path in ("postmaster", "postmaster@other.test", "postmaster@second.test", "postmaster@b\u00fccher.test"):
        assert where(town, path) == Found((ANN, JOE, EVE))
    assert where(town, "postmaster@far.test") == NoDomain()


def test_a_domain_alias_comes_before_a_domain_of_that_name(settle: Settle) -> None:
    """Somebody moved a domain and left the old one where it was."""
    town = settle(
        World(
            {"old.test": True, "new.test": True},
            {("old.test", "joe"): True, ("new.test", "ann"): True},
            aliases=[Alias("old.test", "*", "joe@old.test"), Alias("old.test", "ann", "joe@old.test")],
            domain_aliases={"old.test": ("new.test", True)},
        )
    )
    assert where(town, "ann@old.test") == Found((Mailbox("new.test", "ann"),))
    assert where(town, "joe@old.test") == NoUser()


@pytest.mark.parametrize(("is_active", "new_is_active"), [(False, True), (None, True), (True, False)])
def test_an_inactive_domain_alias_hides_nothing(settle: Settle, is_active: bool | None, new_is_active: bool) -> None:
    town = settle(
        World(
            {"old.test": True, "new.test": new_is_active},
            {("old.test", "joe"): True, ("new.test", "ann"): True},
            aliases=[Alias("new.test", "*", "ann@new.test")],
            domain_aliases={"old.test": ("new.test", is_active)},
        )
    )
    assert where(town, "joe@old.test") == Found((Mailbox("old.test", "joe"),))
    assert where(town, "ann@old.test") == NoUser()


# --- all of them at once ----------------------------------------------------------------------------------------------

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
    domains: Mapping[str, bool | None],
    users: Mapping[tuple[str, str], bool | None],
    asked: list[tuple[str, str]],
    postmaster: Address | None,
) -> None:
    # One row a name, as the unique indexes demand; which spelling it has is open.
    spelling = {canonical_domain(domain): domain for domain in domains}
    domains = {domain: domains[domain] for domain in spelling.values()}
    rows = {(canonical_domain(domain), fold(name)): (name, flag) for (domain, name), flag in users.items()}
    users = {(spelling[domain], name): flag for (domain, _), (name, flag) in rows.items() if domain in spelling}
    world = World(domains, users, postmaster=postmaster)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        towns = []
        for backend, build in BACKENDS.items():
            Path(folder, backend).mkdir()
            towns.append(stack.enter_context(Town(build(Path(folder, backend), world))))
        for domain, local in [*asked, *users, ("a.test", "postmaster")]:
            address = Address(local, canonical_domain(domain))
            answers = {town.locate(address) for town in towns}
            assert len(answers) == 1, (address, answers)
            user = fold(local)
            if domains.get(domain) and users.get((domain, local)) and is_mailbox_name(user):
                assert answers == {Found((Mailbox(canonical_domain(domain), user),))}
