"""How a handshake ends is counted once, and what somebody can learn from is in the log."""

import logging

import pytest
from unit.server.tls.test_layer import connected, every_version

from fastsmtp.server.tls.handshake import Handshake, TlsStats
from fastsmtp.smtp.transaction import Connection
from fastsmtp.stats import Stats
from fastsmtp.testing import SettableClock

CONNECTION = Connection("C1", "192.0.2.1", 4711, "192.0.2.25", 25)


class Rig:
    """A handshake that has begun."""

    def __init__(self) -> None:
        self.stats, self.clock = Stats(), SettableClock()
        self.handshake = Handshake(CONNECTION, TlsStats(self.stats), self.clock)

    def counted(self) -> dict[tuple[str, ...], int]:
        totals = {family.name: children for family, children in self.stats.totals()}
        return {values: cells[0] for values, cells in totals["fastsmtp_tls_handshakes_total"].items() if cells[0]}


@every_version
def test_one_that_is_completed(version: int) -> None:
    rig = Rig()
    layer, _ = connected(version)  # type: ignore[arg-type] # the mark gives versions
    rig.clock.advance(0.25)
    facts = rig.handshake.completed(layer.object)
    assert rig.counted() == {("completed", facts.version): 1}
    totals = {family.name: children for family, children in rig.stats.totals()}
    assert totals["fastsmtp_tls_handshake_seconds"][facts.version,][-1] == 250_000_000


def test_one_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    with caplog.at_level(logging.INFO):
        rig.handshake.failed("NO_SHARED_CIPHER")
    assert rig.counted() == {("failed", ""): 1}
    [record] = caplog.records
    assert record.levelname == "INFO"
    assert (record.__dict__["remote"], record.__dict__["reason"]) == ("192.0.2.1", "NO_SHARED_CIPHER")


def test_who_leaves_or_says_nothing_makes_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    left, late = Rig(), Rig()
    with caplog.at_level(logging.INFO):
        left.handshake.failed("")
        late.handshake.timed_out()
    assert left.counted() == {("left", ""): 1}
    assert late.counted() == {("timeout", ""): 1}
    assert caplog.records == []


def test_everything_is_there_from_the_start() -> None:
    stats = Stats()
    made = TlsStats(stats, ["/etc/tls.pem"])
    assert set(made.expiry) == {"/etc/tls.pem"}
    totals = {family.name: children for family, children in stats.totals()}
    assert ("failed", "") in totals["fastsmtp_tls_handshakes_total"]
    assert totals["fastsmtp_starttls_discarded_bytes_total"] == {
        (): totals["fastsmtp_starttls_discarded_bytes_total"][()]
    }
