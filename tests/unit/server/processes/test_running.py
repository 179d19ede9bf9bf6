from pathlib import Path

import orjson

from fastsmtp.config.places import ListenAddress, UnixAddress
from fastsmtp.server.processes.running import RunningListener, RunningServer


def test_for_the_terminal_and_for_the_log() -> None:
    listeners = [
        RunningListener("127.0.0.1:0", ListenAddress("127.0.0.1", 2525)),
        RunningListener("lmtp", UnixAddress(Path("/run/lmtp")), "lmtp"),
    ]
    running = RunningServer(listeners, ("127.0.0.1", 9125), [11, 12])
    assert running.smtp_addresses == [("127.0.0.1", 2525)]
    line = orjson.loads(orjson.dumps(running.as_log()))
    assert line.pop("version")
    assert line == {
        "smtp": [["127.0.0.1", 2525]],
        "listeners": [
            {"name": "127.0.0.1:0", "address": "127.0.0.1:2525", "protocol": "smtp"},
            {"name": "lmtp", "address": "unix:/run/lmtp", "protocol": "lmtp"},
        ],
        "metrics": ["127.0.0.1", 9125],
        "workers": [11, 12],
    }
