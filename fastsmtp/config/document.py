"""Writes docs/configuration.md from the model: `python -m fastsmtp.config.document > docs/configuration.md`."""

import sys
from typing import Final

from fastsmtp.config.outline import TableOutline, outline
from fastsmtp.config.template import EXAMPLES, render_bare

__all__ = ["document"]

_INTRODUCTION: Final = """\
# Configuration

One file, `fastsmtp.toml`. `fastsmtp init DIR` writes it with every key, its default and a comment; every key may be
left out. A command looks for the file in this order: `-c FILE`, `$FASTSMTP_CONFIG`, `./fastsmtp.toml`,
`/etc/fastsmtp/fastsmtp.toml`.

Nothing is guessed. A key that does not exist, or text where a number belongs, is an error that names the file, the key,
what was wrong and what would be right, and all of them come at once:

```
$ fastsmtp check
fastsmtp.toml: limits.message_size: '25 apples' is not a size; write octets, or text like "25MiB" (units: B, KB, …)
fastsmtp.toml: plugin[1].timout: unknown key; did you mean "timeout"?
```

Items of a list count from 0. The server reads the file when it starts; `fastsmtp check` before a restart tells what it
would say, and looks at the plugins, the database and the folders too.

How values are written:

| type | form |
|---|---|
| size | octets, or text with a unit: `"64KiB"` (B, KB, MB, GB are powers of 1000; KiB, MiB, GiB of 1024) |
| duration | seconds, or text with a unit: `"250ms"`, `"90s"`, `"5m"`, `"4h"`, `"1d"` |
| path | text; a relative path is relative to the folder of the file, not to where the server was started |
| address | `"192.0.2.1:25"`, `"[2001:db8::1]:25"`, `"localhost:2525"` (for mail addresses: `"user@example.org"`) |

"""

_EXAMPLE: Final = """\
## A complete file

Everything at its default, and one plugin:

```toml
{example}```
"""


def document() -> str:
    """The page as Markdown."""
    tables = "".join(map(_section, outline()))
    example = render_bare({"hostname": "mx.example.org"}) + "\n" + EXAMPLES["plugin"]
    return _INTRODUCTION + tables + _EXAMPLE.format(example=example)


def _section(table: TableOutline) -> str:
    title = f"`{table.heading}`" if table.name else "On top of the file"
    rows = "".join(
        f"| `{key.name}` | {key.type_name} | {f'`{key.default}`' if key.default is not None else ''} "
        f"| {key.description} |\n"
        for key in table.keys
    )
    description = f"{table.description}\n\n" if table.name else ""
    return f"## {title}\n\n{description}| key | type | default | meaning |\n|---|---|---|---|\n{rows}\n"


if __name__ == "__main__":
    sys.stdout.write(document())
