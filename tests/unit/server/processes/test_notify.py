"""What arrives at the socket of a service manager."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fastsmtp.server.processes.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> socket.socket:
    """Where systemd would listen."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    end.bind(str(tmp_path / "notify"))
    end.settimeout(20)
    return end


@pytest.mark.parametrize(
    ("tell", "lines"),
    [
        (lambda one: one.ready("2 workers"), ["READY=1", "STATUS=2 workers"]),
        (lambda one: one.stopping("draining"), ["STOPPING=1", "STATUS=draining"]),
        (lambda one: one.status("a\nREADY=1"), ["STATUS=a READY=1"]),
        (lambda one: one.alive(), ["WATCHDOG=1"]),
        (lambda one: one.wait_for(2.5), ["EXTEND_TIMEOUT_USEC=2500000"]),
    ],
)
def test_each_is_one_datagram(manager: socket.socket, tell: Callable[[Notifier], None], lines: list[str]) -> None:
    with manager:
        notifier = Notifier(manager.getsockname())
        tell(notifier)
        assert manager.recv(1000).decode().split("\n") == lines
        notifier.close()


def test_a_reload_says_when_it_began(manager: socket.socket) -> None:
    """With Type=notify-reload, systemd wants to know that this is not the answer to an earlier signal."""
    with manager:
        notifier = Notifier(manager.getsockname())
        notifier.reloading()
        first, second, third = manager.recv(1000).decode().split("\n")
        notifier.close()
    assert (first, third) == ("RELOADING=1", "STATUS=reloading")
    name, _, microseconds = second.partition("=")
    assert name == "MONOTONIC_USEC"
    uptime_us = float(Path("/proc/uptime").read_text().split()[0]) * 1e6
    assert 0 < int(microseconds) <= uptime_us + 60e6


def test_abstract_sockets() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = f"fastsmtp-test-{os.getpid()}"
        manager.bind(f"\0{name}")
        manager.settimeout(20)
        notifier = Notifier(f"@{name}")
        notifier.alive()
        assert manager.recv(100) == b"WATCHDOG=1"
        notifier.close()


def test_the_environment_is_ours_alone(manager: socket.socket) -> None:
    with manager:
        environment = {
            "NOTIFY_SOCKET": manager.getsockname(),
            "WATCHDOG_USEC": "30000000",
            "WATCHDOG_PID": str(os.getpid()),
            "PATH": "/bin",
        }
        notifier = Notifier.from_environment(environment)
        assert environment == {"PATH": "/bin"}
        assert notifier.watchdog_s == 30
        notifier.status("x")
        assert manager.recv(100) == b"STATUS=x"
        notifier.close()


@pytest.mark.parametrize(
    "environment", [{}, {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}]
)
def test_no_watchdog(environment: dict[str, str]) -> None:
    assert Notifier.from_environment(environment).watchdog_s == 0
    assert environment == {}


def test_without_systemd_nothing_happens() -> None:
    notifier = Notifier.from_environment({})
    notifier.ready("x")
    notifier.close()
    notifier.alive()


def test_a_manager_that_is_gone_is_no_trouble(tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "nobody"))
    notifier.ready("x")
    notifier.close()
