import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import postgres
import pytest
from click.testing import Result

from fastsmtp.directory.migrate import migrations

Command = Callable[..., Result]

BASE = """
CREATE TABLE domain (domain_id int, is_active smallint, domain_name varchar(255));
CREATE TABLE "user" (user_id int, domain_id int, can_receive smallint, can_login smallint, username varchar(255));
INSERT INTO domain VALUES (7, 1, 'Example.org');
INSERT INTO "user" VALUES (3, 7, 1, 0, 'Joe');
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    file = tmp_path / "fastsmtp.toml"
    file.write_text('hostname = "mx.example.org"\n')
    return file


def test_a_file_is_made(fastsmtp: Command, configuration: Path) -> None:
    database = configuration.parent / "directory.db"
    assert fastsmtp("db", "migrate", "-c", configuration).stdout == f"sqlite:{database} is made\n"
    assert fastsmtp("domain", "add", "example.org", "-c", configuration).exit_code == 0
    assert fastsmtp("db", "migrate", "-c", configuration).stdout == f"sqlite:{database} is up to date\n"


def test_the_file_of_another_program_gets_what_is_missing(fastsmtp: Command, configuration: Path) -> None:
    path = configuration.parent / "directory.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(BASE)
    result = fastsmtp("alias", "list", "-c", configuration)
    assert (result.exit_code, result.stderr) == (
        3,
        f"error: cannot use the directory {path}: no such table: alias; to make what is missing: fastsmtp db migrate\n",
    )

    lines = fastsmtp("db", "migrate", "-c", configuration).stdout.splitlines()

    assert lines == [*(f"{step.name} is done" for step in migrations("sqlite")), f"sqlite:{path} is up to date"]
    assert fastsmtp("alias", "list", "-c", configuration).exit_code == 0
    assert fastsmtp("user", "list", "-c", configuration).stdout == "joe@example.org  yes  no  none\n"


def test_postgres(fastsmtp: Command, configuration: Path) -> None:
    url = postgres.shared_server().new_database()
    postgres.run(url, BASE)
    configuration.write_text(f'[directory]\nurl = "{url}"\n')

    lines = fastsmtp("db", "migrate", "-c", configuration).stdout.splitlines()

    assert lines == [*(f"{step.name} is done" for step in migrations("postgres")), f"{url} is up to date"]
    assert fastsmtp("db", "migrate", "-c", configuration).stdout == f"{url} is up to date\n"
    assert fastsmtp("user", "list", "-c", configuration).stdout == "joe@example.org  yes  no  none\n"


def test_nobody_is_there(fastsmtp: Command, configuration: Path) -> None:
    configuration.write_text('[directory]\nurl = "postgresql://mail:secret@127.0.0.1:1/mail"\n')

    result = fastsmtp("db", "migrate", "-c", configuration)

    assert result.exit_code == 3
    assert "cannot connect to the directory postgresql://mail@127.0.0.1:1/mail" in result.stderr


def test_tables_of_another_program_are_left_alone(fastsmtp: Command, configuration: Path) -> None:
    with configuration.open("a") as file:
        file.write('[directory]\ntables = { domain = "domains" }\n')
    result = fastsmtp("db", "migrate", "-c", configuration)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "belongs to another program" in result.stderr
    assert not (configuration.parent / "directory.db").exists()
