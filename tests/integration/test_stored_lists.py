"""Lists in the database: an operator changes them by commands while the server runs; a database without the table."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from smtplib import SMTP

import postgres
import pytest
from integration.server import ServerProcess, make_site, serve, serve_command, wait_until

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.migrate_postgres import migrate_postgres

PLUGINS = """
[[plugin]]
use = "block_sender"
options = { directory = true }

[[plugin]]
use = "block_recipient"
options = { directory = true }
"""


def block(configuration: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "fastsmtp", "block", *arguments, "-c", str(configuration)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def codes(server: ServerProcess) -> tuple[int, int]:
    """What a worker says to the sender and to the recipient of whom the test is about."""
    with SMTP(server.host, server.port) as client:
        client.ehlo()
        sender = client.mail("offers@spam.example")[0]
        client.rset()
        client.mail("ann@example.org")
        return sender, client.rcpt("alice@example.test")[0]


def every_worker_says(server: ServerProcess, expected: tuple[int, int]) -> bool:
    return all(codes(server) == expected for _ in range(20))


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_an_entry_that_a_command_adds_counts_for_every_worker_at_once(tmp_path: Path, database: str) -> None:
    settings: dict[str, object] = {"listen.workers": 2}
    users = ["alice@example.test"]
    if database == "postgres":
        dsn = postgres.shared_server().new_database()
        migrate_postgres(PostgresUrl(dsn))
        postgres.run(
            dsn,
            "INSERT INTO domain (domain_name) VALUES ('example.test')",
            "INSERT INTO \"user\" (domain_id, username) SELECT domain_id, 'alice' FROM domain",
        )
        settings["directory.url"] = dsn
        users = []
    configuration = make_site(tmp_path / "site", settings, users, PLUGINS)
    with serve(configuration) as server:
        workers = server.workers()
        assert codes(server) == (250, 250)
        for arguments, expected in (
            (("add", "sender", "spam.example", "--reason", "We know you"), (550, 250)),
            (("add", "recipient", "alice@"), (550, 550)),
            (("remove", "sender", "SPAM.example"), (250, 550)),
            (("remove", "recipient", "alice@"), (250, 250)),
        ):
            assert block(configuration, *arguments) == ""
            wait_until(partial(every_worker_says, server, expected))
        assert server.workers() == workers
        assert server.troubles() == []


def test_a_site_whose_tables_lack_it_says_so_at_its_start(tmp_path: Path) -> None:
    configuration = make_site(tmp_path, {}, ["alice@example.test"], PLUGINS)
    with closing(sqlite3.connect(tmp_path / "directory.db")) as database:
        database.execute("DROP TABLE block_entry")
    done = subprocess.run(serve_command(configuration), capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "plugin block_sender does not start" in done.stderr
    assert "no such table: block_entry; to make what is missing: fastsmtp db migrate" in done.stderr
