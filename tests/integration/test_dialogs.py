"""Every dialog, played four ways: in memory whole, byte by byte and with every body in a spool, and over a socket.

The latter is against a real server, and not for dialogs that say how much room there is.
"""

import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from argon2.profiles import CHEAPEST
from certificates import NAME, as_toml, certificate, client_context, write
from dialog import PASSWORDS, USERS, Dialog, DialogError, Stored, check_stored, parse, play, read_dialogs
from integration.server import ServerProcess, running_server, wait_until
from zone import ZoneServer

from fastsmtp.config.model import Settings
from fastsmtp.delivery.spool import SpoolFolder
from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.directory.schemes import hash_password
from fastsmtp.ports import Mailbox
from fastsmtp.server.build import session_options
from fastsmtp.smtp.address import parse_mailbox
from fastsmtp.smtp.options import Room
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.transaction import Transaction
from fastsmtp.testing import MemoryStore, Site

DIALOGS = read_dialogs(Path(__file__).parents[1] / "dialogs")
DIALOGS_ANYWHERE = [dialog for dialog in DIALOGS if dialog.room is None]
every_dialog = pytest.mark.parametrize("dialog", DIALOGS, ids=str)


class Store(MemoryStore):
    """Says what the Maildir says."""

    def store(self, transaction: Transaction) -> Reply:
        super().store(transaction)
        return Reply(250, "2.0.0", f"stored as {transaction.id}")


def make_site(dialog: Dialog, *, byte_by_byte: bool = False, spool: SpoolFolder | None = None) -> Site:
    """The settings of the dialog, the users of every dialog; every body goes into the spool, where there is one."""
    settings = Settings.model_validate(dialog.configuration)
    directory = MemoryDirectory(USERS, postmaster=settings.directory.postmaster)
    for user, password in PASSWORDS.items():
        directory.add_user(user, password_hash=hash_password(password, parameters=CHEAPEST))
    site = Site(
        [entry.model_dump() for entry in settings.plugin],
        directory=directory,
        passwords={},
        store=Store(),
        zone=dialog.zone,
        byte_by_byte=byte_by_byte,
    )
    entry = next(iter(settings.listener), settings.listeners[0])
    options = session_options(settings, entry, site.pipeline)
    site.options = replace(options, starttls=dialog.has_tls, xclient=bool(entry.xclient))
    if dialog.room is not None:
        site.options = replace(site.options, room=Room(dialog.room))
    if spool is not None:
        site.options = replace(site.options, spool_above=0, make_spool=spool.new)
    return site


def stored_in(site: Site, user: str) -> list[Stored]:
    """What came into the mailbox of a user, one copy for each message, with what plugins put on top."""
    address = parse_mailbox(user)
    mailbox = Mailbox(address.domain, address.folded_local)
    return [
        Stored(str(transaction.sender), transaction.message.added + bytes(transaction.message))
        for transaction in site.transactions
        if transaction.outcome == "stored"
        and any(mailbox in recipient.mailboxes for recipient in transaction.remaining)
    ]


class MemoryPeer:
    """A site in memory."""

    def __init__(self, site: Site) -> None:
        self._client = site.connect()
        self._output = f"{self._client.greeting}\r\n".encode()

    def send(self, data: bytes) -> None:
        self._output += self._client.feed(data)

    def read_line(self) -> bytes:
        line, end, self._output = self._output.partition(b"\r\n")
        return line + end

    def end(self, how: str) -> None:
        if how == "tls":
            assert self._client.connection.tls is not None
            return
        self._client.disconnect()
        if how == "close":
            self._output = b""

    def is_closed(self) -> bool:
        return not self._client.is_open and not self._output

    def rest(self) -> bytes:
        self._client.disconnect()
        return self._output


