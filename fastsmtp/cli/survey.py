"""Looks at a whole site before it serves: each part on its own, so that one fault does not hide another."""

import asyncio
import inspect
import os
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastsmtp.cli.admin import connect_admin
from fastsmtp.cli.advice import advice
from fastsmtp.cli.memory import memory_need
from fastsmtp.config.listeners import users_of
from fastsmtp.config.load import examine
from fastsmtp.config.model import Settings, StateSettings
from fastsmtp.config.process import ProcessSettings
from fastsmtp.directory.backend import check_logins, database, stored_lists
from fastsmtp.dns.resolver import CachedResolver
from fastsmtp.errors import ConfigurationError, DirectoryError, DnsError, StartError, StateError
from fastsmtp.lists.stored import parse_rows
from fastsmtp.log import socket_of
from fastsmtp.pipeline.loader import load_plugins
from fastsmtp.plugin import Stage
from fastsmtp.ports import Directory, Found
from fastsmtp.server.clock import SystemClock
from fastsmtp.server.processes.privileges import Identity, check_installation, identity
from fastsmtp.server.sockets import unix_faults
from fastsmtp.smtp.address import Address
from fastsmtp.state.backend import look_at
from fastsmtp.stats import Stats

__all__ = ["Finding", "survey"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    level: Literal["ok", "warning", "error"]
    sentence: str


def survey(path: Path) -> list[Finding]:
    """Everything that there is to say about the site of this configuration; parts whose table is wrong are left out.

    Raises ConfigurationError when the file cannot be read at all.
    """
    examination = examine(path)
    settings, faulty = examination.settings, examination.faulty_tables
    findings = [Finding("configuration", "error", problem) for problem in examination.problems]
    if not findings:
        findings.append(Finding("configuration", "ok", str(path)))
    if "plugin_path" not in faulty:
        findings += _plugins(path, settings)
        if "dns" not in faulty:
            findings += _dns(settings)
    if "tls" not in faulty and settings.tls.is_on:
        findings += _certificates(path, settings)
    if not {"listen", "listener"} & faulty:
        faults = (fault for entry in settings.listeners for fault in unix_faults(entry))
        findings += (Finding("listeners", "error", f"{path}: {fault}") for fault in faults)
    if "process" not in faulty and settings.process.pid_file is not None:
        findings += _pid_file(settings.process.pid_file)
    who = None
    if "process" not in faulty and settings.process.user:
        user_findings, who = _process_user(path, settings.process)
        findings += user_findings
    with nullcontext() if who is None else who.assumed():  # what root may do says nothing about what the server may
        findings += _what_the_server_opens(settings, faulty)
    return findings


def _what_the_server_opens(settings: Settings, faulty: frozenset[str]) -> list[Finding]:
    findings: list[Finding] = []
    if "directory" not in faulty:
        findings += (database_findings := asyncio.run(_database(settings)))
        if "plugin_path" not in faulty and all(one.level != "error" for one in database_findings):
            findings += asyncio.run(_lists(settings))
    if "maildir" not in faulty:
        findings.append(_folder("mail root", settings.maildir.root, "[maildir] root"))
        if settings.maildir.durability == "journal":
            findings.append(_folder("journal", settings.maildir.journal, "[maildir] journal"))
    if not {"listen", "limits", "dns"} & faulty:
        has_room, sentence = memory_need(settings)
        findings.append(Finding("memory", "ok" if has_room else "warning", sentence))
    if "state" not in faulty and settings.plugin:  # nobody else needs it
        findings.append(asyncio.run(_state(settings.state)))
    if not {"maildir", "records"} & faulty and settings.records.enabled:
        findings.append(_records(settings.records_file))
    if isinstance(settings.log.destination, Path):
        findings.append(_log_file(settings.log.destination))
    elif listener := socket_of(settings.log):
        findings.append(_log_socket(listener))
    return findings


def _plugins(path: Path, settings: Settings) -> list[Finding]:
    try:
        loaded = load_plugins(settings.plugin, settings.plugin_path)
    except ConfigurationError as error:
        return [Finding("plugins", "error", f"{path}: {problem}") for problem in error.problems]
    names = ", ".join(plugin.name for plugin in loaded)
    idle = [plugin.name for plugin in loaded if users_of(plugin.name, settings.listeners) == []]
    hint = "does not run: no [[listener]] has it in its plugins"
    deaf = [plugin.name for plugin in loaded if Stage.AUTH in plugin.stages and not settings.has_auth]
    return [
        Finding("plugins", "ok", names or "none"),
        *(Finding("plugins", "warning", f"{name} {hint}") for name in idle),
        *(Finding("plugins", "warning", f"{name} has on_auth, but nobody is offered AUTH: [auth]") for name in deaf),
        *(Finding("plugins", "warning", f"{path}: {key}: {sentence}") for key, sentence in advice(settings, loaded)),
    ]


def _dns(settings: Settings) -> list[Finding]:
    """Whether somebody answers, where a plugin asks."""
    try:
        loaded = load_plugins(settings.plugin, settings.plugin_path)
    except ConfigurationError:
        return []  # which is said already
    asking = [plugin.name for plugin in loaded if plugin.plugin.asks_dns]
    if not asking:
        return []
    servers = ", ".join(map(str, settings.dns.servers)) or "as the system has them"
    try:
        asyncio.run(_ask_dns(settings))
    except DnsError as error:
        sentence = f"{servers}: {error}; {', '.join(asking)} will find out nothing; see [dns] servers"
        return [Finding("dns", "warning", sentence)]
    return [Finding("dns", "ok", servers)]


async def _ask_dns(settings: Settings) -> None:
    """Ask for our own name; that it does not exist is an answer, too. Raises DnsError."""
    resolver = CachedResolver(settings.dns, SystemClock(), Stats())
    try:
        await resolver.addresses(settings.hostname, version=4)
    finally:
        await resolver.close()


def _certificates(path: Path, settings: Settings) -> Iterator[Finding]:
    from fastsmtp.server.tls.certificates import read_certificates
    from fastsmtp.server.tls.contexts import make_context

    try:
        certificates = read_certificates(settings.tls)
        make_context(settings.tls, certificates)
    except ConfigurationError as error:
        yield from (Finding("tls", "error", f"{path}: {problem}") for problem in error.problems)
        return
    now = time.time()
    for certificate in certificates:
        if ailment := certificate.ailment(now):
            yield Finding("tls", "error", ailment)
        else:
            yield Finding("tls", "ok", str(certificate))
        for warning in filter(None, (certificate.warning(now), *certificate.warnings)):
            yield Finding("tls", "warning", warning)
    if not any(certificate.fits(settings.hostname) for certificate in certificates):
        sentence = f"no certificate is for {settings.hostname}: senders that look (MTA-STS) will not send"
        yield Finding("tls", "warning", sentence)


def _pid_file(file: Path) -> Iterator[Finding]:
    if not file.parent.is_dir():
        sentence = f"cannot write {file}: there is no folder {file.parent}; make it, or change process.pid_file"
        yield Finding("pid file", "error", sentence)


def _process_user(path: Path, settings: ProcessSettings) -> tuple[list[Finding], Identity | None]:
    """What there is to say of the user, and who that is, if we can become it."""
    try:
        who = identity(settings)
    except ConfigurationError as error:
        return [Finding("user", "error", f"{path}: {problem}") for problem in error.problems], None
    except StartError as error:  # whoever checks need not be who starts it
        return [Finding("user", "warning", str(error))], None
    try:
        with nullcontext() if who is None else who.assumed():
            check_installation()
    except StartError as error:
        return [Finding("user", "error", str(error))], who
    return [Finding("user", "ok", settings.user)], who


async def _database(settings: Settings) -> list[Finding]:
    url = settings.directory.url
    try:
        directory = database(settings.directory, settings.postmaster, Stats())
    except ConfigurationError as error:
        return [Finding("directory", "error", problem) for problem in error.problems]
    try:
        await directory.open()
        if settings.has_auth:
            await check_logins(directory)
        if settings.directory.tables or settings.directory.queries:
            return [Finding("directory", "ok", f"{url}, with tables of another program")]
        domains, unreadable = await asyncio.to_thread(_domains_and_logins, settings)
        if not domains:
            hint = "nobody can receive mail; `fastsmtp domain add DOMAIN`"
            return [Finding("directory", "warning", f"{url} has no active domain, {hint}")]
        # Without a domain, too: `RCPT TO:<postmaster>`.
        lacking = [name for name in ("", *domains) if not await _has_postmaster(directory, name)]
    except DirectoryError as error:
        return [Finding("directory", "error", str(error))]
    finally:
        await directory.close()
    found = [Finding("directory", "ok", f"{url}, active domains: {len(domains)}")]
    found += [Finding("directory", "warning", _no_postmaster(name)) for name in lacking]
    return found + ([Finding("passwords", "warning", _unreadable(unreadable))] if unreadable else [])


async def _lists(settings: Settings) -> list[Finding]:
    """Whether the lists in the directory can be read, where a plugin reads some."""
    try:
        loaded = load_plugins(settings.plugin, settings.plugin_path)
    except ConfigurationError:
        return []  # which is said already
    names = dict.fromkeys(name for plugin in loaded for name in plugin.plugin.reads_lists)
    lists = stored_lists(settings.directory)
    try:
        found = [f"{name}: {len(parse_rows(name, (await lists.rows(name)).rows))}" for name in names]
    except (DirectoryError, ValueError) as error:
        return [Finding("lists", "error", problem) for problem in str(error).splitlines()]
    finally:
        await lists.close()
    return [Finding("lists", "ok", f"entries of {', '.join(found)}")] if found else []


def _domains_and_logins(settings: Settings) -> tuple[list[str], list[str]]:
    """The domains, and those users who cannot log in because nobody can read their password's hash."""
    with connect_admin(settings) as admin:
        unreadable = admin.unreadable_passwords() if settings.has_auth else []
        return [row.name for row in admin.list_domains() if row.is_active], unreadable


async def _has_postmaster(directory: Directory, domain: str) -> bool:
    answer = directory.locate(Address("postmaster", domain))
    return isinstance(await answer if inspect.isawaitable(answer) else answer, Found)


def _no_postmaster(domain: str) -> str:
    if not domain:
        return "mail for <postmaster> without a domain is refused (RFC 5321 section 4.5.1): set [directory] postmaster"
    return f"{domain} has no postmaster (RFC 5321 section 4.5.1): fastsmtp user add postmaster@{domain}"


def _unreadable(users: list[str]) -> str:
    shown = ", ".join(users[:3]) + (f" and {len(users) - 3} more" if len(users) > 3 else "")
    return f"{shown} cannot log in: the scheme of their password's hash is not known here; fastsmtp user passwd ADDRESS"


async def _state(settings: StateSettings) -> Finding:
    try:
        return Finding("state", "ok", await look_at(settings))
    except StateError as error:
        return Finding("state", "error", f"{error}; change [state] url")
    except ConfigurationError as error:
        return Finding("state", "error", str(error))


def _folder(subject: str, folder: Path, key: str) -> Finding:
    place = next(path for path in (folder, *folder.parents) if _may(path, os.F_OK))
    if not place.is_dir():
        return Finding(subject, "error", f"{place} is not a folder; change {key}")
    if not _may(place, os.W_OK | os.X_OK):
        return Finding(subject, "error", f"{place} cannot be written by this user")
    return Finding(subject, "ok", str(folder) if place == folder else f"{folder} will be made")


def _records(file: Path) -> Finding:
    """Without them mail goes on: no more than a warning."""
    folder = file.parent
    if not (_may(folder, os.F_OK) and folder.is_dir()):
        return Finding("records", "warning", f"{folder} is not there, so no records are kept; change [records] path")
    if not _may(file if _may(file, os.F_OK) else folder, os.W_OK):
        return Finding("records", "warning", f"{file} cannot be written by this user; change [records] path")
    return Finding("records", "ok", str(file))


def _log_socket(path: Path) -> Finding:
    if not path.is_socket():
        return Finding("log", "warning", f"nobody listens on {path}; until somebody does, log lines are lost")
    return Finding("log", "ok", str(path))


def _log_file(file: Path) -> Finding:
    target = file if (is_there := _may(file, os.F_OK)) else file.parent
    if (is_there and file.is_dir()) or not _may(target, os.W_OK):
        return Finding("log", "error", f"{file} cannot be written by this user; change [log] destination")
    return Finding("log", "ok", str(file))


def _may(path: Path, mode: int) -> bool:
    """Whether whoever we are at the moment may do this there; it need not be there."""
    return os.access(path, mode, effective_ids=True)
