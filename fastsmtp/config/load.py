"""Find, read and check fastsmtp.toml: every fault at once, each with its key."""

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fastsmtp.config.coherence import contradictions
from fastsmtp.config.explain import explain, key_path
from fastsmtp.config.model import Settings
from fastsmtp.errors import ConfigurationError

__all__ = ["ENVIRONMENT", "FILE_NAME", "Examination", "examine", "find_file", "load"]

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


def load(path: Path) -> Settings:
    """The settings in this file; relative paths in it are relative to its folder.

    Raises ConfigurationError with every problem, each as `FILE: KEY: what was wrong; what would be right`.
    """
    examination = examine(path)
    if examination.problems:
        raise ConfigurationError(examination.problems)
    return examination.settings


@dataclass(frozen=True, slots=True)
class Examination:
    """What is wrong with a file, and its settings as if the faulty tables and plugin keys were not there."""

    settings: Settings
    problems: tuple[str, ...]
    faulty_tables: frozenset[str]


def examine(path: Path) -> Examination:
    """Look at the whole file, so that a check can go on behind a fault.

    Raises ConfigurationError when it cannot be read or is not TOML: then there is nothing to go on with.
    """
    data = _parse(path, _read(path))
    context = {"base": path.absolute().parent}
    faults: list[ErrorDetails] = []
    try:
        settings = Settings.model_validate(data, context=context)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        settings = Settings.model_validate(_without(data, faults), context=context)
    found = list(contradictions(settings, {str(fault["loc"][0]) for fault in faults}))
    problems = [explain(fault) for fault in faults] + [f"{key_path(key)}: {sentence}" for key, sentence in found]
    locations = [*(fault["loc"] for fault in faults), *(key for key, _ in found)]
    return Examination(
        settings,
        tuple(f"{path}: {problem}" for problem in problems),
        frozenset(str(location[0]) for location in locations),
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 at octet {error.start}; a TOML file is UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Python 3.14 has the position as attributes; before, it stands at the end of the message.
        found = _TOML_POSITION.match(str(error))
        where, sentence = (f"{path}:{found[2]}:{found[3]}", found[1]) if found else (str(path), str(error))
        raise ConfigurationError(f"{where}: not TOML: {sentence}") from None
    if problems := [f"{path}: {key_path(key)}: {_TOO_LARGE}" for key in _too_large(data)]:
        raise ConfigurationError(problems)
    return data


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


def _without(data: dict[str, Any], faults: list[ErrorDetails]) -> dict[str, Any]:
    """The data without the tables that have faults; plugins lose single keys only, so that they keep their numbers."""
    locations = [fault["loc"] for fault in faults]
    tables = {location[0] for location in locations if location[0] != "plugin" or len(location) == 1}
    sound = {key: value for key, value in data.items() if key not in tables}
    if "plugin" in sound:
        sound["plugin"] = list(_sound_plugins(sound["plugin"], locations))
    return sound


def _sound_plugins(entries: list[Any], locations: list[tuple[int | str, ...]]) -> Iterator[dict[str, Any]]:
    """The entries without their faulty keys, up to the first one that does not say what to use."""
    for index, entry in enumerate(entries):
        faulty = {location[2:3] for location in locations if location[:2] == ("plugin", index)}
        if () in faulty or ("use",) in faulty:
            return
        yield {key: value for key, value in entry.items() if (key,) not in faulty}
