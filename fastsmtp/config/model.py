"""Every table of fastsmtp.toml as one frozen, typed object. Defaults stand here, once, as an operator spells them.

Docstrings and descriptions are what `docs/configuration.md` and the file written by `fastsmtp init` say.
"""

import re
import socket
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, PrivateAttr, Strict, model_validator

from fastsmtp.config.auth import AuthSettings
from fastsmtp.config.dns import DnsSettings
from fastsmtp.config.limits import LimitSettings, OverloadSettings, TimeoutSettings
from fastsmtp.config.listeners import ListenerEntry, ListenSettings
from fastsmtp.config.log import LogSettings
from fastsmtp.config.places import (
    DirectoryUrl,
    OptionalListenAddress,
    OptionalPostgresUrl,
    SitePath,
)
from fastsmtp.config.process import ProcessSettings
from fastsmtp.config.records import RecordSettings
from fastsmtp.config.state import StateSettings
from fastsmtp.config.table import Table, default
from fastsmtp.config.tls import TlsSettings
from fastsmtp.config.units import Duration, Size, Spelling
from fastsmtp.smtp.address import Address, AddressError, canonical_domain, parse_mailbox

__all__ = [
    "JOURNAL_SEGMENTS",
    "SEGMENT_RECORDS",
    "DirectorySettings",
    "LimitSettings",
    "LogSettings",
    "MaildirSettings",
    "MetricsSettings",
    "PluginEntry",
    "ProcessSettings",
    "RecordSettings",
    "Settings",
    "SmtpSettings",
    "StateSettings",
    "TimeoutSettings",
    "TlsSettings",
]

JOURNAL_SEGMENTS: Final = 4
"""One is written, one is full, and the checkpoint has the time of the others to free it."""

SEGMENT_RECORDS: Final = 2
"""So many of the largest records a segment of the journal has to hold."""

_BANNER = re.compile(r"[\x20-\x7e]{0,200}\Z")
_SEPARATOR = re.compile(r"[!#$%&'*+/=?^_`{|}~.-]?\Z")  # what a local part may hold unquoted (RFC 5321 section 4.1.2)


def _domain_name(text: str) -> str:
    try:
        return canonical_domain(text)
    except AddressError as error:
        raise ValueError(f'{error}; write a name like "mx.example.org"') from None


def _optional_mailbox(value: object) -> Address | None:
    if value == "":
        return None
    try:
        return parse_mailbox(value if isinstance(value, str) else "")
    except AddressError:
        raise ValueError(f'{value!r} is not an address; write one like "admin@example.org"') from None


def _banner(text: str) -> str:
    if not _BANNER.match(text):
        raise ValueError("the greeting is at most 200 printable ASCII characters on one line")
    return text


def _separator(text: str) -> str:
    if not _SEPARATOR.match(text):
        raise ValueError(f'{text!r} cannot separate; write one character such as "+", or "" for no sub-addresses')
    return text


class SmtpSettings(Table):
    """The protocol."""

    bare_newline: Literal["normalize", "reject"] = default(
        "normalize",
        'A line feed without its carriage return: "normalize" takes it for a line end inside the message (never for '
        'a part of the end of data), "reject" refuses the message with 550.',
    )
    pipelining: Literal["lenient", "strict"] = default(
        "lenient",
        "What is sent behind HELO, EHLO, DATA or AUTH before these are answered (RFC 2920 section 3.1 and RFC 4954 "
        'section 4 forbid it): "lenient" takes it and tells plugins, "strict" answers 554 and closes the connection.',
    )
    banner: Annotated[str, AfterValidator(_banner)] = default(
        "", "Text of the greeting behind the host name; empty is the usual text."
    )


