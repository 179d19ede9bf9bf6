"""A DNS for the plugins of a bench: `python zone.py PORT`. Of the generator it has only good to say, of others nothing.

UDP on the loopback. Whatever asks more than once should have a cache: this is no fast server.
"""

import socketserver
import sys
from typing import Final

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

TTL_S: Final = 3600

RECORDS: Final = {
    ("load.example.", "A"): "127.0.0.1",
    ("load.example.", "MX"): "10 mx.load.example.",
    ("load.example.", "TXT"): '"v=spf1 ip4:127.0.0.0/8 -all"',
    ("mx.load.example.", "A"): "198.51.100.25",  # nobody answers a sender on a loopback
    ("1.0.0.127.in-addr.arpa.", "PTR"): "load.example.",
}
_NAMES: Final = {name for name, _ in RECORDS}
_SOA: Final = f"ns.load.example. hostmaster.load.example. 1 3600 600 86400 {TTL_S}"


def answer(wire: bytes) -> bytes:
    """To one question. Raises DNSException for what is none."""
    query = dns.message.from_wire(wire)
    question = query.question[0]
    name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
    response = dns.message.make_response(query, recursion_available=True)
    if (data := RECORDS.get((name, kind))) is not None:
        response.answer.append(dns.rrset.from_text(name, TTL_S, "IN", kind, data))
    else:
        if name not in _NAMES:
            response.set_rcode(dns.rcode.NXDOMAIN)
        response.authority.append(dns.rrset.from_text("example.", TTL_S, "IN", "SOA", _SOA))
    return response.to_wire()


class _Questions(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        wire, connection = self.request
        connection.sendto(answer(wire), self.client_address)


if __name__ == "__main__":
    with socketserver.UDPServer(("127.0.0.1", int(sys.argv[1])), _Questions) as server:
        server.serve_forever()
