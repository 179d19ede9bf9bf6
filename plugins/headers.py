"""Refuse messages whose header is not what RFC 5322 asks for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from typing import Final

from fastsmtp.plugin import Header, Plugin, Reply, Services, Transaction, reject

__all__ = ["Headers", "Options"]

_ONCE: Final = frozenset(
    ("Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References", "Subject")
)  # RFC 5322 section 3.6
_DAY_S: Final = 86_400
_DATE_BYTES: Final = 200


@dataclass(frozen=True, slots=True)
class Options:
    """The defaults are what RFC 5322 asks for; the window of the Date is yours."""

    required: frozenset[str] = frozenset(("From", "Date"))
    singular: frozenset[str] = _ONCE
    past_days: float | None = None
    future_days: float | None = None
    reject: bool = True

    def __post_init__(self) -> None:
        for name in sorted(self.required | self.singular):
            if not name.isascii() or not name or ":" in name or " " in name:
                raise ValueError(f"{name!r} is not the name of a header field")
        for option, days in (("past_days", self.past_days), ("future_days", self.future_days)):
            if days is not None and not days > 0:
                raise ValueError(f"`{option}` is a number of days above 0, not {days:g}")


class Headers(Plugin[Options]):
    """Refuses, with `550 5.6.0`, a message whose header lacks fields, has too many of them, or has a strange Date.

    * `required` (From and Date): fields that have to be there, and not empty.
    * `singular` (what RFC 5322 section 3.6 permits once): fields that may not be there twice.
    * `past_days`, `future_days` (not checked): how far the Date may be off; one that cannot be read is off.
    * `reject` (true): false takes the message all the same and only records what is wrong.
    """

    async def start(self, services: Services) -> None:
        self._clock = services.clock
        self._required = _in_lower_case(self.options.required)
        self._singular = _in_lower_case(self.options.singular)

    def on_headers(self, txn: Transaction, header: Header) -> Reply | None:
        faults = [*self._count_fields(header), *self._check_date(header)]
        if not faults:
            self.record(txn, "pass", "header as it should be")
            return None
        self.record(txn, "fail", "; ".join(faults))
        return reject("5.6.0", f"The header of this message is wrong: {faults[0]}") if self.options.reject else None

    def _count_fields(self, header: Header) -> Iterator[str]:
        names = [name for name, _ in header.fields()]
        filled = {name for name, value in header.fields() if value}
        for wanted, name in self._required:
            if wanted not in filled:
                yield f"no {name}"
        if len(set(names)) == len(names):
            return
        for wanted, name in self._singular:
            if (number := names.count(wanted)) > 1:
                yield f"{number} times {name}"

    def _check_date(self, header: Header) -> Iterator[str]:
        past, future = self.options.past_days, self.options.future_days
        value = None if past is None and future is None else header.get("Date")
        if value is None:
            return
        sent = _seconds(value)
        if sent is None:
            yield "a Date that cannot be read"
            return
        age_days = (self._clock.time() - sent) / _DAY_S
        if past is not None and age_days > past:
            yield f"a Date {age_days:.0f} days ago"
        if future is not None and -age_days > future:
            yield f"a Date {-age_days:.0f} days from now"


def _in_lower_case(names: Iterable[str]) -> list[tuple[bytes, str]]:
    """As a header has them, and as they are written."""
    return [(name.lower().encode(), name) for name in sorted(names)]


def _seconds(value: bytes) -> int | None:
    """A Date as seconds since the epoch; None for what is none (the parser raises whatever its input leads it to)."""
    try:
        parsed = parsedate_tz(value[:_DATE_BYTES].decode("latin-1"))
        return mktime_tz(parsed) if parsed else None
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
