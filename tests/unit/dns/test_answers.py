"""From what c-ares says to an answer."""

from typing import Any

import pytest
from aiodns.error import ARES_ECANCELLED, ARES_ENODATA, ARES_ENOTFOUND, ARES_EREFUSED, ARES_ESERVFAIL, ARES_ETIMEOUT
from hypothesis import given
from hypothesis import strategies as st
from pycares import (
    QUERY_TYPE_A,
    QUERY_TYPE_CNAME,
    QUERY_TYPE_SOA,
    QUERY_TYPE_TXT,
    ARecordData,
    CNAMERecordData,
    DNSRecord,
    DNSResult,
    SOARecordData,
    TXTRecordData,
)

from fastsmtp.dns.answers import RECORDS_MAX, answer_of, failure_of
from fastsmtp.errors import DnsError
from fastsmtp.ports import DnsAnswer


def record(name: str, kind: int, data: Any, ttl: int = 300) -> DNSRecord:
    return DNSRecord(name=name, type=kind, record_class=1, ttl=ttl, data=data)


def a(name: str, ttl: int = 300) -> DNSRecord:
    return record(name, QUERY_TYPE_A, ARecordData("192.0.2.1"), ttl)


def cname(name: str, target: str, ttl: int = 300) -> DNSRecord:
    return record(name, QUERY_TYPE_CNAME, CNAMERecordData(target), ttl)


SOA = record("test", QUERY_TYPE_SOA, SOARecordData("ns.test", "h.test", 1, 2, 3, 4, 40), 50)


def said(*answer: DNSRecord, authority: tuple[DNSRecord, ...] = ()) -> DNSResult:
    return DNSResult(list(answer), list(authority), [])


def test_the_ttl_is_the_least_on_the_way() -> None:
    answer, ttl_s = answer_of(said(cname("A.test", "B.test", 7), a("b.TEST", 90)), "a.test", "A")
    assert (len(answer.records), ttl_s) == (1, 7)


def test_records_of_others_do_not_count() -> None:
    with pytest.raises(DnsError, match="bad answer"):
        answer_of(said(a("b.test")), "a.test", "A")
    with pytest.raises(DnsError, match="bad answer"):
        answer_of(said(cname("a.test", "b.test"), a("c.test")), "a.test", "A")


def test_nothing_of_this_kind_needs_a_word_for_it() -> None:
    assert answer_of(said(cname("a.test", "b.test"), authority=(SOA,)), "a.test", "A") == (DnsAnswer(), 40)


def test_too_many_records() -> None:
    answer, _ = answer_of(said(*[a("a.test")] * 1000), "a.test", "A")
    assert len(answer.records) == RECORDS_MAX


def test_text_that_is_none() -> None:
    result = said(record("a.test", QUERY_TYPE_TXT, TXTRecordData(b"v=\xff\0")))
    assert answer_of(result, "a.test", "TXT")[0].records == ("v=�\0",)


def test_more_text_than_anybody_means() -> None:
    strings = [record("a.test", QUERY_TYPE_TXT, TXTRecordData(b"x" * 4096)) for _ in range(5)]
    assert len(answer_of(said(*strings[:4]), "a.test", "TXT")[0].records) == 4
    with pytest.raises(DnsError, match="bad answer"):
        answer_of(said(*strings), "a.test", "TXT")


def test_failures() -> None:
    assert failure_of(ARES_ENOTFOUND) == (DnsAnswer(exists=False), None)
    assert failure_of(ARES_ENODATA) == (DnsAnswer(), None)
    for code, text in [
        (ARES_ETIMEOUT, "timeout"),
        (ARES_ESERVFAIL, "server failure"),
        (ARES_EREFUSED, "refused"),
        (ARES_ECANCELLED, "other trouble"),
    ]:
        with pytest.raises(DnsError, match=text):
            failure_of(code)


NAMES = st.sampled_from(["a.test", "b.test", "c.test", "A.TEST"])
RECORDS = st.one_of(st.builds(a, NAMES), st.builds(cname, NAMES, NAMES))


@given(st.lists(RECORDS), st.booleans())
def test_any_chain_ends(records: list[DNSRecord], has_soa: bool) -> None:
    result = said(*records, authority=(SOA,) if has_soa else ())
    try:
        answer, ttl_s = answer_of(result, "a.test", "A")
    except DnsError:
        return
    assert ttl_s == (300 if answer.records else 40)
    assert answer.records or has_soa