class DirectorySettings(Table):
    """Who exists: the database of domains and users, and how long an answer of it is good."""

    url: DirectoryUrl = default(
        "sqlite:directory.db",
        "`sqlite:PATH`, a file made by `fastsmtp init`, or `postgresql://USER@HOST/DATABASE` as libpq reads it. Keep "
        "the password out of here: `~/.pgpass` or the variable PGPASSFILE of the server.",
    )
    cache_entries: int = default(100_000, "Answers kept in memory, in each worker.", ge=0)
    cache_ttl: Duration = default(
        "60s", "How long a known user is believed unasked; a change that the database tells of is seen at once.", ge=0
    )
    negative_ttl: Duration = default("10s", "The same for an unknown user.", ge=0)
    stale_ttl: Duration = default(
        "4h", "How much longer a known user is believed while the database does not answer.", ge=0
    )
    pool_size: int = default(4, "Connections to PostgreSQL, at most, of each worker.", ge=1)
    connect_timeout: Duration = default("5s", "How long PostgreSQL may take to let us in.", gt=0)
    statement_timeout: Duration = default("2s", "How long PostgreSQL may take for an answer; then it is 451.", gt=0)
    listen_url: OptionalPostgresUrl = default(
        "",
        "Where changes are heard, if `url` leads to PgBouncer: the PostgreSQL server itself. Empty: the same as `url`.",
    )
    tables: dict[str, str] = default(
        {},
        'What tables and columns are called in your database: `{ domain = "domains", "domain.domain_name" = "name" }`.',
    )
    queries: dict[str, str] = default(
        {},
        "Your own SQL in place of our tables, `domain` and `recipient`, and `login` for AUTH; directory.md has them "
        "for Postfix and Dovecot.",
    )
    subaddress_separator: Annotated[str, AfterValidator(_separator)] = default(
        "+", "What separates a user from a tag: mail for `user+tag` goes to `user`. Empty: no sub-addresses."
    )
    postmaster: Annotated[Address | None, PlainValidator(_optional_mailbox), Spelling("address")] = default(
        "",
        "The user who gets mail for `<postmaster>` without a domain, and for the postmaster of a domain that has no "
        "such user (RFC 5321 section 4.5.1). Empty: the postmaster of the domain that `hostname` is in.",
    )


class MaildirSettings(Table):
    """Where mail is put, and what has happened before we say 250 (see durability.md)."""

    root: SitePath = default("mail", "The folder of all mailboxes: `ROOT/DOMAIN/USER/{tmp,new,cur}`.")
    durability: Literal["journal", "fsync", "none"] = default(
        "journal",
        'What survives a power cut. "journal": one write for all messages of a moment, into a journal on the disk. '
        '"fsync": file and folders of each message are on the disk; slower, for network file systems. "none": the '
        "kernel has the message, a power cut loses the last half minute; for tests only.",
    )
    journal: SitePath = default(
        "journal", "The folder of the journal, on a local disk: that of the mail, or a faster one."
    )
    journal_size: Size = default(
        "64MiB", "Disk space that the journal of each worker takes, from the start; less where the disk is small."
    )
    journal_limit: Size = default(
        "256KiB",
        "A message larger than this is kept in a file while it arrives, and synced by itself instead of written to "
        "the journal.",
        ge=4096,
    )
    reserve: Size = default("8MiB", "Free space that is kept: a message that would need it is deferred with 452.")
    reserve_inodes: int = default(100, "The same for inodes, which are the files that the file system can hold.", ge=0)

    over_quota: Literal["defer", "reject"] = default(
        "defer", 'What a sender hears when a mailbox is over its quota: "defer" 452 4.2.2, "reject" 552 5.2.2.'
    )

    @model_validator(mode="after")
    def _segments_hold_records(self) -> Self:
        least = JOURNAL_SEGMENTS * SEGMENT_RECORDS
        if self.journal_size < least * self.journal_limit:
            raise ValueError(
                f"journal_size ({self.journal_size} octets) is too small for journal_limit ({self.journal_limit}); "
                f"write {least} times as much or more"
            )
        return self


