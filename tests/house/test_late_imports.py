"""What takes long to import waits until somebody needs it: the time to the first banner is mostly imports."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Final

import pytest

# Each takes 5 to 200 ms, and is for sites that have something of that kind, or for later.
HTTP: Final = ["aiohttp", "prometheus_client"]
TERMINAL: Final = ["click", "rich"]
BACKENDS: Final = ["asyncpg", "redis", "maxminddb"]
CRYPTOGRAPHY: Final = ["OpenSSL", "argon2", "cryptography", "ctypes", "scramp"]
OF_A_WORKER: Final = ["fastsmtp.directory", "fastsmtp.pipeline", "fastsmtp.server.server", "fastsmtp.smtp.session"]
PLUGINS: Final = ["aiodns", "fastsmtp_plugins", "importlib.metadata"]


def imported(modules: Sequence[str]) -> set[str]:
    """All that is there once these are."""
    script = f"import sys, {', '.join(modules)}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("process", "modules", "late"),
    [
        ("a command", ["fastsmtp.cli"], ["asyncio", "pydantic", "rich", "fastsmtp.config.model", "fastsmtp.server"]),
        (
            "the first worker's interpreter is started by what has",
            ["fastsmtp.cli.site", "fastsmtp.config.file", "fastsmtp.server.processes.interpreter"],
            ["asyncio", "pydantic", "ssl", "fastsmtp.config.model", "fastsmtp.directory", "fastsmtp.smtp"],
        ),
        (
            "the supervisor",
            ["fastsmtp.cli.announce", "fastsmtp.config.load", "fastsmtp.server.processes.run"],
            [*HTTP, *BACKENDS, *CRYPTOGRAPHY, *PLUGINS, "rich", "sqlite3", "uvloop", *OF_A_WORKER],
        ),
        ("a worker", ["fastsmtp.server.processes.duty"], [*HTTP, *TERMINAL, *BACKENDS, *CRYPTOGRAPHY, *PLUGINS]),
        ("user list on SQLite", ["fastsmtp.cli.admin", "fastsmtp.directory.admin"], [*HTTP, *BACKENDS, "uvloop"]),
    ],
)
def test_what_is_not_imported_yet(process: str, modules: Sequence[str], late: Sequence[str]) -> None:
    early = imported(modules)
    assert set(modules) <= early
    assert not early & set(late), f"{process} imports it before anybody needs it"