class SocketPeer:
    """A real server on the other end of a TCP connection."""

    def __init__(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        self._replies = client.makefile("rb")

    def send(self, data: bytes) -> None:
        self._client.sendall(data)

    def read_line(self) -> bytes:
        return self._replies.readline()

    def end(self, how: str) -> None:
        if how == "tls":
            self._replies.close()
            self._client = client_context().wrap_socket(self._client, server_hostname=NAME)
            self._replies = self._client.makefile("rb")
        elif how == "close":
            self._replies.close()
            self._client.close()
        else:
            self._client.shutdown(socket.SHUT_WR)

    def is_closed(self) -> bool:
        return not self._replies.read(1)

    def rest(self) -> bytes:
        if self._replies.closed:
            return b""
        with self._replies, self._client:
            try:
                self._client.shutdown(socket.SHUT_WR)
            except OSError:  # closed by the server, and known to us already
                return b""
            return self._replies.read()


class Servers:
    """One real server for each set of settings that a dialog asks for, kept until the last dialog is played."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._running: dict[tuple[str, str, str, bool], ServerProcess] = {}

    def get(self, dialog: Dialog) -> ServerProcess:
        key = (dialog.settings, dialog.plugins, dialog.zone, dialog.has_tls)
        if key not in self._running:
            settings = dict(key_paths(dialog.tables))
            if dialog.zone:
                settings["dns.servers"] = [self._stack.enter_context(ZoneServer(dialog.zone)).address]
            if dialog.has_tls:
                settings["tls.certificates"] = [as_toml(write(self._folder, certificate()))]
            self._running[key] = self._stack.enter_context(
                running_server(
                    self._folder / str(len(self._running)),
                    settings,
                    users=USERS,
                    plugins=dialog.plugins,
                    passwords=PASSWORDS,
                )
            )
        return self._running[key]


def key_paths(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """`{"limits": {"errors": 3}}` as `limits.errors`, 3."""
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from key_paths(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("servers"), stack)


@pytest.mark.parametrize("byte_by_byte", [False, True], ids=["whole", "bytes"])
@every_dialog
def test_in_memory(dialog: Dialog, byte_by_byte: bool) -> None:
    with make_site(dialog, byte_by_byte=byte_by_byte) as site:
        play(dialog, MemoryPeer(site))
        check_stored(dialog, lambda user: stored_in(site, user))


@every_dialog
def test_with_every_body_in_a_spool(dialog: Dialog, tmp_path: Path) -> None:
    spool = SpoolFolder(tmp_path)
    spool.open()
    with make_site(dialog, spool=spool) as site:
        play(dialog, MemoryPeer(site))
        check_stored(dialog, lambda user: stored_in(site, user))


@pytest.mark.parametrize("dialog", DIALOGS_ANYWHERE, ids=str)
def test_over_a_socket(dialog: Dialog, servers: Servers) -> None:
    server = servers.get(dialog)
    before = {user: len(server.messages(user)) for user in USERS}
    with server.connect(dialog.listener) as client:  # in TLS, its descriptor moves to another object
        play(dialog, SocketPeer(client))
    wait_until(lambda: server.metric("fastsmtp_connections") == 0, "the server notices the end")
    check_stored(dialog, lambda user: [below_trace(message) for message in server.messages(user)[before[user] :]])
    assert server.unfinished() == []


def below_trace(message: bytes) -> Stored:
    """The sender out of the Return-Path on top, and what is below Return-Path, Delivered-To and Received."""
    return_path, delivered_to, received, *rest = message.split(b"\n")
    assert return_path.startswith(b"Return-Path: <")
    assert delivered_to.startswith(b"Delivered-To: ")
    assert received.startswith(b"Received: ")
    while rest[0].startswith(b"\t"):
        rest.pop(0)
    sender = return_path.removeprefix(b"Return-Path: <").removesuffix(b">").decode()
    return Stored(sender, b"\n".join(rest))


WRONG = [
    "S: 221 something else",
    "S: 220 mx.example.test ESMTP fastsmtp\nS: 250 more",
    "S: 220 mx.example.test ESMTP fastsmtp\nS: <closed>",
    "S: 220 mx.example.test ESMTP fastsmtp\nC: NOOP",
]


@pytest.mark.parametrize("text", WRONG)
def test_the_player_notices(text: str) -> None:
    dialog = parse("wrong", text)
    with make_site(dialog) as site, pytest.raises(AssertionError):
        play(dialog, MemoryPeer(site))


def test_what_is_stored_is_noticed() -> None:
    dialog = parse("wrong", "stored alice@example.test from <ann@example.org>\n| Subject: hi\n")
    check_stored(dialog, lambda user: [Stored("ann@example.org", b"Subject: hi\n")] if "alice" in user else [])
    for stored in ([], [Stored("", b"Subject: hi\n")], [Stored("ann@example.org", b"Subject: hi")]):
        with pytest.raises(AssertionError):
            check_stored(dialog, lambda user: stored if "alice" in user else [])  # noqa: B023 - called at once


def test_a_line_that_nobody_understands_is_an_error() -> None:
    for line in ("X: 1", "| content of no message", 'C! "no end', "stored"):
        with pytest.raises(DialogError):
            parse("wrong", line)