class MetricsSettings(Table):
    """Prometheus metrics and health over HTTP. There is no password: keep it on an address of your own."""

    listen: OptionalListenAddress = default(
        "127.0.0.1:9125",
        "Where the status page, `/metrics`, `/healthz` and `/readyz` are served; `false` turns it off.",
    )


class PluginEntry(Table):
    """One plugin. They are asked in the order of the file; nothing runs that is not named here."""

    use: Annotated[str, Field(min_length=1)] = Field(
        description="An installed plugin (entry point), `NAME` of a `NAME.py` in `plugin_path`, or `module:Class`."
    )
    name: str = default("", "What log and metrics call it; needed to use one plugin twice. Empty: what `use` says.")
    mode: Literal["active", "shadow"] = default(
        "active", '"shadow" runs it and records what it would have said, but never acts on it.'
    )
    on_fault: Literal["defer", "pass", "reject"] = default(
        "defer", "What an exception or a timeout of the plugin is to the client: 451, no opinion, or 550."
    )
    timeout: Duration = default("10s", "How long one hook may take.", gt=0)
    options: dict[str, Any] = default({}, "The plugin's own settings; its documentation lists them.")
    _folder: Path = PrivateAttr(default=Path())

    def model_post_init(self, context: Any, /) -> None:
        """Keep to what paths in the options are relative."""
        self._folder = (context or {}).get("base", Path())

    @property
    def folder(self) -> Path:
        """The folder of the file in which it stands."""
        return self._folder

    @property
    def title(self) -> str:
        """What log and metrics call it."""
        return self.name or self.use.rpartition(":")[2]


class Settings(Table):
    """The whole file."""

    hostname: Annotated[str, AfterValidator(_domain_name)] = Field(
        default_factory=socket.gethostname,
        validate_default=True,
        description="The name of this host in the greeting and in Received. The default is the machine's own name.",
    )
    plugin_path: Annotated[tuple[SitePath, ...], Strict(strict=False), Spelling("list of paths")] = default(
        [], "Folders with plugins of your own, one plugin a file."
    )
    listen: ListenSettings = default({}, "")
    listener: Annotated[tuple[ListenerEntry, ...], Strict(strict=False)] = default([], "")
    limits: LimitSettings = default({}, "")
    timeouts: TimeoutSettings = default({}, "")
    overload: OverloadSettings = default({}, "")
    tls: TlsSettings = default({}, "")
    smtp: SmtpSettings = default({}, "")
    auth: AuthSettings = default({}, "")
    directory: DirectorySettings = default({}, "")
    dns: DnsSettings = default({}, "")
    maildir: MaildirSettings = default({}, "")
    state: StateSettings = default({}, "")
    metrics: MetricsSettings = default({}, "")
    log: LogSettings = default({}, "")
    records: RecordSettings = default({}, "")
    process: ProcessSettings = default({}, "")
    plugin: Annotated[tuple[PluginEntry, ...], Strict(strict=False)] = default([], "")

    @property
    def listeners(self) -> tuple[ListenerEntry, ...]:
        """Every listener, those of the short form first; its default counts only where there is no other."""
        has_short_form = "smtp" in self.listen.model_fields_set or not self.listener
        short = self.listen.smtp if has_short_form else ()
        return (*(ListenerEntry(address=address) for address in short), *self.listener)

    @property
    def records_file(self) -> Path:
        """Where records are, or would be."""
        return self.records.path or self.maildir.journal.parent / "records.db"

    def offers_auth(self, entry: ListenerEntry) -> bool:
        """Whether clients of this listener may log in."""
        return self.auth.enabled if entry.auth is None else entry.auth

    @property
    def has_auth(self) -> bool:
        """Whether anybody may."""
        return any(map(self.offers_auth, self.listeners))

    @property
    def postmaster(self) -> Address | None:
        """Who gets the mail of a postmaster without a mailbox: the configured address, else that of our own domain."""
        own_domain = self.hostname.partition(".")[2]
        return self.directory.postmaster or (Address("postmaster", own_domain) if own_domain else None)
