"""An SPF check with a resolver, and what came of it lately."""

from collections.abc import Callable
from sys import maxsize
from typing import Any, Final

from fastsmtp.errors import DnsError
from fastsmtp.lately import Lately
from fastsmtp.ports import DnsAnswer, Lookup, Resolver
from fastsmtp.smtp.transaction import Transaction
from fastsmtp.spf.check import Finding, Identity, Question, check_host

__all__ = ["Policies"]

_FINDINGS: Final = 4096


class Policies:
    """What SPF says of clients. A finding is remembered as long as all the answers are good of which it came."""

    def __init__(self, resolver: Resolver, monotonic_ns: Callable[[], int]) -> None:
        self._resolver = resolver
        self._lately: Lately[Finding] = Lately(_FINDINGS, monotonic_ns)

    def known(self, client: bytes, domain: str) -> Finding | None:
        """What is remembered of the client with this address (packed) and this domain, whoever sends there."""
        return self._lately.get((client, domain))

    async def find(self, identity: Identity, about: Transaction) -> Finding:
        """What SPF says; it waits only for answers that are not remembered (`at_once`).

        Trouble of the DNS is `temperror`: nothing is raised.
        """
        asking = check_host(identity)
        until_ns = maxsize
        try:
            question = next(asking)
            while True:
                try:
                    answer: DnsAnswer[Any] = await _look_up(question, self._resolver, about)
                except DnsError as error:
                    until_ns = 0
                    question = asking.throw(error)
                else:
                    until_ns = min(until_ns, answer.until_ns)
                    question = asking.send(answer.records)
        except StopIteration as stop:
            finding: Finding = stop.value
        if not finding.is_personal:
            self._lately.keep((identity.client.packed, identity.domain), finding, until_ns)
        return finding


def _look_up(question: Question, resolver: Resolver, about: Transaction) -> Lookup[Any]:
    match question.kind:
        case "txt":
            return resolver.txt(question.name, about)
        case "mx":
            return resolver.mx(question.name, about)
        case "reverse":
            return resolver.reverse(question.name, about)
        case _:
            return resolver.addresses(question.name, about, version=question.version)
