"""`check_host()` of RFC 7208 section 4: whether a client may send mail in the name of a domain.

It yields questions to the DNS and is sent the records that there are, or is thrown a DnsError: so it is the same for
answers that are known at once, answers that have to be waited for, and tables of tests.
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

from fastsmtp.errors import DnsError
from fastsmtp.spf.macros import MacroString, SpfSyntaxError
from fastsmtp.spf.record import Mechanism, is_record, mask_of, parse_explanation, parse_record

__all__ = ["Finding", "Identity", "Question", "SpfResult", "check_host"]

SpfResult = Literal["pass", "fail", "softfail", "neutral", "none", "permerror", "temperror"]

# Section 4.6.4
_TERMS_THAT_ASK: Final = 10
_VOID_LOOKUPS: Final = 2
_NAMES: Final = 10

_DOMAIN_CHARACTERS: Final = 253
_EXPLANATION_CHARACTERS: Final = 400

_PERSONAL: Final = frozenset("slht")  # macros; the others are the same for all mail of a domain from a client


class Question(NamedTuple):
    """What the DNS has to be asked: `name` is an address for `reverse`.

    The answer to `mx` are pairs of preference and host, to `addresses` what `ipaddress` calls so, else texts.
    """

    kind: Literal["txt", "mx", "addresses", "reverse"]
    name: str
    version: Literal[4, 6] = 4


T = TypeVar("T")

Asking: TypeAlias = Generator[Question, tuple[Any, ...], T]
"""Questions, answers, and what comes of them."""


class Identity(NamedTuple):
    """Who sends, as far as he says so: the reverse-path, or postmaster at the name of HELO (section 2.4).

    `client` is his address, `helo` what he calls himself, `receiver` our name, `time` the seconds since the epoch.
    """

    client: IPv4Address | IPv6Address
    local: str
    domain: str
    helo: str
    receiver: str = "unknown"
    time: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """The result, why it is so in a few words, and what the owner of `domain` has to say to who failed.

    The `explanation` is printable ASCII, and a stranger's. `is_personal` says that it hangs on more than client and
    domain: a macro looked at the local part, the name in HELO or the time.
    """

    result: SpfResult
    reason: str
    explanation: str = ""
    domain: str = ""
    is_personal: bool = field(default=False, repr=False, compare=False)


class _PermanentError(Exception):
    """The policy is wrong, and its owner has to mend it."""


class _NoValueError(Exception):
    """A macro has no value: what it stands in matches nothing (RFC 8616 section 4)."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a record said, and where it was."""

    result: SpfResult
    reason: str
    domain: str = ""
    explanation: MacroString | None = None


def check_host(identity: Identity) -> Asking[Finding]:
    """What is to be thought of a client. It asks a bounded number of questions (section 4.6.4)."""
    check = _Check(identity)
    try:
        found = yield from check.domain(identity.domain)
    except _PermanentError as error:
        return Finding("permerror", str(error), is_personal=check.is_personal)
    except DnsError as error:
        return Finding("temperror", str(error), is_personal=check.is_personal)
    explanation = ""
    if found.result == "fail" and found.explanation is not None:
        explanation = yield from check.explain(found.explanation, found.domain)
    return Finding(found.result, found.reason, explanation, found.domain, check.is_personal)


