"""What a service manager sees and gives: notices, sockets, a user. All by hand, since there is none here."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from integration.server import DEADLINE_S, ServerProcess, make_site, serve, wait_until
from ports import free_port

ROOT: Final = Path(__file__).parents[2]
ALICE: Final = ["alice@example.test"]


def deliver(server: ServerProcess, address: tuple[str, int] | None = None) -> None:
    with socket.create_connection(address or (server.host, server.port), DEADLINE_S) as client:
        client.sendall(
            b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nSubject: x\r\n\r\ny\r\n.\r\nQUIT\r\n"
        )
        heard = b"".join(iter(lambda: client.recv(10_000), b""))
        assert b"\r\n250 2.0.0 stored" in heard


class Manager:
    """The end to which a service sends its notices."""

    def __init__(self, folder: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.socket.settimeout(DEADLINE_S)
        self.environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify")}

    def wait_for(self, line: str) -> list[str]:
        """The notice that has this line."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            notice = self.socket.recv(10_000).decode().split("\n")
            if line in notice:
                return notice
        raise AssertionError(f"nothing was heard of {line}")


def test_notices(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    configuration = make_site(tmp_path / "site", {"listen.workers": 2}, ALICE, "")
    environment = {**manager.environment, "WATCHDOG_USEC": "2000000"}
    with manager.socket, serve(configuration, environment) as server:
        assert manager.wait_for("READY=1") == ["READY=1", "STATUS=2 workers serving"]
        manager.wait_for("WATCHDOG=1")
        server.signal(signal.SIGHUP)
        reloading = manager.wait_for("RELOADING=1")
        assert reloading[1].startswith("MONOTONIC_USEC=")
        manager.wait_for("READY=1")
        for worker in server.workers():  # none of it is for them, or for what plugins start
            assert b"NOTIFY_SOCKET" not in Path(f"/proc/{worker}/environ").read_bytes()
        server.signal(signal.SIGTERM)
        manager.wait_for("STOPPING=1")
        assert server.wait() == 0


def test_a_worker_that_hangs_silences_the_watchdog(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    configuration = make_site(tmp_path / "site", {"listen.workers": 2}, ALICE, "")
    environment = {**manager.environment, "WATCHDOG_USEC": "2000000"}
    with manager.socket, serve(configuration, environment) as server:
        manager.wait_for("WATCHDOG=1")
        victim = server.workers()[0]
        os.kill(victim, signal.SIGSTOP)
        notices = [""]
        while "has not answered" not in notices[-1]:
            notices.append(manager.socket.recv(10_000).decode())
        notices += [manager.socket.recv(10_000).decode() for _ in range(3)]  # the status goes on, the watchdog does not
        assert all(notice.startswith("STATUS=") for notice in notices[-3:])
        os.kill(victim, signal.SIGCONT)
        manager.wait_for("WATCHDOG=1")


def test_sockets_of_the_manager_outlive_the_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        address = given.getsockname()
        site = make_site(
            tmp_path / "site", {"listen.workers": 2, "listen.smtp": [f"127.0.0.1:{address[1]}"]}, ALICE, ""
        )
        script = f'exec 3<&{given.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=smtp exec "$@"'

        def start() -> AbstractContextManager[ServerProcess]:
            return serve(site, starter=["bash", "-c", script, "bash"], descriptors=[given.fileno()])

        with start() as server:
            assert server.port == address[1]
            deliver(server)
            assert server.stop() == 0
        # Whoever comes now waits, and is not refused.
        with socket.create_connection(address, DEADLINE_S) as early, start() as server:
            assert early.recv(1000).startswith(b"220 ")
            deliver(server)


NAMED: Final = """
[[listener]]
name = "mx"
address = "systemd:mx"

[[listener]]
address = "systemd:lmtp"
protocol = "lmtp"
"""


def test_listeners_at_sockets_by_their_names(tmp_path: Path) -> None:
    """Wherever they listen: one listener on two addresses, another on a Unix socket; also after a reload."""
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
        socket.socket(socket.AF_UNIX) as local,
    ):
        local.bind(str(tmp_path / "lmtp"))
        local.listen()
        given = [one.fileno() for one in (four, local, six)]
        site = make_site(tmp_path / "site", {"listen.workers": 2, "listen.smtp": []}, ALICE, NAMED)
        # First out of the way of 3 to 5, where they shall be: they may be there already, in another order.
        moves = "; ".join(f"exec {number}<&{descriptor}" for number, descriptor in enumerate(given, 20))
        moves += "; exec 3<&20 4<&21 5<&22"
        script = f'{moves}; LISTEN_PID=$$ LISTEN_FDS=3 LISTEN_FDNAMES=mx:lmtp:mx exec "$@"'
        with serve(site, starter=["bash", "-c", script, "bash"], descriptors=given) as server:
            for generation in (1, 2):
                for address in (four.getsockname(), six.getsockname()):
                    with socket.create_connection(address[:2], DEADLINE_S) as client:
                        assert client.recv(1000).startswith(b"220 mx.example.test ESMTP ")
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(DEADLINE_S)
                    client.connect(str(tmp_path / "lmtp"))
                    assert client.recv(1000).startswith(b"220 mx.example.test LMTP ")
                if generation == 1:
                    server.signal(signal.SIGHUP)
                    wait_until(lambda: server.metric("fastsmtp_generation") == 2)
            deliver(server, four.getsockname())
            wait_until(lambda: bool(server.log_lines("transaction")), "the transaction is logged")
            assert [line["listener"] for line in server.log_lines("transaction")] == ["mx"]
            assert not server.troubles()
        assert (tmp_path / "lmtp").exists()  # it is systemd's


def test_a_name_that_systemd_did_not_give(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", {"listen.smtp": []}, ALICE, NAMED)
    command = [sys.executable, "-m", "fastsmtp", "serve", "-c", str(site)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 3
    assert "systemd:mx: systemd has given no socket of this name (there are none)" in done.stderr


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="no systemd-socket-activate here")
def test_systemd_itself_gives_the_sockets(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", {"listen.smtp": []}, ALICE, NAMED.split("[[listener]]\naddress")[0])
    port = free_port()
    activate = ["systemd-socket-activate", "--listen", f"127.0.0.1:{port}", "--fdname", "mx"]
    first: list[socket.socket] = []

    def come() -> bool:
        """It starts us when somebody comes, so somebody has to."""
        try:
            first.append(socket.create_connection(("127.0.0.1", port), DEADLINE_S))
        except ConnectionRefusedError:
            return False
        return True

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait_until, come, "systemd listens")
        with serve(site, starter=activate) as server:
            waiting.result()
            with first[0] as client:
                assert client.recv(1000).startswith(b"220 ")
            assert server.port == port
            deliver(server)


def test_a_socket_for_which_there_is_no_listener(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", {"listen.smtp": ["127.0.0.1:0"]}, ALICE, "")
    with socket.create_server(("127.0.0.1", 0)) as given:
        script = f'exec 3<&{given.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        command = ["bash", "-c", script, "bash", sys.executable, "-m", "fastsmtp", "serve", "-c", str(site)]
        done = subprocess.run(
            command, pass_fds=[given.fileno()], capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
    assert done.returncode == 3
    assert "and no listener is there" in done.stderr


def address_of_our_own() -> str:
    """One of this machine's, that another run of this test does not use at the same time."""
    number = os.getpid()
    return f"127.{64 + number // 65_536 % 64}.{number // 256 % 256}.{number % 256}"


@contextmanager
def site_of_nobody() -> Iterator[Path]:
    """A folder that belongs to the user nobody, in a place that everybody can get to."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_from_root_to_a_user(tmp_path: Path) -> None:
    """Our Python may lie where only root gets to: in a namespace of its own, it can be shown to everybody."""
    nobody = pwd.getpwnam("nobody")
    home = Path(sys.executable).resolve().parents[1]
    script = (
        f"mkdir {tmp_path}/python && mount --bind {home} {tmp_path}/python && mount -t tmpfs -o mode=755 tmpfs /root"
        f' && mkdir -p {home} && mount --bind {tmp_path}/python {home} && exec "$@"'
    )
    starter = ["unshare", "--mount", "sh", "-c", script, "sh"] if home.is_relative_to("/root") else []
    if starter and subprocess.run([*starter, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    shutil.rmtree(tmp_path / "python", ignore_errors=True)
    with site_of_nobody() as folder:
        listen = {"listen.smtp": [f"{address_of_our_own()}:25"], "listen.workers": 2}
        process = {"process.user": "nobody", "process.pid_file": "run/pid"}
        site = make_site(folder / "site", {"maildir.durability": "journal", **process, **listen}, ALICE, "")
        (folder / "site/run").mkdir()
        for path in (folder / "site", folder / "site/directory.db"):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        with serve(site, starter=starter) as server:
            for pid in (server.pid, *server.workers()):
                status = Path(f"/proc/{pid}/status").read_text().splitlines()
                assert "\t".join(["Uid:", *[str(nobody.pw_uid)] * 4]) in status
                assert f"CapEff:\t{0:016x}" in status
                assert "NoNewPrivs:\t1" in status
            assert (folder / "site/run/pid").read_text() == f"{server.pid}\n"
            deliver(server)
            (stored,) = (server.mailbox("alice@example.test") / "new").iterdir()
            owners = {path.stat().st_uid for path in (stored, folder / "site/mail", folder / "site/journal/lock")}
            assert owners == {nobody.pw_uid}
            server.signal(signal.SIGHUP)
            wait_until(lambda: server.metric("fastsmtp_generation") == 2)
            deliver(server)
            assert not server.troubles()
        assert (folder / "site/run/pid").read_bytes() == b""  # its folder is root's


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_the_units_are_well_formed(tmp_path: Path) -> None:
    service = (ROOT / "deploy/fastsmtp.service").read_text()
    (tmp_path / "fastsmtp.service").write_text(service.replace("/usr/bin/fastsmtp", shutil.which("true") or ""))
    shutil.copy(ROOT / "deploy/fastsmtp.socket", tmp_path)
    units = [str(tmp_path / name) for name in ("fastsmtp.service", "fastsmtp.socket")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
