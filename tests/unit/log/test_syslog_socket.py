import json
import os
import re
import time
from pathlib import Path
from typing import get_args

import pytest

from fastsmtp.config.log import Facility
from fastsmtp.log.syslog_socket import FACILITIES, SyslogSink

HEAD = re.compile(rb"<(\d{1,3})>([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) fastsmtp\[(\d+)\]: (\{.*\})", re.DOTALL)


def parts(message: bytes) -> tuple[int, str, int, bytes]:
    found = HEAD.fullmatch(message)
    assert found, message
    return int(found[1]), found[2].decode(), int(found[3]), found[4]


@pytest.mark.parametrize(
    ("facility", "level", "number"), [("mail", "info", 22), ("daemon", "error", 27), ("local7", "debug", 191)]
)
def test_priority_is_facility_and_level(facility: str, level: str, number: int) -> None:
    assert parts(SyslogSink(Path("x"), facility).encode({"level": level}))[0] == number


def test_every_facility_of_the_configuration_is_known() -> None:
    assert set(FACILITIES) == set(get_args(Facility))


def test_the_head_says_when_and_who() -> None:
    before = int(time.time())
    _, then, pid, line = parts(SyslogSink(Path("x"), "mail").encode({"n": "é\n"}))
    possible = {time.strftime("%b %e %H:%M:%S", time.localtime(second)) for second in range(before, before + 3)}
    assert then in possible
    assert pid == os.getpid()
    assert line == rb'{"n":"\u00e9\n"}'


def test_no_message_is_longer_than_a_syslog_takes() -> None:
    message = SyslogSink(Path("x"), "mail").encode({"event": "transaction", "recipients": ["x" * 100] * 1000})
    assert len(message) <= 8192
    assert json.loads(parts(message)[3])["shortened"] is True
