from fastsmtp.server.processes.backoff import STEADY_S, Backoff


def test_longer_and_longer() -> None:
    backoff = Backoff()
    assert [backoff.after(0.1) for _ in range(9)] == [0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_long_life_is_forgiven() -> None:
    backoff = Backoff()
    assert [backoff.after(lived_s) for lived_s in (0, 1, STEADY_S, 1, STEADY_S - 1)] == [0, 1, 0, 1, 2]


def test_reset() -> None:
    backoff = Backoff()
    assert [backoff.after(0), backoff.after(0)] == [0, 1]
    backoff.reset()
    assert backoff.after(0) == 0
