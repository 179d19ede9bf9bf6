"""Check fastsmtp.toml: every fault at once, each with its key."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fastsmtp.config.coherence import contradictions
from fastsmtp.config.explain import explain, key_path
from fastsmtp.config.file import read_file
from fastsmtp.config.model import Settings
from fastsmtp.errors import ConfigurationError

__all__ = ["Examination", "examine", "load"]


def load(path: Path, document: Mapping[str, Any] | None = None) -> Settings:
    """The settings in this file, or in `document`, which was read from it; relative paths are relative to its folder.

    Raises ConfigurationError with every problem, each as `FILE: KEY: what was wrong; what would be right`.
    """
    examination = examine(path, document)
    if examination.problems:
        raise ConfigurationError(examination.problems)
    return examination.settings


@dataclass(frozen=True, slots=True)
class Examination:
    """What is wrong with a file, and its settings as if the faulty tables and plugin keys were not there."""

    settings: Settings
    problems: tuple[str, ...]
    faulty_tables: frozenset[str]


def examine(path: Path, document: Mapping[str, Any] | None = None) -> Examination:
    """Look at the whole file, or `document`, so that a check can go on behind a fault.

    Raises ConfigurationError when it cannot be read or is not TOML: then there is nothing to go on with.
    """
    data = read_file(path) if document is None else document
    context = {"base": path.absolute().parent}
    faults: list[ErrorDetails] = []
    try:
        settings = Settings.model_validate(data, context=context)
    except ValidationError as error:
        # A list is too short only because what stands in it is wrong, which is said already.
        faults = [
            fault for fault in error.errors(include_url=False) if fault["type"] != "too_short" or not fault["input"]
        ]
        settings = Settings.model_validate(_without(data, faults), context=context)
    found = list(contradictions(settings, {str(fault["loc"][0]) for fault in faults}))
    problems = [explain(fault) for fault in faults] + [f"{key_path(key)}: {sentence}" for key, sentence in found]
    locations = [*(fault["loc"] for fault in faults), *(key for key, _ in found)]
    return Examination(
        settings,
        tuple(f"{path}: {problem}" for problem in problems),
        frozenset(str(location[0]) for location in locations),
    )


def _without(data: Mapping[str, Any], faults: list[ErrorDetails]) -> dict[str, Any]:
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
