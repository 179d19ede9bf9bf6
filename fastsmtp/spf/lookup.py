"""An SPF check with a resolver."""

from typing import Any

from fastsmtp.errors import DnsError
from fastsmtp.ports import DnsAnswer, Lookup, Resolver
from fastsmtp.smtp.transaction import Transaction
from fastsmtp.spf.check import Finding, Identity, Question, check_host

__all__ = ["find"]


async def find(identity: Identity, resolver: Resolver, about: Transaction) -> Finding:
    """What SPF says of a client; it waits only for answers that are not remembered (`at_once`).

    Trouble of the DNS is `temperror`: nothing is raised.
    """
    asking = check_host(identity)
    try:
        question = next(asking)
        while True:
            try:
                answer: DnsAnswer[Any] = await _look_up(question, resolver, about)
            except DnsError as error:
                question = asking.throw(error)
            else:
                question = asking.send(answer.records)
    except StopIteration as stop:
        finding: Finding = stop.value
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
