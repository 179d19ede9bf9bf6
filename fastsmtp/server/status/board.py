"""Keeps the history that the status page shows, and makes the page."""

from collections.abc import Callable

from fastsmtp.server.processes.running import RunningServer
from fastsmtp.server.status.figures import Figures
from fastsmtp.server.status.history import SAMPLE_EVERY_S, History, Sample
from fastsmtp.server.status.page import Condition, status_page
from fastsmtp.stats import Source

__all__ = ["StatusBoard"]


class StatusBoard:
    """Reads a source on a clock of seconds that never goes back; the server starts now. `trouble` is empty while
    all is well.
    """

    def __init__(
        self,
        source: Source,
        clock: Callable[[], float],
        *,
        host: Callable[[], str],
        trouble: Callable[[], str],
        running: Callable[[], RunningServer],
    ) -> None:
        self._source = source
        self._clock = clock
        self._host = host
        self._trouble = trouble
        self._running = running
        self._history = History()
        self._started_s = self._due_s = clock()

    def look(self) -> None:
        """As often as one likes: a sample is taken when it is due."""
        now_s = self._clock()
        if now_s >= self._due_s:
            self._history.take(Sample.of(now_s, Figures(self._source.totals())))
            self._due_s = now_s + SAMPLE_EVERY_S

    def page(self) -> str:
        """HTML, of this moment."""
        now_s = self._clock()
        condition = Condition(self._host(), self._trouble(), now_s - self._started_s, self._running())
        figures = Figures(self._source.totals())
        return status_page(condition, figures, Sample.of(now_s, figures), self._history)
