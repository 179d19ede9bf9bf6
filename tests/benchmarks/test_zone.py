import dns.message
import dns.rcode
import pytest

from bench.peers.zone import answer


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("load.example", "A", "127.0.0.1"),
        ("LOAD.example", "MX", "10 mx.load.example."),
        ("load.example", "TXT", '"v=spf1 ip4:127.0.0.0/8 -all"'),
        ("1.0.0.127.in-addr.arpa", "PTR", "load.example."),
        ("load.example", "AAAA", None),
    ],
)
def test_of_the_generator_it_has_only_good_to_say(name: str, kind: str, expected: str | None) -> None:
    response = dns.message.from_wire(answer(dns.message.make_query(name, kind).to_wire()))
    assert response.rcode() == dns.rcode.NOERROR
    assert [data.to_text().lower() for rrset in response.answer for data in rrset] == (
        [expected.lower()] if expected else []
    )
    assert bool(response.authority) is (expected is None)


def test_of_others_nothing() -> None:
    query = dns.message.make_query("2.0.0.127.list.example", "A")
    response = dns.message.from_wire(answer(query.to_wire()))
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert response.id == query.id
