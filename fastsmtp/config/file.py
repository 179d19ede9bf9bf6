"""Which file is the configuration, and what stands in it, before anybody has looked whether it makes sense."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from fastsmtp.errors import ConfigurationError

__all__ = ["ENVIRONMENT", "FILE_NAME", "find_file", "read_file"]

ENVIRONMENT: Final = "FASTSMTP_CONFIG"
FILE_NAME: Final = "fastsmtp.toml"
_SYSTEM_FILE: Final = Path("/etc/fastsmtp") / FILE_NAME

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
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 at octet {error.start}; a TOML file is UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        # Python 3.14 has the position as attributes; before, it stands at the end of the message.
        found = _TOML_POSITION.match(str(error))
        where, sentence = (f"{path}:{found[2]}:{found[3]}", found[1]) if found else (str(path), str(error))
        raise ConfigurationError(f"{where}: not TOML: {sentence}") from None
