"""The board takes samples when they are due, and makes pages of now."""

from fastsmtp.server.processes.running import RunningServer
from fastsmtp.server.status.board import StatusBoard
from fastsmtp.server.status.history import SAMPLE_EVERY_S
from fastsmtp.stats import Stats


def test_samples_are_taken_when_they_are_due() -> None:
    stats = Stats()
    cell = stats.cell(
        stats.counter("fastsmtp_transactions_total", "T.", listener=("a",), outcome=("stored",)), "a", "stored"
    )
    now = [1_000.0]
    board = StatusBoard(
        stats,
        lambda: now[0],
        host=lambda: "mx.example.org",
        trouble=lambda: "",
        running=lambda: RunningServer([], None, []),
    )
    for second in range(2 * SAMPLE_EVERY_S + 1):
        now[0] = 1_000.0 + second
        board.look()
        stats.cells[cell] += 1
    page = board.page()
    assert page.count("<rect") == 2
    assert page.count("<title>1.0 stored, 0.0 deferred, 0.0 refused a second</title>") == 2
    assert "up 20 s" in page
    assert "<strong>21</strong>" in page