class _Check:
    """One check: what has been asked so far counts."""

    def __init__(self, identity: Identity) -> None:
        client = identity.client
        if isinstance(client, IPv6Address) and client.ipv4_mapped is not None:  # section 5
            client = client.ipv4_mapped
        self._identity = identity
        self._client = client
        self._number = int(client)
        self._version: Literal[4, 6] = 4 if client.version == 4 else 6
        self._terms_left = _TERMS_THAT_ASK
        self._voids_left = _VOID_LOOKUPS
        self._proven_names: tuple[str, ...] | None = None
        self.is_personal = False

    def domain(self, domain: str) -> Asking[_Found]:
        """What the policy of a domain says. Raises _PermanentError and DnsError."""
        if not _is_domain(domain):
            return _Found("none", f"{domain!r} cannot have a policy")  # section 4.3
        texts = yield Question("txt", domain)
        records = [text for text in texts if is_record(text)]
        if not records:
            return _Found("none", f"{domain} has no policy")
        if len(records) > 1:
            raise _PermanentError(f"{domain} has {len(records)} policies")  # section 4.5
        try:
            record = parse_record(records[0])
        except SpfSyntaxError as error:
            raise _PermanentError(f"{error} in the policy of {domain}") from None
        for mechanism in record.mechanisms:
            if (yield from self._is_match(mechanism, domain)):
                result: Any = mechanism.result
                return _Found(result, f"{mechanism.text} of {domain}", domain, record.explanation)
        if record.redirect is None:
            return _Found("neutral", f"nothing in the policy of {domain} matches")  # section 4.7
        return (yield from self._redirect(record.redirect, domain))

    def explain(self, target: MacroString, domain: str) -> Asking[str]:
        """What is published for who failed; empty when there is none, or when it is nothing to read (section 6.2)."""
        try:
            name = yield from self._target(target, domain)
            texts = yield Question("txt", name)
            if len(texts) != 1 or not texts[0].isascii():
                return ""
            explanation = parse_explanation(texts[0])
            yield from self._prove_names(explanation)
            text = explanation.expand(lambda letter: self._value(letter, domain))
        except (DnsError, SpfSyntaxError, _NoValueError):
            return ""
        return "".join(char for char in text if char.isprintable() and char.isascii())[:_EXPLANATION_CHARACTERS]

    def _redirect(self, redirect: MacroString, domain: str) -> Asking[_Found]:
        """Section 6.1."""
        self._count_term("redirect", domain)
        try:
            target = yield from self._target(redirect, domain)
        except _NoValueError:
            return _Found("neutral", f"nothing in the policy of {domain} matches")
        found = yield from self.domain(target)
        if found.result == "none":
            raise _PermanentError(f"{domain} redirects to {target}, which has no policy")
        return found

    def _is_match(self, mechanism: Mechanism, domain: str) -> Asking[bool]:
        if mechanism.network is not None:
            version, mask, network = mechanism.network
            return version == self._version and self._number & mask == network
        if mechanism.name == "all":
            return True
        self._count_term(mechanism.text, domain)
        try:
            return (yield from _MATCHES[mechanism.name](self, mechanism, domain))
        except _NoValueError:
            return False

    # --- mechanisms (section 5) ---------------------------------------------------------------------------------------

    def match_include(self, mechanism: Mechanism, domain: str) -> Asking[bool]:
        target = yield from self._target(mechanism.target, domain)
        found = yield from self.domain(target)
        if found.result == "none":
            raise _PermanentError(f"{domain} includes {target}, which has no policy")
        return found.result == "pass"

    def match_a(self, mechanism: Mechanism, domain: str) -> Asking[bool]:
        target = yield from self._target(mechanism.target, domain)
        addresses = yield from self._ask(Question("addresses", target, self._version))
        return self._is_among(addresses, mechanism.prefixes)

    def match_mx(self, mechanism: Mechanism, domain: str) -> Asking[bool]:
        target = yield from self._target(mechanism.target, domain)
        hosts = yield from self._ask(Question("mx", target))
        if len(hosts) > _NAMES:
            raise _PermanentError(f"{target} has more than {_NAMES} mail exchangers")
        for _, host in hosts:
            addresses = yield Question("addresses", host, self._version)
            if self._is_among(addresses, mechanism.prefixes):
                return True
        return False

    def match_ptr(self, mechanism: Mechanism, domain: str) -> Asking[bool]:
        target = yield from self._target(mechanism.target, domain)
        names = yield from self._names_of_client()
        return any(_is_within(name, target) for name in names)

    def match_exists(self, mechanism: Mechanism, domain: str) -> Asking[bool]:
        target = yield from self._target(mechanism.target, domain)
        return bool((yield from self._ask(Question("addresses", target, 4))))  # section 5.7: A, whatever the client has

    def _is_among(self, addresses: Iterable[IPv4Address | IPv6Address], prefixes: tuple[int, int]) -> bool:
        mask = mask_of(prefixes[0], 32) if self._version == 4 else mask_of(prefixes[1], 128)
        return any(int(address) & mask == self._number & mask for address in addresses)

    # --- limits (section 4.6.4) ---------------------------------------------------------------------------------------

    def _count_term(self, text: str, domain: str) -> None:
        self._terms_left -= 1
        if self._terms_left < 0:
            raise _PermanentError(f"more than {_TERMS_THAT_ASK} terms ask the DNS, by {text} of {domain}")

    def _ask(self, question: Question) -> Asking[tuple[Any, ...]]:
        """A question that counts when it is in vain: once for each term, as Section 11.1 counts."""
        records = yield question
        if not records:
            self._voids_left -= 1
            if self._voids_left < 0:
                raise _PermanentError(f"more than {_VOID_LOOKUPS} terms ask for what is not there, by {question.name}")
        return records

    # --- names and macros ---------------------------------------------------------------------------------------------

    def _target(self, target: MacroString | None, domain: str) -> Asking[str]:
        """The domain that a term names. Raises _NoValueError."""
        if target is None:
            return domain
        yield from self._prove_names(target)
        name = target.expand(lambda letter: self._value(letter, domain)).rstrip(".")
        while len(name) > _DOMAIN_CHARACTERS and "." in name:
            name = name.partition(".")[2]  # section 7.3
        return name

    def _prove_names(self, text: MacroString) -> Asking[None]:
        if "p" in text.letters:
            yield from self._names_of_client()

    def _names_of_client(self) -> Asking[tuple[str, ...]]:
        """The names of the client that lead back to it (section 5.5). Trouble means that there are none."""
        if self._proven_names is not None:
            return self._proven_names
        self._proven_names = ()
        try:
            names = yield from self._ask(Question("reverse", str(self._client)))
        except DnsError:
            return ()
        proven = []
        for name in names[:_NAMES]:
            try:
                addresses = yield Question("addresses", name, self._version)
            except DnsError:
                continue
            if self._client in addresses:
                proven.append(name)
        self._proven_names = tuple(proven)
        return self._proven_names

    def _value(self, letter: str, domain: str) -> str:
        """Section 7.3. Raises _NoValueError."""
        identity = self._identity
        self.is_personal = self.is_personal or letter in _PERSONAL
        match letter:
            case "s" | "l" if not identity.local.isascii():
                raise _NoValueError
            case "s":
                return f"{identity.local}@{identity.domain}"
            case "l":
                return identity.local
            case "o":
                return identity.domain
            case "d":
                return domain
            case "i":
                return ".".join(f"{self._number:032x}") if self._version == 6 else str(self._client)
            case "p":
                names = self._proven_names or ()
                near = [name for name in names if name == domain] + [name for name in names if _is_within(name, domain)]
                return next(iter([*near, *names]), "unknown")
            case "v":
                return "in-addr" if self._version == 4 else "ip6"
            case "h":
                return identity.helo
            case "c":
                return str(self._client)
            case "r":
                return identity.receiver
            case _:
                return str(identity.time)


_MATCHES: Final[dict[str, Callable[[_Check, Mechanism, str], Asking[bool]]]] = {
    "include": _Check.match_include,
    "a": _Check.match_a,
    "mx": _Check.match_mx,
    "ptr": _Check.match_ptr,
    "exists": _Check.match_exists,
}


def _is_within(name: str, domain: str) -> bool:
    name, domain = name.lower(), domain.lower()
    return name == domain or name.endswith(f".{domain}")


def _is_domain(text: str) -> bool:
    """Whether it is a name with more than one label (section 4.3)."""
    labels = text.removesuffix(".").split(".")
    return len(labels) > 1 and len(text) <= _DOMAIN_CHARACTERS + 1 and all(0 < len(label) <= 63 for label in labels)
