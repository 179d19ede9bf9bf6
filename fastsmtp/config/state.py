"""Where plugins keep what they remember: rates, greylisted senders, reputations."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import PlainValidator, ValidationInfo

from fastsmtp.config.places import PostgresUrl, SqliteUrl, directory_url
from fastsmtp.config.table import Table, default
from fastsmtp.config.units import Duration, Spelling

__all__ = ["RedisUrl", "StateSettings", "StateUrl"]

# Like POSTGRES_FORM's: what is shown of it must not be half of a password.
_is_redis_url = re.compile(r"(redis|rediss|valkey|valkeys)://(?:[^@/?#]*@)?[^@/?#]+(?:/[0-9]{0,3})?").fullmatch

_FORM: Final = (
    'this names no state; write "sqlite:PATH", "postgresql://USER@HOST/DATABASE" or '
    '"valkey://USER:PASSWORD@HOST:PORT/0" (redis:// is the same, valkeys:// and rediss:// are with TLS)'
)


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """`valkey://HOST` or `redis://HOST`: a server that keeps state for several hosts. As text it has no password."""

    dsn: str = field(repr=False)

    @property
    def client_url(self) -> str:
        """As the client library, which knows one of the names, reads it."""
        return self.dsn.replace("valkey", "redis", 1) if self.dsn.startswith("valkey") else self.dsn

    def __str__(self) -> str:
        parts = urlsplit(self.dsn)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _state_url(value: object, info: ValidationInfo) -> SqliteUrl | PostgresUrl | RedisUrl:
    text = value if isinstance(value, str) else ""
    if _is_redis_url(text):
        return RedisUrl(text)
    scheme = text.partition(":")[0]
    if scheme in {"sqlite", "postgresql", "postgres"} and text != "sqlite:":
        return directory_url(value, info)
    raise ValueError(_FORM)  # not the text itself: it may have a password in it


StateUrl = Annotated[SqliteUrl | PostgresUrl | RedisUrl, PlainValidator(_state_url), Spelling("URL")]


class StateSettings(Table):
    """What plugins remember beyond a connection: rates, greylisted senders, reputations. The workers of a host always
    share it; several hosts do where `url` leads to a server."""

    url: StateUrl = default(
        "sqlite:state.db",
        "`sqlite:PATH`, a file that is made when it is missing; for several hosts `postgresql://USER@HOST/DATABASE` or "
        "`valkey://HOST:PORT` (or `redis://`, the same). While such a server is away, rates are those of this host "
        "alone, and what it remembers is not known: mail goes on.",
    )
    timeout: Duration = default(
        "500ms", "How long that server may take for an answer; then it is away, and is tried again later.", gt=0, le=10
    )
    buckets: int = default(
        262_144,
        "Rates that are kept at once, in 16 octets each of memory that the workers share. When there are more, those "
        "that are nearest to unused are forgotten. A change needs a restart.",
        ge=1024,
        le=1 << 28,
    )
    records: int = default(
        1_000_000,
        "The most records, and scores, in the file or the table; of more, those that end first are dropped.",
        ge=1000,
    )
