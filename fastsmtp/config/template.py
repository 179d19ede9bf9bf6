"""The file that `fastsmtp init` writes: every key with its default and what it means."""

from collections.abc import Mapping
from textwrap import wrap
from typing import Final

from fastsmtp.config.outline import Key, TableOutline, outline, toml_value

__all__ = ["EXAMPLES", "render", "render_bare"]

EXAMPLES: Final[Mapping[str, str]] = {
    "listener": """\
[[listener]]
name = "lmtp"
address = "unix:run/lmtp.sock"
protocol = "lmtp"
""",
    "plugin": """\
[[plugin]]
use = "block_sender"
options = { domains = ["spam.example"] }
""",
}
"""What stands in the file, as a comment, for a table that may be there many times."""

_COLUMNS: Final = 98
_HEAD: Final = """\
# fastsmtp. Relative paths are relative to the folder of this file. After a change: fastsmtp check
# A size is octets, or text like "25MiB"; a duration is seconds, or text like "5m".
"""


def render(values: Mapping[str, object], plugins: str = "") -> str:
    """The whole file with comments; `values` replaces defaults, by key path: `{"maildir.root": "/srv/mail"}`.

    `plugins` is TOML for the end of the file, in place of an example as a comment. Raises KeyError for a path that is
    no key.
    """
    toml = _overrides(values)
    blocks = [_HEAD]
    for table in outline():
        if plugins and table.name == "plugin":
            continue
        if table.repeats:
            example = EXAMPLES[table.name].splitlines()
            blocks.append(_comment(table.description) + "".join(f"# {line}\n" for line in example))
            continue
        keys = "\n".join(_comment(_meaning(key)) + _line(table, key, toml) for key in table.keys)
        blocks.append(f"{_comment(table.description)}{table.heading}\n{keys}" if table.name else keys)
    return "\n".join([*blocks, *filter(None, [plugins])])


def render_bare(values: Mapping[str, object]) -> str:
    """The same settings without a comment and without tables that repeat."""
    toml = _overrides(values)
    tables = [table for table in outline() if not table.repeats]
    return "\n".join(
        (f"{table.heading}\n" if table.name else "") + "".join(_line(table, key, toml) for key in table.keys)
        for table in tables
    )


def _overrides(values: Mapping[str, object]) -> dict[str, str]:
    known = {_path(table, key) for table in outline() for key in table.keys}
    if unknown := values.keys() - known:
        raise KeyError(f"no such keys: {', '.join(sorted(unknown))}")
    return {path: toml_value(value) for path, value in values.items()}


def _path(table: TableOutline, key: Key) -> str:
    return f"{table.name}.{key.name}".lstrip(".")


def _line(table: TableOutline, key: Key, values: Mapping[str, str]) -> str:
    value = values.get(_path(table, key), key.default)
    return f"# {key.name} =\n" if value is None else f"{key.name} = {value}\n"


def _meaning(key: Key) -> str:
    return f"One of {key.type_name}. {key.description}" if key.is_choice else key.description


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in wrap(text.replace("`", ""), _COLUMNS))
