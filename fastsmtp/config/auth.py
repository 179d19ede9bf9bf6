"""Logging in."""

from typing import Annotated, Literal

from pydantic import Strict

from fastsmtp.config.table import Table, default
from fastsmtp.config.units import Spelling

__all__ = ["AuthSettings"]


class AuthSettings(Table):
    """AUTH: who may log in, and how. Logging in opens no relay; it tells plugins who it is. An MX does without."""

    enabled: bool = default(
        False,
        "Whether AUTH is offered, where a `[[listener]]` does not say. `fastsmtp user passwd` sets passwords; nobody "
        "has one from the start.",
    )
    require_tls: bool = default(
        True, "Offer it under TLS only. Without it passwords travel in the open: for tests, and for local networks."
    )
    mechanisms: Annotated[
        tuple[Literal["PLAIN", "LOGIN", "SCRAM-SHA-256"], ...], Strict(strict=False), Spelling("list of mechanisms")
    ] = default(
        ["PLAIN", "LOGIN"],
        'Of "PLAIN", "LOGIN" and "SCRAM-SHA-256". A client takes the best one that it knows, and SCRAM works for those '
        "alone whose password was set with `--scheme scram-sha-256`.",
        min_length=1,
    )
    tries: int = default(3, "Wrong passwords in one connection; with the next try it is closed with 421.", ge=1)
    waiting: int = default(
        8,
        "Passwords that wait to be checked, in each worker. They are checked one at a time, which takes a tenth of a "
        "second or more each; beyond that many, a client hears 454 and may try again.",
        ge=0,
    )
