"""Workers for tests: one in the process of a test, without a supervisor, and what a supervisor needs for real ones."""

import os
from pathlib import Path
from typing import Any

from fastsmtp._buckets import BucketTable
from fastsmtp._clients import ClientTable
from fastsmtp.config.model import Settings
from fastsmtp.config.places import ListenAddress
from fastsmtp.directory.admin import SqliteAdmin
from fastsmtp.log import LineLog
from fastsmtp.server.clients import ClientMemory, client_table
from fastsmtp.server.processes.doors import Doors, make_doors
from fastsmtp.server.server import Server
from fastsmtp.state.host import BucketMemory, bucket_table
from fastsmtp.stats import Stats

__all__ = ["addresses", "client_tables", "make_server", "new_buckets", "settings", "start"]


def settings(folder: Path, **tables: Any) -> Settings:
    """A site with one user, on free ports; `tables` replace those here."""
    database = folder / "directory.db"
    if not database.exists():
        with SqliteAdmin(database, create=True) as admin:
            admin.add_domain("example.test")
            admin.add_user("alice@example.test")
    given = {
        "hostname": "mx.example.test",
        "listen": {"smtp": ["127.0.0.1:0"]},
        "metrics": {"listen": "127.0.0.1:0"},
        "directory": {"url": f"sqlite:{database}"},
        "maildir": {"root": str(folder / "mail"), "journal": str(folder / "journal"), "durability": "none"},
        "log": {"destination": str(folder / "log")},
    }
    return Settings.model_validate({**given, **tables})


def client_tables(regions: int, connections: int) -> list[ClientTable]:
    """What each worker sees of one memory."""
    memory = ClientMemory(regions, connections)
    tables = [client_table(memory.descriptor, region) for region in range(regions)]
    memory.close()
    return tables


def new_buckets() -> BucketTable:
    """A table of nobody else."""
    memory = BucketMemory(1024)
    table = bucket_table(memory.descriptor)
    memory.close()
    return table


def make_server(settings: Settings, log: LineLog) -> Server:
    """One that is alone. Raises ConfigurationError."""
    (table,) = client_tables(1, settings.limits.connections)
    return Server(settings, log, Stats(), table, new_buckets())


async def start(server: Server, settings: Settings) -> Doors:
    """Let it serve; the doors are for the caller to close. Raises StartError."""
    doors = make_doors(settings.listeners, 1)
    try:
        await server.start([[os.dup(descriptor) for descriptor in listener] for listener in doors.of(0)])
    except BaseException:
        doors.close()
        raise
    return doors


def addresses(doors: Doors) -> list[tuple[str, int]]:
    """Host and port of every TCP socket of the first slot."""
    bound = [one.address for entrance in doors.entrances for one in entrance.sockets[:1]]
    return [(address.host, address.port) for address in bound if isinstance(address, ListenAddress)]
