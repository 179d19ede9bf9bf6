"""What every table of fastsmtp.toml has in common."""

import os
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Table", "default"]

# What else is installed has no say in what is valid here. To look for pydantic's plugins is to read the metadata of
# every package, at each start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")


class Table(BaseModel):
    """What all tables share: frozen, no unknown keys, no guessing of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


def default(value: object, description: str, **constraints: Any) -> Any:
    """A field; the default is validated like a value from the file, so it is written like one."""
    return Field(default=value, description=description, validate_default=True, **constraints)
