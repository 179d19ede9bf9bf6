"""Deadlines of one client, on a clock that the test reads out."""

import pytest

from fastsmtp.config.model import Settings
from fastsmtp.server.pace import COMMAND_TIME, CONNECTION_TIME, DATA_RATE, IDLE_TIME, Pace, Patience

PATIENCE = Patience(command_s=100, data_s=60, data_octets=30_000, idle_s=500, connection_s=2_000)
NOW = 10_000.0


def test_a_command_has_its_time_and_no_more() -> None:
    pace = Pace(PATIENCE, NOW)
    assert pace.next_command(NOW + 1) == NOW + 101
    pace.received += 50  # single octets do not buy any
    assert pace.passed(NOW + 101) is COMMAND_TIME


def test_commands_do_not_buy_time_for_ever() -> None:
    pace = Pace(PATIENCE, NOW)
    assert pace.next_command(NOW + 399) == NOW + 499
    assert pace.next_command(NOW + 450) == NOW + 500
    assert pace.passed(NOW + 500) is IDLE_TIME


def test_a_message_does() -> None:
    pace = Pace(PATIENCE, NOW)
    pace.next_span(NOW + 450)
    pace.had_message = True
    assert pace.next_command(NOW + 480) == NOW + 580
    assert pace.next_command(NOW + 970) == NOW + 980
    assert pace.passed(NOW + 980) is IDLE_TIME


def test_but_not_beyond_the_end_of_the_connection() -> None:
    pace = Pace(PATIENCE, NOW)
    pace.had_message = True
    assert pace.next_command(NOW + 1_950) == NOW + 2_000
    assert pace.passed(NOW + 2_000) is CONNECTION_TIME
    # A message that was arriving then is finished; what comes after it is not.
    pace.next_span(NOW + 1_990)
    pace.received += 100_000
    assert pace.passed(NOW + 2_050) is None
    pace.had_message = True
    assert pace.next_command(NOW + 2_060) == NOW + 2_000
    assert pace.passed(NOW + 2_061) is CONNECTION_TIME


def test_of_a_message_enough_has_to_come_in_each_span() -> None:
    pace = Pace(PATIENCE, NOW)
    assert pace.next_span(NOW) == NOW + 60
    pace.received += 30_000
    assert pace.passed(NOW + 60) is None
    assert pace.next_span(NOW + 60) == NOW + 120
    pace.received += 29_999
    assert pace.passed(NOW + 120) is DATA_RATE


def test_a_lot_in_one_span_pays_for_no_other_one() -> None:
    pace = Pace(PATIENCE, NOW)
    pace.next_span(NOW)
    pace.received += 20_000_000
    assert pace.passed(NOW + 60) is None
    pace.next_span(NOW + 60)
    pace.received += 1
    assert pace.passed(NOW + 120) is DATA_RATE


def test_while_we_work_nothing_is_counted() -> None:
    def is_timed() -> bool:
        return pace.is_in_span

    pace = Pace(PATIENCE, NOW)
    assert not is_timed()
    pace.next_span(NOW)
    assert is_timed()
    pace.rest()
    assert not is_timed()


@pytest.mark.parametrize(("rate", "octets"), [(500, 30_000), (0, 1)])
def test_patience_out_of_the_settings(rate: int, octets: int) -> None:
    settings = Settings.model_validate({"hostname": "mx.example.test", "limits": {"data_rate": rate}})
    assert Patience.of(settings) == Patience(120, 60, octets, 600, 7_200)
