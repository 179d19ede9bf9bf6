"""The door of a server, for tests."""

from typing import Any

from workers import client_tables

from fastsmtp._clients import ClientTable
from fastsmtp.config.limits import LimitSettings
from fastsmtp.server.admission import Admission
from fastsmtp.server.overload import Overload
from fastsmtp.server.refusals import Refusals
from fastsmtp.stats import Stats

CALM_S = 5.0
KNOWN_S = 1_000.0


def admission(stats: Stats | None = None, table: ClientTable | None = None, /, **limits: Any) -> Admission:
    """One with these `[limits]`, alone with its table where it is given none."""
    settings = LimitSettings.model_validate(limits)
    return Admission(
        table or client_tables(1, 100)[0],
        settings,
        Overload(CALM_S),
        Refusals(stats or Stats()),
        known_s=KNOWN_S,
    )
