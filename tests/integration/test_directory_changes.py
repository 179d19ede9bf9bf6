"""Whoever is added, disabled or removed in the database is seen by a running server, long before any lifetime ends."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from smtplib import SMTP
from typing import TypeAlias

import postgres
import pytest
from integration.server import ServerProcess, make_site, serve, wait_until

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.migrate_postgres import migrate_postgres

CHANGES = [
    ("add", "INSERT INTO \"user\" (domain_id, username) SELECT domain_id, 'joe' FROM domain", "250"),
    ("disable", "UPDATE \"user\" SET can_receive = 0 WHERE username = 'joe'", "550"),
    ("enable", "UPDATE \"user\" SET can_receive = 1 WHERE username = 'joe'", "250"),
    ("remove", "DELETE FROM \"user\" WHERE username = 'joe'", "550"),
    (
        "alias",
        "INSERT INTO alias (domain_id, alias_name, target) SELECT domain_id, 'joe', 'ann@example.test' FROM domain",
        "250",
    ),
    ("domain off", "UPDATE domain SET is_active = 0", "550"),
    ("domain on", "UPDATE domain SET is_active = 1", "250"),
]

Place: TypeAlias = tuple[ServerProcess, Callable[[str], None]]
"""A server, and what runs a statement in its database."""

# Nothing is seen because it is time: only because somebody said so.
LASTING = {"directory.cache_ttl": "1h", "directory.negative_ttl": "1h"}


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Place]:
    def change(statement: str) -> None:
        with closing(sqlite3.connect(folder / "directory.db", isolation_level=None)) as database:
            database.execute(statement)

    with serve(make_site(folder, LASTING, ["ann@example.test"], "")) as server:
        yield server, change


@contextmanager
def on_postgres(folder: Path) -> Iterator[Place]:
    dsn = postgres.shared_server().new_database()
    migrate_postgres(PostgresUrl(dsn))
    postgres.run(
        dsn,
        "INSERT INTO domain (domain_name) VALUES ('example.test')",
        "INSERT INTO \"user\" (domain_id, username) SELECT domain_id, 'ann' FROM domain",
    )
    with serve(make_site(folder, {**LASTING, "directory.url": dsn}, [], "")) as server:
        yield server, lambda statement: postgres.run(dsn, statement)


@pytest.mark.parametrize("site", [on_sqlite, on_postgres])
def test_a_change_is_seen_at_once(site: Callable[[Path], AbstractContextManager[Place]], tmp_path: Path) -> None:
    with site(tmp_path) as (server, change), SMTP(server.host, server.port) as client:

        def said() -> str:
            client.rset()
            client.mail("ann@example.org")
            code, _ = client.rcpt("joe@example.test")
            return str(code)

        client.ehlo()
        assert said() == "550"
        for what, statement, expected in CHANGES:
            change(statement)
            wait_until(partial(lambda answer: said() == answer, expected), what)
            assert said() == expected
