"""The model seen from outside: tables, keys, their types, defaults and descriptions, for whoever shows them."""

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from fastsmtp.config.model import Settings
from fastsmtp.config.units import Spelling

__all__ = ["Key", "TableOutline", "outline", "toml_value"]

_TYPE_NAMES: Final[dict[Any, str]] = {bool: "true or false", dict: "table", int: "whole number", str: "text"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `default` is TOML, or None where there is no fixed one; `is_choice`: the type is a list of values."""

    name: str
    type_name: str
    default: str | None
    description: str
    is_choice: bool


@dataclass(frozen=True, slots=True)
class TableOutline:
    """One table; `name` is empty for the keys on top of the file, `repeats` says `[[name]]`."""

    name: str
    repeats: bool
    description: str
    keys: tuple[Key, ...]

    @property
    def heading(self) -> str:
        """The line that opens the table in the file."""
        return f"[[{self.name}]]" if self.repeats else f"[{self.name}]"


def toml_value(value: object) -> str:
    """A value as TOML writes it. Raises TypeError for what has no such form."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value:_}" if value >= 10_000 else str(value)
        case str():
            # A JSON string is a TOML basic string, but for DEL.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list():
            return f"[{', '.join(map(toml_value, value))}]"
        case dict():
            items = ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items())
            return f"{{ {items} }}" if items else "{}"
    raise TypeError(f"no TOML form for {value!r}")


def _table_model(annotation: Any) -> type[BaseModel] | None:
    candidates = (annotation, *get_args(annotation))
    return next((one for one in candidates if inspect.isclass(one) and issubclass(one, BaseModel)), None)


def _type_name(field: FieldInfo) -> str:
    for mark in field.metadata:
        if isinstance(mark, Spelling):
            return str(mark)
    if get_origin(field.annotation) is Literal:
        return ", ".join(f'`"{choice}"`' for choice in get_args(field.annotation))
    return _TYPE_NAMES[get_origin(field.annotation) or field.annotation]


def _key(name: str, field: FieldInfo) -> Key:
    default = None if field.default is PydanticUndefined else toml_value(field.default)
    is_choice = get_origin(field.annotation) is Literal
    return Key(name, _type_name(field), default, field.description or "", is_choice)


def _table(name: str, model: type[BaseModel], *, repeats: bool) -> TableOutline:
    keys = (_key(key, field) for key, field in model.model_fields.items() if _table_model(field.annotation) is None)
    return TableOutline(name, repeats, inspect.cleandoc(model.__doc__ or ""), tuple(keys))


def outline() -> Iterator[TableOutline]:
    """Every table in the order of the file, the keys on top first."""
    yield _table("", Settings, repeats=False)
    for name, field in Settings.model_fields.items():
        model = _table_model(field.annotation)
        if model is not None:
            yield _table(name, model, repeats=get_origin(field.annotation) is tuple)
