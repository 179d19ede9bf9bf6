"""check_host(): every policy of tests/vectors/spf.toml, and what no policy may do."""

import asyncio
import json
import os
import tomllib
from ipaddress import ip_address
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.errors import DnsError
from fastsmtp.plugin import at_once
from fastsmtp.smtp.transaction import Connection, Transaction
from fastsmtp.spf.check import Finding, Identity, check_host
from fastsmtp.spf.lookup import Policies
from fastsmtp.testing.resolver import MemoryResolver

VECTORS = tomllib.loads((Path(__file__).parents[2] / "vectors" / "spf.toml").read_text())
CASES = [(world["zone"], *case) for world in VECTORS["world"] for case in world["cases"]]
TRANSACTION = Transaction("T1", Connection("C1", "192.0.2.7", 1, "192.0.2.25", 25))


def identity(client: str, sender: str) -> Identity:
    local, at, domain = sender.rpartition("@")
    helo = "mail.client.example" if at else domain
    return Identity(ip_address(client), local or "postmaster", domain, helo, "mx.example.test", 1_700_000_000)


@pytest.mark.parametrize("is_remembered", [True, False], ids=["at once", "waited for"])
@pytest.mark.parametrize("case", CASES, ids=[f"{case[1]} {case[2]}" for case in CASES])
def test_what_a_policy_says(case: tuple[str, ...], is_remembered: bool) -> None:
    zone, client, sender, result, *explanation = case
    resolver = MemoryResolver(zone)
    resolver.is_remembered = is_remembered

    async def check() -> Finding:
        found = at_once(Policies(resolver, monotonic_ns).find(identity(client, sender), TRANSACTION))
        assert isinstance(found, Finding) is (is_remembered or not resolver.asked)
        return found if isinstance(found, Finding) else await found

    found = asyncio.run(check())
    assert found.result == result, found.reason
    if explanation:
        assert found.explanation == explanation[0]


# --- Trouble ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failing", "result"),
    [
        ("a.example", "temperror"),
        ("i.example", "temperror"),
        ("h.example", "temperror"),
        ("mx.example", "temperror"),
        ("host.mx.example", "temperror"),
        ("r.example", "temperror"),
        ("7.2.0.192.in-addr.arpa", "fail"),  # section 5.5
        ("name.example", "fail"),
        ("exp.example", "fail"),
    ],
)
def test_trouble_of_the_dns(failing: str, result: str) -> None:
    resolver = MemoryResolver("""
        a.example               TXT "v=spf1 include:i.example a:h.example mx:mx.example ptr:p.test redirect=r.example"
        i.example               TXT "v=spf1 -all"
        h.example               A   198.51.100.1
        mx.example              MX  10 host.mx.example
        host.mx.example         A   198.51.100.1
        7.2.0.192.in-addr.arpa  PTR name.example
        name.example            A   192.0.2.7
        r.example               TXT "v=spf1 -all exp=exp.example"
        exp.example             TXT "no"
    """)
    resolver.fail(failing)
    found = at_once(Policies(resolver, monotonic_ns).find(identity("192.0.2.7", "a@a.example"), TRANSACTION))
    assert isinstance(found, Finding)
    assert (found.result, found.explanation) == (result, "no" if result == "fail" and failing != "exp.example" else "")


def test_a_policy_that_matches_before_the_trouble() -> None:
    resolver = MemoryResolver('a.example TXT "v=spf1 ip4:192.0.2.7 include:broken.example -all"')
    resolver.fail("broken.example")
    found = at_once(Policies(resolver, monotonic_ns).find(identity("192.0.2.7", "a@a.example"), TRANSACTION))
    assert found == Finding("pass", "ip4:192.0.2.7 of a.example", domain="a.example")


# --- Any policy -------------------------------------------------------------------------------------------------------

TERMS = st.sampled_from(
    [
        "all", "-all", "a", "mx", "ptr", "include:%{d}", "include:b.example", "exists:%{p}.%{l1r-}.example",
        "a:%{p}.example", "mx:%{i}.example/0//0", "redirect=b.example", "exp=%{p}.example", "redirect=%{h}",
        "ip4:192.0.2.7", "?all", "~a//64",
    ]
)  # fmt: skip


def count_questions(policies: dict[str, str], many: int) -> int:
    """How much is asked where every name has a policy, addresses, mail exchangers and names in plenty."""
    answers: dict[str, tuple[Any, ...]] = {
        "mx": tuple((number, f"{number}.example") for number in range(many)),
        "addresses": (ip_address("198.51.100.1"),) * many,
        "reverse": tuple(f"name{number}.example" for number in range(1000)),
    }
    asking = check_host(identity("192.0.2.7", "a-b@a.example"))
    question, count = next(asking), 1
    try:
        while count < 1000:
            text = policies.get(question.name, "v=spf1 ?all")
            question = asking.send((text,) if question.kind == "txt" else answers[question.kind])
            count += 1
    except StopIteration as stop:
        assert isinstance(stop.value, Finding)  # noqa: PT017 - it is no error that is expected
    return count


