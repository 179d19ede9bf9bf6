"""What pydantic found, as sentences for the operator: the key, what was wrong, what would be right."""

from collections.abc import Mapping
from difflib import get_close_matches
from reprlib import Repr
from typing import Any, Final

from pydantic_core import ErrorDetails

from fastsmtp.config.model import Settings
from fastsmtp.config.outline import outline

__all__ = ["explain", "key_path"]

_WANTED: Final = {
    "bool_type": "write true or false",
    "dict_type": "write a table",
    "int_type": "write a whole number",
    "model_type": "write a table",
    "string_type": 'write text in quotes, like "this"',
    "tuple_type": "write a list, like [ … ]",
}
_TYPE_NAMES: Final = {bool: "a truth value", int: "a number", float: "a number", str: "text", list: "a list"}

_short = Repr()
_short.maxstring = _short.maxother = 60


def key_path(location: tuple[int | str, ...]) -> str:
    """`("plugin", 2, "timeout")` as `plugin[2].timeout`; items count from 0."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return path.removeprefix(".")


def explain(error: ErrorDetails) -> str:
    """One sentence: `KEY: what was wrong; what would be right`."""
    return f"{key_path(error['loc'])}: {_sentence(error)}"


def _sentence(error: ErrorDetails) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    shown = str(value).lower() if isinstance(value, bool) else _short.repr(value)
    if kind in _WANTED:
        return f"{shown} is {_TYPE_NAMES.get(type(value), 'something else')}; {_WANTED[kind]}"
    match kind:
        case "extra_forbidden":
            return _unknown_key(error["loc"])
        case "missing":
            return "is missing"
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return f"{shown} is not one of the choices; write {_choice(value, context)}"
        case "greater_than":
            return f"{shown} is too small; write more than {context['gt']:g}"
        case "greater_than_equal":
            return f"{shown} is too small; write {context['ge']} or more"
        case "less_than_equal":
            return f"{shown} is too much; write {context['le']:g} or less"
        case "too_short" | "string_too_short":
            return f"{shown} is empty; write at least one"
    return f"{shown} is wrong: {error['msg']}"


def _choice(value: object, context: Mapping[str, Any]) -> str:
    expected: str = context["expected"].replace("'", '"')
    choices = [part.strip('"') for part in expected.replace(" or ", ", ").split(", ")]
    close = get_close_matches(str(value), choices, n=1)
    return f'{expected} (did you mean "{close[0]}"?)' if close else expected


def _unknown_key(location: tuple[int | str, ...]) -> str:
    *parents, key = map(str, location)
    home = parents[0] if parents else ""
    keys = {table.name: [item.name for item in table.keys] for table in outline()}
    known = keys[home] if home else list(Settings.model_fields)
    if close := get_close_matches(key, known, n=1):
        return f'unknown key; did you mean "{close[0]}"?'
    elsewhere = [table.heading for table in outline() if table.name and key in keys[table.name]]
    if elsewhere:
        return f"unknown key here; it belongs into {elsewhere[0]}"
    hint = "; what is the plugin's own goes into options" if home == "plugin" else ""
    return f"unknown key; the keys here are {', '.join(known)}{hint}"
