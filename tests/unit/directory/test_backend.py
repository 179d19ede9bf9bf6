"""What a configuration asks for, and what of it makes no sense."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.config.model import DirectorySettings
from fastsmtp.directory.admin import SqliteAdmin
from fastsmtp.directory.backend import cached_directory, check_logins, database, layout
from fastsmtp.directory.layout import Layout
from fastsmtp.directory.postgres import PostgresDirectory
from fastsmtp.directory.queries import OwnQueries
from fastsmtp.directory.sqlite import SqliteDirectory
from fastsmtp.errors import ConfigurationError, DirectoryError
from fastsmtp.ports import Found, Mailbox
from fastsmtp.server.clock import SystemClock
from fastsmtp.smtp.address import Address
from fastsmtp.stats import Stats

OWN = {
    "domain": "SELECT 1 FROM domain WHERE domain_name = :domain",
    "recipient": "SELECT can_receive FROM \"user\" WHERE username = :local AND :domain <> ''",
}


def settings(folder: Path, **values: Any) -> DirectorySettings:
    return DirectorySettings.model_validate(values, context={"base": folder})


def test_the_url_chooses_the_database(tmp_path: Path) -> None:
    assert isinstance(database(settings(tmp_path), None, Stats()), SqliteDirectory)
    postgres = settings(tmp_path, url="postgresql://mail@db.example/mail")
    assert isinstance(database(postgres, None, Stats()), PostgresDirectory)


def test_logins_are_tried_out(tmp_path: Path) -> None:
    with SqliteAdmin(tmp_path / "directory.db", create=True):
        pass
    for values, problem in [({}, ""), ({"queries": OWN}, "nobody can log in")]:
        directory = database(settings(tmp_path, **values), None, Stats())
        if problem:
            with pytest.raises(DirectoryError, match=problem):
                asyncio.run(check_logins(directory))
        else:
            asyncio.run(check_logins(directory))


def test_names_and_queries_of_other_programs(tmp_path: Path) -> None:
    names = {"domain": "domains", "domain.domain_name": "name"}
    assert layout(settings(tmp_path, tables=names)) == Layout(names)
    assert layout(settings(tmp_path, queries=OWN)) == OwnQueries(**OWN)
    with_login = {**OWN, "login": "SELECT 1, 'hash'"}
    assert layout(settings(tmp_path, queries=with_login)) == OwnQueries(**with_login)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"queries": {"domain": OWN["domain"]}}, "directory.queries: domain; write both, domain and recipient"),
        ({"queries": {**OWN, "alias": "SELECT 1"}}, "write both, domain and recipient"),
        ({"queries": OWN, "tables": {"domain": "domains"}}, "directory.tables has no meaning beside directory.queries"),
        ({"tables": {"domains": "domain"}}, "domains"),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        database(settings(tmp_path, **values), None, Stats())


@pytest.mark.parametrize("queries", [{}, OWN])
def test_a_cache_is_in_front(tmp_path: Path, queries: dict[str, str]) -> None:
    with SqliteAdmin(tmp_path / "directory.db", create=True) as admin:
        admin.add_domain("example.test")
        admin.add_user("ann@example.test")
    stats = Stats()

    async def main() -> None:
        directory = cached_directory(settings(tmp_path, queries=queries), None, SystemClock(), stats)
        await directory.open()
        for _ in range(3):
            assert directory.locate(Address("Ann", "example.test")) == Found((Mailbox("example.test", "ann"),))
        await directory.close()

    asyncio.run(main())
    [requests] = [family for family in stats.families() if family.name == "fastsmtp_cache_requests_total"]
    assert stats.cells[stats.cell(requests, "hit")] == 2
    assert stats.cells[stats.cell(requests, "miss")] == 1
