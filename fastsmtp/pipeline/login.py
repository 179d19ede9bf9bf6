"""Who may log in: plugins first, then the directory's password, with the same work whoever it is."""

import logging
from collections.abc import Awaitable, Iterable
from typing import Final, Literal, NamedTuple, TypeAlias

from fastsmtp.errors import DirectoryAwayError, DirectoryError, PasswordsBusyError, UnknownSchemeError
from fastsmtp.pipeline.chain import Chain
from fastsmtp.plugin import Address, Connection, Credentials, Reply, Stage, parse_mailbox
from fastsmtp.ports import Login, Logins, Passwords
from fastsmtp.smtp.replies import AUTH_FAILED, AUTH_TROUBLE, AUTHENTICATED
from fastsmtp.smtp.sasl import KeysWanted, ScramKeys
from fastsmtp.stats import Stats

__all__ = ["LoginDesk"]

Result: TypeAlias = Literal["accepted", "refused", "deferred", "busy"]
RESULTS: Final[tuple[Result, ...]] = ("accepted", "refused", "deferred", "busy")

_log = logging.getLogger("fastsmtp.auth")


class _Verdict(NamedTuple):
    result: Result
    reply: Reply


_ACCEPTED: Final = _Verdict("accepted", AUTHENTICATED)
_REFUSED: Final = _Verdict("refused", AUTH_FAILED)
_DEFERRED: Final = _Verdict("deferred", AUTH_TROUBLE)
_BUSY: Final = _Verdict("busy", AUTH_TROUBLE)


class LoginDesk:
    """One per worker. Every answer takes a while, and none of the methods raises anything.

    `mechanisms` are those that are counted.
    """

    def __init__(
        self, chain: Chain, logins: Logins, passwords: Passwords, stats: Stats, mechanisms: Iterable[str]
    ) -> None:
        self._chain = chain
        self._logins = logins
        self._passwords = passwords
        self._cells = stats.cells
        family = stats.counter(
            "fastsmtp_auth_total",
            "Attempts to log in (AUTH) by how they ended; busy: too many passwords were being checked already.",
            mechanism=tuple(mechanisms),
            result=RESULTS,
        )
        self._counts = {key: stats.cell(family, *key) for key in family.children}

    async def keys(self, connection: Connection, wanted: KeysWanted) -> ScramKeys | Reply:
        """The keys of a user, or keys that fit nothing, so that nobody learns who has some."""
        address = _login_name(wanted.user)
        try:
            login = await self._find(address)
        except DirectoryError as error:
            self._note_trouble(connection, error)
            self._note(connection, Credentials("SCRAM-SHA-256", wanted.user), "deferred")
            return AUTH_TROUBLE
        return self._passwords.scram_keys(str(address or wanted.user), _hash_of(login))

    async def answer(self, connection: Connection, credentials: Credentials) -> Reply:
        """Whether they are let in; if so, `credentials.user` is their canonical name afterwards."""
        verdict = await self._judge(connection, credentials)
        self._note(connection, credentials, verdict.result)
        return verdict.reply

    async def _judge(self, connection: Connection, credentials: Credentials) -> _Verdict:
        if credentials.is_proven is False:
            return _REFUSED
        decision = self._chain.ask(Stage.AUTH, connection, credentials)
        reply, _ = decision if isinstance(decision, tuple) else await decision
        if reply is None:
            return await self._ask_directory(connection, credentials)
        if not reply.is_positive:
            return _Verdict("refused" if reply.is_permanent else "deferred", reply)
        credentials.user = str(_login_name(credentials.user) or credentials.user)
        return _ACCEPTED

    async def _ask_directory(self, connection: Connection, credentials: Credentials) -> _Verdict:
        if self._passwords.is_busy and not credentials.is_proven:
            return _BUSY  # a flood shall not reach the database either
        try:
            login = await self._find(_login_name(credentials.user))
            is_right = credentials.is_proven or await self._passwords.check(credentials.password, _hash_of(login))
        except PasswordsBusyError:
            return _BUSY
        except (DirectoryError, UnknownSchemeError) as error:
            self._note_trouble(connection, error)
            return _DEFERRED
        if not is_right or login is None:
            return _REFUSED
        credentials.user = str(login.address)
        return _ACCEPTED

    async def _find(self, address: Address | None) -> Login | None:
        if address is None:
            return None
        found = self._logins.find_login(address)
        return await found if isinstance(found, Awaitable) else found

    def _note(self, connection: Connection, credentials: Credentials, result: Result) -> None:
        """One line and one count for each attempt; what is no address may be a password in the wrong place."""
        self._cells[self._counts[credentials.mechanism, result]] += 1
        user = credentials.user if result == "accepted" else str(_login_name(credentials.user) or "")
        facts = {
            "event": "auth",
            "id": connection.id,
            "remote": connection.remote_address,
            "mechanism": credentials.mechanism,
            "user": user,
            "result": result,
        }
        _log.info("login %s", result, extra=facts)

    @staticmethod
    def _note_trouble(connection: Connection, error: DirectoryError | UnknownSchemeError) -> None:
        if not isinstance(error, DirectoryAwayError):  # of which the log has heard when it began
            _log.error("login trouble", extra={"id": connection.id, "error": str(error)})


def _login_name(user: str) -> Address | None:
    """The address that somebody logs in with, in its canonical form; None for what is none."""
    try:
        address = parse_mailbox(user)
    except ValueError:
        return None
    return Address(address.folded_local, address.domain)


def _hash_of(login: Login | None) -> str | None:
    return None if login is None else login.password_hash