@given(st.lists(TERMS, max_size=30), st.lists(TERMS, max_size=30), st.integers(0, 12))
def test_no_policy_asks_without_end(first: list[str], second: list[str], many: int) -> None:
    policies = {"a.example": f"v=spf1 {' '.join(first)}", "b.example": f"v=spf1 {' '.join(second)}"}
    # The record, ten terms with ten names each, the names of the client, the explanation.
    assert count_questions(policies, many) <= 1 + 10 * 11 + 11 + 1


@given(
    st.text(st.characters(codec="ascii"), max_size=60),
    st.text(st.sampled_from("%{}slodiphcrt0123r.-+ /:=a"), max_size=30),
)
def test_any_text_is_a_policy_or_an_error(policy: str, explanation: str) -> None:
    zone = {"a.example": {"TXT": [json.dumps(f"v=spf1 {policy} {explanation}")]}, "exp.example": {"TXT": ['"%{c}"']}}
    resolver = MemoryResolver(zone)
    found = at_once(Policies(resolver, monotonic_ns).find(identity("192.0.2.7", "a@a.example"), TRANSACTION))
    assert isinstance(found, Finding)
    assert found.explanation.isascii()
    assert found.explanation.isprintable()


def test_an_explanation_is_one_line_of_printable_text() -> None:
    zone = {
        "a.example": {"TXT": ['"v=spf1 -all exp=exp.example"']},
        "exp.example": {"TXT": ['"%{h} ' + "x" * 1000 + '"']},
    }
    who = Identity(ip_address("192.0.2.7"), "a", "a.example", "evil\r\n250 \x1b[2J")
    found = at_once(Policies(MemoryResolver(zone), monotonic_ns).find(who, TRANSACTION))
    assert isinstance(found, Finding)
    assert found.explanation == ("evil250 [2J " + "x" * 1000)[:400]


# --- The public suite -------------------------------------------------------------------------------------------------

SUITE = os.environ.get("FASTSMTP_SPF_SUITE", "")
"""A file with rfc7208-tests.yml of openspf.org (203 cases, BSD licence) as JSON: a list of its documents."""

NOT_ASKED = {"macro-mania-in-domain": "fail"}
"""A name with a blank: our resolvers say that there is none, without asking."""


class SuiteResolver(MemoryResolver):
    """The zones of the suite, in which a policy is also a text and anything may be `TIMEOUT`."""

    def __init__(self, zone: dict[str, list[Any]]) -> None:
        records: dict[str, dict[str, list[str]]] = {}
        for name, entries in zone.items():
            here = records.setdefault(name.lower().rstrip("."), {})
            has_text = any("TXT" in entry for entry in entries if isinstance(entry, dict))
            for entry in entries:
                for kind, data in entry.items() if isinstance(entry, dict) else ():
                    if kind != "SPF" or not has_text:
                        here.setdefault("TXT" if kind == "SPF" else kind, []).extend(_as_zone_file(kind, data))
        super().__init__(records)
        self._timeouts = {name.lower().rstrip(".") for name, entries in zone.items() if "TIMEOUT" in entries}

    def _answer(self, name: str, kinds: tuple[str, ...], parse: Any, arrange: Any) -> Any:
        data = [one for kind in kinds for one in self.zone.get(name, {}).get(kind, ())]
        if "TIMEOUT" in data or (not data and name in self._timeouts):
            raise DnsError("timeout")
        return super()._answer(name, kinds, parse, arrange)


def _as_zone_file(kind: str, data: Any) -> list[str]:
    if data in ("TIMEOUT", "NONE"):
        return ["TIMEOUT"] if data == "TIMEOUT" else []
    if kind == "MX":
        return [f"{data[0]} {data[1] or '.'}"]
    if kind in ("TXT", "SPF"):
        return [" ".join(json.dumps(text, ensure_ascii=False) for text in ([data] if isinstance(data, str) else data))]
    return [data]


@pytest.mark.skipif(not SUITE, reason="FASTSMTP_SPF_SUITE names no file with the suite of openspf.org")
def test_the_suite_of_openspf() -> None:
    wrong: list[str] = []
    for scenario in json.loads(Path(SUITE).read_text()):
        for name, test in scenario["tests"].items():
            local, _, domain = (test["mailfrom"] or f"postmaster@{test['helo']}").rpartition("@")
            who = Identity(ip_address(test["host"]), local or "postmaster", domain, test["helo"])
            found = at_once(Policies(SuiteResolver(scenario["zonedata"]), monotonic_ns).find(who, TRANSACTION))
            assert isinstance(found, Finding)
            results = [test["result"]] if isinstance(test["result"], str) else test["result"]
            wanted = test.get("explanation", found.explanation)
            says_it = found.explanation.lower() == ("" if wanted == "DEFAULT" else wanted.lower())
            if found.result != NOT_ASKED.get(name) and not (found.result in results and says_it):
                wrong.append(f"{name}: {results} {wanted!r}, not {found}")
    assert wrong == []
