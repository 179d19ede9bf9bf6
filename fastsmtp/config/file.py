"""Which file is the configuration, and what stands in it, before anybody has looked whether it makes sense."""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from fastsmtp.errors import ConfigurationError

__all__ = ["ENVIRONMENT", "FILE_NAME", "find_file", "read_file"]

ENVIRONMENT: Final = "FASTSMTP_CONFIG"
FILE_NAME: Final = "fastsmtp.toml"
_SYSTEM_FILE: Final = Path("/etc/fastsmtp") / FILE_NAME

_WHOLE_MAX: Final = 2**63 - 1
_TOO_LARGE: Final = f"the number is too large; write {_WHOLE_MAX} or less"

_TOML_POSITION = re.compile(r"(.*) \(at line ([0-9]+), column ([0-9]+)\)\Z", re.DOTALL)


def find_file(given: Path | None = None) -> Path:
    """The file to read: the given one, $FASTSMTP_CONFIG, ./fastsmtp.toml, /etc/fastsmtp/fastsmtp.toml.

    Raises ConfigurationError when there is none.
    """
    if given is not None:
        return given
    if named := os.environ.get(ENVIRONMENT):
        return Path(named)
    for candidate in (Path(FILE_NAME), _SYSTEM_FILE):
        if candidate.exists():
            return candidate
    raise ConfigurationError(
        f"no configuration: neither ${ENVIRONMENT} nor ./{FILE_NAME} nor {_SYSTEM_FILE} is there; "
        "name one with -c FILE, or make one with `fastsmtp init DIR`"
    )


def read_file(path: Path) -> dict[str, Any]:
    """Its tables. Raises ConfigurationError when it cannot be read or is not TOML."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 at octet {error.start}; a TOML file is UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        # Python 3.14 has the position as attributes; before, it stands at the end of the message.
        found = _TOML_POSITION.match(str(error))
        where, sentence = (f"{path}:{found[2]}:{found[3]}", found[1]) if found else (str(path), str(error))
        raise ConfigurationError(f"{where}: not TOML: {sentence}") from None
    if keys := list(_too_large(tables)):
        from fastsmtp.config.explain import key_path

        raise ConfigurationError([f"{path}: {key_path(key)}: {_TOO_LARGE}" for key in keys])
    return tables


def _too_large(value: object, key: tuple[int | str, ...] = ()) -> Iterator[tuple[int | str, ...]]:
    """Where there are whole numbers that TOML does not have, which `tomllib` takes: those of more than 64 bits."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _too_large(item, (*key, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _too_large(item, (*key, index))
    elif isinstance(value, int) and not -_WHOLE_MAX - 1 <= value <= _WHOLE_MAX:
        yield key
