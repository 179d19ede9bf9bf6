"""Where the log goes, and how much of it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import PlainValidator, ValidationInfo

from fastsmtp.config.places import site_path
from fastsmtp.config.table import Table, default
from fastsmtp.config.units import Spelling

__all__ = ["LogSettings"]

Word = Literal["stdout", "syslog", "journald"]
Facility = Literal["mail", "daemon", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]


def _destination(value: object, info: ValidationInfo) -> Path | Word:
    match value:
        case "stdout" | "syslog" | "journald":
            return value
    return site_path(value, info)


def _optional_path(value: object, info: ValidationInfo) -> Path | None:
    return None if value == "" else site_path(value, info)


class LogSettings(Table):
    """One JSON object a line: one for each transaction, and what the operator should know besides."""

    destination: Annotated[
        Path | Word,
        PlainValidator(_destination),
        Spelling('`"stdout"`, `"syslog"`, `"journald"` or path'),
    ] = default(
        "stdout",
        "Standard output; the syslog or the journal of this machine; or a file that lines are appended to, and that is "
        "opened anew at SIGUSR1.",
    )
    level: Literal["debug", "info", "warning", "error"] = default(
        "info", "The least grave event that is logged; transactions always are."
    )
    facility: Facility = default("mail", "Whose messages they are for syslog.")
    socket: Annotated[Path | None, PlainValidator(_optional_path), Spelling('path, or `""`')] = default(
        "", "Where syslog or journald listens. Empty: `/dev/log`, or `/run/systemd/journal/socket`."
    )
