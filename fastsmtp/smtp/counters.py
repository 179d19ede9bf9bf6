"""Counting replies by verb and class, and limits: one addition into a cell that was looked up beforehand."""

from fastsmtp.smtp import replies
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.transitions import LMTP_TRANSITIONS
from fastsmtp.stats import Stats

__all__ = ["ReplyCounter", "limit_cells", "shed_cells"]

_CLASSES = ("2xx", "3xx", "4xx", "5xx")
# What is answered without being a verb of the table: moments, what a client made up, and what few may say.
_MOMENTS = ("connect", "message", "unknown", "bad_line", "timeout", "shutdown", "XCLIENT")
_LIMITS = {reply.limit for reply in vars(replies).values() if isinstance(reply, Reply) and reply.limit}


def limit_cells(stats: Stats, *limits: str) -> dict[str, int]:
    """The cells of limits that clients reach, by their names."""
    family = stats.counter("fastsmtp_limits_total", "Limits that a client has reached.", limit=limits)
    return {limit: stats.cell(family, limit) for limit in limits}


def shed_cells(stats: Stats, *what: str) -> dict[str, int]:
    """The cells of what is turned away in overload."""
    family = stats.counter("fastsmtp_shed_total", "What was turned away because of overload.", what=what)
    return {name: stats.cell(family, name) for name in what}


class ReplyCounter:
    """`fastsmtp_replies_total{verb, class}`; verbs that no table knows count as `unknown`, so labels stay few.

    Beside it the limits that replies tell of, and clients that do not wait where they have to.
    """

    __slots__ = ("_cells", "_first", "_limits", "_pipelined", "_unknown")

    def __init__(self, stats: Stats) -> None:
        verbs = sorted({verb.decode() for row in LMTP_TRANSITIONS.values() for verb in row})  # which SMTP has too
        family = stats.counter(
            "fastsmtp_replies_total",
            "Replies sent, by the verb (or moment) that they answer and the class of their code.",
            verb=[*verbs, *_MOMENTS],
            class_=_CLASSES,
        )
        self._cells = stats.cells
        self._first = {verb.encode(): stats.cell(family, verb, "2xx") - 2 for verb in (*verbs, *_MOMENTS)}
        self._unknown = self._first[b"unknown"]
        self._limits = limit_cells(stats, *sorted(_LIMITS))
        self._pipelined = stats.cell(
            stats.counter(
                "fastsmtp_pipelined_too_much_total",
                "Commands behind which more came than RFC 2920 section 3.1 permits.",
            )
        )

    def count(self, verb: bytes, code: int) -> None:
        """One reply with this code to this verb."""
        self._cells[self._first.get(verb, self._unknown) + code // 100] += 1

    def reach(self, limit: str) -> None:
        """A client has reached this limit."""
        self._cells[self._limits[limit]] += 1

    def pipelined(self) -> None:
        """A client did not wait for a reply where it has to."""
        self._cells[self._pipelined] += 1
