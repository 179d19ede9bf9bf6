from collections.abc import Iterator

from fastsmtp.backoff import FIRST_DELAY_S, LAST_DELAY_S, backoff_s


def test_backoff_grows_to_its_limit() -> None:
    def longest() -> Iterator[float]:
        for failures in range(1, 40):
            delays = [backoff_s(failures) for _ in range(200)]
            assert min(delays) >= max(delays) / 2 - 1e-9
            yield max(delays)

    delays = list(longest())
    assert FIRST_DELAY_S / 2 <= delays[0] <= FIRST_DELAY_S
    assert LAST_DELAY_S / 2 <= delays[-1] <= LAST_DELAY_S
