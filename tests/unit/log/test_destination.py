import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.config.log import LogSettings
from fastsmtp.errors import StartError
from fastsmtp.log.destination import open_log, socket_of


def settings(folder: Path, **values: Any) -> LogSettings:
    return LogSettings.model_validate(values, context={"base": folder})


def test_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    log = open_log(LogSettings())
    log.write({"n": 1})
    log.close()
    assert capfd.readouterr().out == '{"n":1}\n'


def test_a_file(tmp_path: Path) -> None:
    log = open_log(settings(tmp_path, destination="mx.log"))
    log.write({"n": 1})
    log.close()
    assert (tmp_path / "mx.log").read_text() == '{"n":1}\n'


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"cannot write the log .*/no/mx.log: No such file or directory"):
        open_log(settings(tmp_path, destination="no/mx.log"))


@pytest.mark.parametrize(
    ("destination", "begin"), [("syslog", f"<131>|fastsmtp[{os.getpid()}]: {{"), ("journald", "MESSAGE={|PRIORITY=3")]
)
def test_a_socket(tmp_path: Path, destination: str, begin: str) -> None:
    chosen = settings(tmp_path, destination=destination, socket="socket", facility="local0")
    assert socket_of(chosen) == tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.settimeout(10)
        log = open_log(chosen)
        log.write({"level": "error", "event": "it broke"})
        log.close()
        message = listener.recv(10_000).decode()
    assert all(part in message for part in begin.split("|"))
    assert json.loads(message[message.index("{") : message.index("}") + 1])["event"] == "it broke"


def test_usual_sockets(tmp_path: Path) -> None:
    assert socket_of(settings(tmp_path, destination="syslog")) == Path("/dev/log")
    assert socket_of(settings(tmp_path, destination="journald")) == Path("/run/systemd/journal/socket")
    assert socket_of(settings(tmp_path, destination="mx.log", socket="socket")) is None
    assert socket_of(LogSettings()) is None


def test_nobody_has_to_listen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = open_log(settings(tmp_path, destination="syslog", socket="socket"))
    log.write({"n": 1})
    log.close()
    assert capsys.readouterr().err == "fastsmtp: log lines are being lost: No such file or directory\n"
