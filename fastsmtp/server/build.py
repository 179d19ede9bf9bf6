"""From the settings to what each listener runs: its plugins, its session, its service."""

from collections.abc import Callable, Sequence

from fastsmtp.config.auth import AuthSettings
from fastsmtp.config.listeners import ListenerEntry
from fastsmtp.config.model import Settings
from fastsmtp.pipeline.loader import LoadedPlugin
from fastsmtp.pipeline.pipeline import Pipeline
from fastsmtp.smtp.load import Load
from fastsmtp.smtp.mechanisms import mechanisms
from fastsmtp.smtp.message import Spool
from fastsmtp.smtp.options import AuthOptions, Room, SessionOptions
from fastsmtp.stats import Stats

__all__ = ["build_pipelines", "session_options"]


def build_pipelines(
    entries: Sequence[ListenerEntry],
    plugins: Sequence[LoadedPlugin],
    build: Callable[[Sequence[LoadedPlugin]], Pipeline],
) -> list[Pipeline]:
    """The pipeline of each listener; listeners with the same plugins have the same one."""
    known: dict[tuple[str, ...], Pipeline] = {}
    pipelines = []
    for entry in entries:
        chosen = [loaded for loaded in plugins if entry.has_plugin(loaded.name)]
        names = tuple(loaded.name for loaded in chosen)
        if names not in known:
            known[names] = build(chosen)
        pipelines.append(known[names])
    return pipelines


def session_options(
    settings: Settings,
    entry: ListenerEntry,
    pipeline: Pipeline,
    room: Room | None = None,
    make_spool: Callable[[], Spool] | None = None,
    load: Load | None = None,
) -> SessionOptions:
    """What the protocol needs of the settings and of its listener, and of the store where there is one."""
    return SessionOptions(
        hostname=settings.hostname,
        protocol=entry.protocol,
        banner=settings.smtp.banner,
        message_size=settings.limits.message_size,
        recipients=settings.limits.recipients,
        command_line=settings.limits.command_line,
        header_size=settings.limits.header_size,
        header_fields=settings.limits.header_fields,
        hops=settings.limits.hops,
        errors=settings.limits.errors,
        unknown_commands=settings.limits.unknown_commands,
        messages=settings.limits.messages,
        commands=settings.limits.commands,
        nonmail_commands=settings.limits.nonmail_commands,
        pipelining=settings.smtp.pipelining,
        spool_above=settings.maildir.journal_limit,
        make_spool=make_spool,
        room=room or Room(),
        load=load or Load(Stats()),
        bare_newline=settings.smtp.bare_newline,
        asks=pipeline.asks,
        starttls=settings.tls.is_on and entry.tls in ("auto", "starttls", "required"),
        requires_tls=entry.tls == "required",
        auth=_auth_options(settings.auth) if settings.offers_auth(entry) else None,
    )


def _auth_options(auth: AuthSettings) -> AuthOptions:
    return AuthOptions(mechanisms(auth.mechanisms), auth.tries, auth.require_tls)
