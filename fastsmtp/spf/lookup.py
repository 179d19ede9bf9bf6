"""An SPF check with a resolver: at once where the answers are remembered."""

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any

from fastsmtp.errors import DnsError
from fastsmtp.ports import DnsAnswer, Lookup, Resolver
from fastsmtp.smtp.transaction import Transaction
from fastsmtp.spf.check import Finding, Identity, Question, check_host

__all__ = ["find"]


def find(identity: Identity, resolver: Resolver, about: Transaction) -> Finding | Awaitable[Finding]:
    """What SPF says of a client. Trouble of the DNS is `temperror`: nothing is raised, now or when awaited."""
    asking = check_host(identity)
    finding = _go_on(asking, partial(next, asking), resolver, about)
    return finding if isinstance(finding, Finding) else _find_later(asking, finding, resolver, about)


async def _find_later(
    asking: Generator[Question, Any, Finding],
    pending: Finding | Awaitable[DnsAnswer[Any]],
    resolver: Resolver,
    about: Transaction,
) -> Finding:
    while not isinstance(pending, Finding):
        try:
            answer = await pending
        except DnsError as error:
            step = partial(asking.throw, error)
        else:
            step = partial(asking.send, answer.records)
        pending = _go_on(asking, step, resolver, about)
    return pending


def _go_on(
    asking: Generator[Question, Any, Finding], step: Callable[[], Question], resolver: Resolver, about: Transaction
) -> Finding | Awaitable[DnsAnswer[Any]]:
    """What was found, or the first answer that is not known yet."""
    try:
        while True:
            question = step()
            try:
                lookup = _look_up(question, resolver, about)
            except DnsError as error:
                step = partial(asking.throw, error)
                continue
            if not isinstance(lookup, DnsAnswer):
                return lookup
            step = partial(asking.send, lookup.records)
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
