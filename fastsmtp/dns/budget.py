"""How long somebody has waited for the DNS."""

__all__ = ["Waited"]


class Waited:
    """A note of a connection or a transaction. Questions that are open at the same time count once.

    Times are nanoseconds on the monotonic clock.
    """

    __slots__ = ("_open", "_since_ns", "_spent_ns")

    def __init__(self) -> None:
        self._open = 0
        self._since_ns = 0
        self._spent_ns = 0

    def begin(self, now_ns: int) -> None:
        """One more question is open."""
        if not self._open:
            self._since_ns = now_ns
        self._open += 1

    def end(self, now_ns: int) -> None:
        """One is answered, or nobody waits for it any more."""
        self._open -= 1
        if not self._open:
            self._spent_ns += now_ns - self._since_ns

    def use_up(self, budget_ns: int) -> None:
        """A timer said that so much is spent; by the clock it may be a little early."""
        self._spent_ns = max(self._spent_ns, budget_ns)

    def spent_ns(self, now_ns: int) -> int:
        """In all, up to now."""
        return self._spent_ns + (now_ns - self._since_ns if self._open else 0)
