"""What an address leads to: against an oracle that is slow and has no memory, and at the limits."""

import asyncio
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import BACKENDS, Alias, Town, World

from fastsmtp.directory.lookup import Rules
from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.directory.resolve import ADDRESSES, HOPS, AliasRow, Question, Rows, UserRow, ask, ask_later, resolve
from fastsmtp.errors import DirectoryError
from fastsmtp.ports import Elsewhere, Found, Mailbox, NoDomain, NoUser, Whereabouts
from fastsmtp.smtp.address import Address, parse_mailbox

# --- against the oracle ----------------------------------------------------------------------------------------------


class LeadsNowhereError(Exception):
    """Nobody knows what to do with this mail."""


class Oracle:
    """Walks all roads, also in circles, as far as roads may lead. The names of its worlds are folded."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, start: Address) -> Whereabouts:
        first = self._step(start)
        if not isinstance(first, set):
            return first
        layers: list[set[Address]] = [{start}]
        for _ in range(HOPS + 1):
            steps = [step for address in layers[-1] if isinstance(step := self._step(address), set)]
            layers.append(set().union(*steps))
        *near, beyond = layers
        reached = set().union(*near)
        if beyond - reached:
            raise LeadsNowhereError
        steps_taken = {address: self._step(address) for address in reached}
        foreign = {
            str(address)
            for address, step in steps_taken.items()
            if step == NoDomain() and address.domain not in {**self._world.domains, **self._world.domain_aliases}
        }
        mailboxes = {mailbox for step in steps_taken.values() if isinstance(step, Found) for mailbox in step.mailboxes}
        if foreign:
            return Elsewhere(tuple(sorted(foreign)))
        if not mailboxes:
            raise LeadsNowhereError
        return Found(tuple(sorted(mailboxes, key=lambda mailbox: mailbox[:2])))

    def _step(self, address: Address) -> Whereabouts | set[Address]:
        """What is said of this address alone."""
        domain = self._home(address.domain)
        if domain is None and not (address.domain == "" and address.local == "postmaster"):
            return NoDomain()
        names = [address.local, *([address.local.split("+")[0]] if "+" in address.local else [])]
        claims = [claim for name in names for claim in self._claims(domain, name)]
        catch_all = self._targets(domain, "*")
        if claims and claims[0] is not None:
            return claims[0]
        if address.local == "postmaster" and self._world.postmaster is not None:
            deputy = Oracle(replace(self._world, postmaster=None)).answer(self._world.postmaster)
            if isinstance(deputy, Found):
                return deputy
        if not claims and catch_all:
            return catch_all
        return NoUser()

    def _home(self, domain: str) -> str | None:
        home, is_alias_active = self._world.domain_aliases.get(domain, ("", False))
        if is_alias_active and self._world.domains[home]:
            return home
        return domain if self._world.domains.get(domain) else None

    def _claims(self, domain: str | None, name: str) -> list[Found | set[Address] | None]:
        """The user of this name (None when they receive nothing), then the alias."""
        claims: list[Found | set[Address] | None] = []
        if domain is not None and (domain, name) in self._world.users:
            mailbox = Mailbox(domain, name, self._world.quotas.get((domain, name)))
            claims.append(Found((mailbox,)) if self._world.users[domain, name] else None)
        if targets := self._targets(domain, name):
            claims.append(targets)
        return claims

    def _targets(self, domain: str | None, name: str) -> set[Address]:
        rows = [row for row in self._world.aliases if (row.domain, row.name) == (domain, name) and row.is_active]
        return {parse_mailbox(row.target) for row in rows}


DOMAINS = ["a.test", "b.test", "c.test"]
NAMES = ["a", "b", "c", "a+b", "postmaster"]
DOMAIN = st.sampled_from(DOMAINS)
NAME = st.sampled_from(NAMES)
FLAG = st.sampled_from([True, True, True, False, None])
ADDRESS = st.builds(Address, NAME, st.sampled_from([*DOMAINS, "alias.test", "far.test"]))
WORLD = st.builds(
    World,
    domains=st.fixed_dictionaries(dict.fromkeys(DOMAINS, FLAG)),
    users=st.dictionaries(st.tuples(DOMAIN, NAME), FLAG, max_size=5),
    aliases=st.lists(
        st.builds(Alias, DOMAIN, st.sampled_from([*NAMES, "*"]), ADDRESS.map(str), FLAG),
        max_size=12,
        unique_by=lambda alias: alias[:3],
    ),
    domain_aliases=st.dictionaries(st.sampled_from(["alias.test", "c.test"]), st.tuples(DOMAIN, FLAG)),
    postmaster=st.none() | ADDRESS,
).flatmap(
    lambda world: (
        st.builds(
            replace,
            st.just(world),
            quotas=st.dictionaries(st.sampled_from(sorted(world.users)), st.sampled_from([None, 0, 10])),
        )
        if world.users
        else st.just(world)
    )
)


@settings(max_examples=60)
@given(world=WORLD, asked=st.lists(ADDRESS, min_size=1, max_size=4))
def test_every_backend_answers_as_the_oracle(world: World, asked: list[Address]) -> None:
    oracle = Oracle(world)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        towns = {}
        for backend, build in BACKENDS.items():
            Path(folder, backend).mkdir()
            towns[backend] = stack.enter_context(Town(build(Path(folder, backend), world)))
        for address in [*asked, Address("postmaster", "")]:
            try:
                expected: Whereabouts | None = oracle.answer(address)
            except LeadsNowhereError:
                expected = None
            for backend, town in towns.items():
                try:
                    answer: Whereabouts | None = town.locate(address)
                except DirectoryError:
                    answer = None
                assert answer == expected, (backend, address)


# --- what comes first ------------------------------------------------------------------------------------------------

JOE, ANN, EVE = "joe@example.test", "ann@example.test", "eve@example.test"


def town(*users: str, aliases: dict[str, list[str]] | None = None, postmaster: str | None = None) -> MemoryDirectory:
    directory = MemoryDirectory(users, postmaster=parse_mailbox(postmaster) if postmaster else None)
    for alias, targets in (aliases or {}).items():
        for target in targets:
            directory.add_alias(alias, target)
    return directory


def found(*addresses: str) -> Found:
    mailboxes = (Address(*address.rsplit("@", 1)) for address in addresses)
    return Found(tuple(Mailbox(mailbox.domain, mailbox.local) for mailbox in mailboxes))


def locate(directory: MemoryDirectory, address: str) -> Whereabouts:
    return directory.locate(parse_mailbox(address))


def test_the_order_of_names() -> None:
    """The exact name before what stands before the tag; of each, the user before the alias; the catch-all last."""
    aliases = {"joe+tag@example.test": [ANN], "joe@example.test": [EVE], "*@example.test": [EVE]}
    people = ["joe@example.test", ANN, EVE]
    assert locate(town("joe+tag@example.test", *people, aliases=aliases), "Joe+Tag@example.test") == found(
        "joe+tag@example.test"
    )
    assert locate(town(*people, aliases=aliases), "joe+tag@example.test") == found(ANN)
    del aliases["joe+tag@example.test"]
    assert locate(town(*people, aliases=aliases), "joe+tag@example.test") == found(JOE)
    assert locate(town(ANN, EVE, aliases=aliases), "joe+tag@example.test") == found(EVE)
    del aliases["joe@example.test"]
    assert locate(town(ANN, EVE, aliases=aliases), "joe+tag@example.test") == found(EVE)
    del aliases["*@example.test"]
    assert locate(town(ANN, EVE, aliases=aliases), "joe+tag@example.test") == NoUser()


def test_nobody_takes_the_mail_of_a_user_who_cannot_receive() -> None:
    directory = town(ANN, aliases={"joe@example.test": [ANN], "*@example.test": [ANN], "all@example.test": [JOE, ANN]})
    directory.add_user(JOE, can_receive=False)
    assert locate(directory, JOE) == NoUser()
    assert locate(directory, "joe+tag@example.test") == NoUser()
    assert locate(directory, "all@example.test") == found(ANN)


def test_postmaster() -> None:
    """Own user, own alias, deputy, catch-all: in this order."""
    catch_all = {"*@example.test": [EVE]}
    assert locate(town(EVE, aliases=catch_all), "postmaster@example.test") == found(EVE)
    assert locate(town(EVE, JOE, aliases=catch_all, postmaster=JOE), "PostMaster@example.test") == found(JOE)
    assert locate(town(EVE, aliases=catch_all, postmaster="joe@far.test"), "postmaster@example.test") == found(EVE)
    own = {**catch_all, "postmaster@example.test": [ANN]}
    assert locate(town(EVE, JOE, ANN, aliases=own, postmaster=JOE), "postmaster@example.test") == found(ANN)
    directory = town(EVE, JOE, aliases=catch_all, postmaster=JOE)
    directory.add_user("postmaster@example.test", can_receive=False)
    assert locate(directory, "postmaster@example.test") == found(JOE)
    directory = town(EVE, aliases=catch_all)
    directory.add_user("postmaster@example.test", can_receive=False)
    assert locate(directory, "postmaster@example.test") == NoUser()


def test_a_deputy_may_be_an_alias_but_has_no_deputy() -> None:
    directory = town(JOE, ANN, aliases={"team@example.test": [JOE, ANN]}, postmaster="team@example.test")
    assert directory.locate(Address("postmaster", "")) == found(ANN, JOE)
    directory = town(JOE, postmaster="postmaster@example.test")
    assert directory.locate(Address("postmaster", "")) == NoUser()
    directory = town(aliases={"team@example.test": ["postmaster@example.test"]}, postmaster="team@example.test")
    with pytest.raises(DirectoryError, match=r"team@example\.test leads to no mailbox"):
        directory.locate(Address("postmaster", ""))


def test_the_deputy_is_asked_once() -> None:
    asked: list[Question] = []

    def fetch(question: Question) -> Rows:
        asked.append(question)
        users = [UserRow(question.domain, question.domain, 1)]
        if question.names == ("joe",):
            return Rows([*users, UserRow(question.domain, question.domain, 1, "joe", 1)])
        if question.names == ("all",):
            return Rows(
                users, [AliasRow(question.domain, question.domain, "all", f"postmaster@{n}.test") for n in "abc"]
            )
        return Rows(users)

    rules = Rules(Address("joe", "example.test"))
    assert ask(resolve(rules, Address("all", "example.test")), fetch) == found(JOE)
    assert [question.domain for question in asked].count("example.test") == 2
    assert len(asked) == 5


# --- limits ----------------------------------------------------------------------------------------------------------


def chain(aliases: int) -> dict[str, list[str]]:
    """alias0 leads to alias1, and so on; the last one to joe."""
    names = [*(f"alias{number}@example.test" for number in range(aliases)), JOE]
    return {name: [following] for name, following in pairwise(names)}


def test_the_longest_chain() -> None:
    assert locate(town(JOE, aliases=chain(HOPS)), "alias0@example.test") == found(JOE)
    with pytest.raises(DirectoryError, match=f"alias0@example.test leads over more than {HOPS} others, to joe@"):
        locate(town(JOE, aliases=chain(HOPS + 1)), "alias0@example.test")


def test_a_chain_that_is_too_long_is_trouble_although_others_are_there() -> None:
    """Their copies would arrive, and nobody would hear that others do not."""
    aliases = chain(HOPS + 1)
    aliases["alias0@example.test"].append(ANN)
    with pytest.raises(DirectoryError, match="leads over more than"):
        locate(town(JOE, ANN, aliases=aliases), "alias0@example.test")


def test_the_shortest_way_counts() -> None:
    aliases = chain(HOPS + 1)
    aliases["alias0@example.test"] += [f"alias{HOPS}@example.test"]
    assert locate(town(JOE, aliases=aliases), "alias0@example.test") == found(JOE)


def test_a_loop_ends() -> None:
    aliases = chain(5)
    aliases["alias4@example.test"] += ["alias0@example.test", "alias4@example.test"]
    for name in aliases:
        assert locate(town(JOE, aliases=aliases), name) == found(JOE)


def test_the_largest_list() -> None:
    people = [f"user{number:04}@example.test" for number in range(ADDRESSES + 1)]
    directory = town(*people, aliases={"all@example.test": people[:-1]})
    assert locate(directory, "all@example.test") == found(*people[:-1])
    directory.add_alias("all@example.test", people[-1])
    with pytest.raises(DirectoryError, match=f"all@example.test leads to more than {ADDRESSES} addresses"):
        locate(directory, "all@example.test")


# --- rows of others --------------------------------------------------------------------------------------------------


def answer(address: str, rows: Rows) -> Whereabouts:
    """What is made of the same rows for every question."""
    return ask(resolve(Rules(), parse_mailbox(address)), lambda _: rows)


def test_rows_of_nobody_who_was_asked_for_are_left_out() -> None:
    rows = Rows(
        [
            UserRow("other.test", "other.test", 1, "joe", 1),
            UserRow("\udcff.test", "\udcff.test", 1, "joe", 1),
            UserRow("EXAMPLE.test", "Example.test", 1, "ann", 1, 7),
        ],
        [AliasRow("other.test", "other.test", "team", ANN), AliasRow("example.test", "other.test", "team", ANN)],
    )
    assert answer(JOE, rows) == NoUser()
    assert answer("team@example.test", rows) == NoUser()
    assert answer(ANN, rows) == Found((Mailbox("example.test", "ann", 7),))
    assert answer("ann@third.test", rows) == NoDomain()


def test_a_name_that_is_there_twice_receives_if_one_of_them_does() -> None:
    row = UserRow("example.test", "example.test", 1, "joe", 0, 5)
    both = [row, row._replace(username="JOE", can_receive=1, quota_bytes=9)]
    for users in (both, both[::-1]):
        assert answer(JOE, Rows(users)) == Found((Mailbox("example.test", "joe", 9),))


def test_rows_of_an_inactive_domain_that_is_there_twice_do_not_count() -> None:
    users = [UserRow("example.test", "example.test", 0, "ann", 1), UserRow("EXAMPLE.test", "EXAMPLE.test", 1)]
    assert answer(ANN, Rows(users)) == NoUser()


def test_targets_that_are_no_addresses_are_left_out() -> None:
    user = UserRow("example.test", "example.test", 1, "ann", 1)
    targets = ["ann", "", "@example.test", "a b@example.test", "ann@\udcff.test", "ann\udcff@example.test", "|cat", ANN]
    aliases = [AliasRow("example.test", "example.test", "team", target) for target in targets]
    assert answer("team@example.test", Rows([user], aliases)) == found(ANN)
    with pytest.raises(DirectoryError, match="leads to no mailbox"):
        answer("team@example.test", Rows([user], aliases[:-1]))


@pytest.mark.parametrize("domain", ["[127.0.0.1]", "Example.test", "example.test\0", "\u00e9.test", "..", "a b.test"])
def test_no_question_is_asked_for_what_is_no_canonical_domain(domain: str) -> None:
    with pytest.raises(StopIteration) as stopped:
        next(resolve(Rules(), Address("joe", domain)))
    assert stopped.value.value == NoDomain()


def test_what_is_asked() -> None:
    assert next(resolve(Rules(), Address("Joe+Tag", "example.test"))) == Question("example.test", ("joe+tag", "joe"))
    assert next(resolve(Rules(), Address("a/b", "example.test"))) == Question("example.test", ())
    assert Question("example.test", ("joe",)).is_ascii
    assert not Question("example.test", ("jo\u00e9",)).is_ascii
    assert not Question("xn--bcher-kva.test", ("joe",)).is_ascii


def test_answers_may_come_later() -> None:
    async def fetch(question: Question) -> Rows:
        await asyncio.sleep(0)
        if question.names == ("joe",):
            return Rows([UserRow("example.test", "example.test", 1, "joe", 1)])
        return Rows(
            [UserRow("example.test", "example.test", 1)], [AliasRow("example.test", "example.test", "team", JOE)]
        )

    async def locate(address: str) -> Whereabouts:
        return await ask_later(resolve(Rules(), parse_mailbox(address)), fetch)

    assert asyncio.run(locate("team@example.test")) == found(JOE)
    assert asyncio.run(locate("joe@[127.0.0.1]")) == NoDomain()
