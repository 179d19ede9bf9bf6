"""What commands share to talk to the operator: the -c option, consoles, tables, JSON, sizes, progress."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = [
    "config_option",
    "console",
    "json_option",
    "print_json",
    "print_table",
    "printable",
    "progress_bar",
    "say",
    "say_styled",
    "shown_size",
    "warn",
]

Function = TypeVar("Function", bound=Callable[..., Any])


def config_option(function: Function) -> Function:
    """`-c FILE`."""
    option = click.option(
        "-c",
        "--config",
        "config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The configuration; else $FASTSMTP_CONFIG, ./fastsmtp.toml, /etc/fastsmtp/fastsmtp.toml.",
    )
    return option(function)


def json_option(function: Function) -> Function:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(function)


def printable(text: str) -> str:
    """The text with an escape (`\\x9b`) for each character that is none to look at, line breaks among them.

    What strangers wrote shall neither steer a terminal (C0, C1), nor hide or turn round what stands beside it.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii") for char in text
    )


def say(sentence: str, *, err: bool = False) -> None:
    """A line on standard output, or on standard error, whoever wrote parts of it."""
    click.echo(printable(sentence), err=err)


def console(*, stderr: bool = False) -> "Console":
    """A rich console that takes text as it is; plain where there is no terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def say_styled(lines: Iterable["Text"]) -> None:
    """On standard error. Whoever read there may be gone: rich would end the program for that, and a server goes on."""
    out = console(stderr=True)
    with out.capture() as said:
        for line in lines:
            out.print(line)
    with suppress(OSError):
        sys.stderr.write(said.get())
        sys.stderr.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """A table on standard output, or the sentence `empty` where there are no rows.

    Where there is no terminal, a row is one line that is never folded, and there is no heading: `grep` reads it.
    """
    lines = [[printable(cell) for cell in row] for row in rows]
    if not lines:
        say(empty)
    elif sys.stdout.isatty():
        _print_rich_table(columns, lines)
    else:
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_rich_table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    styles = {"ok": "green", "yes": "green", "no": "yellow", "warning": "yellow", "shadow": "yellow"}
    table = Table(*columns, box=box.SIMPLE_HEAD, header_style="bold cyan", pad_edge=False)
    for line in lines:
        table.add_row(*(Text(cell, styles.get(cell, ""), overflow="fold") for cell in line))
    console().print(table, soft_wrap=False)


def print_json(value: object) -> None:
    """JSON on standard output, indented; escaped is what JSON lets stand and no terminal should see."""
    import orjson

    lines = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode().split("\n")
    click.echo("\n".join(line if line.isprintable() else _escaped(line) for line in lines))


def _escaped(line: str) -> str:
    """Such characters stand in strings only."""
    return "".join(char if char.isprintable() else _json_escape(char) for char in line)


def _json_escape(char: str) -> str:
    """Two of them beyond 16 bits (RFC 8259 section 7)."""
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def warn(sentence: str) -> None:
    """A line on standard error about what was done all the same."""
    click.echo(click.style("warning: ", fg="yellow", bold=True) + printable(sentence), err=True)


def shown_size(octets: int | None) -> str:
    """A size for people, `1.5 GiB`; `none` for a limit that is not there."""
    if octets is None:
        return "none"
    size, units = float(octets), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1023.95 and len(units) > 1:  # where one digit behind the point would round up to 1024
        size /= 1024
        del units[0]
    return f"{size:.1f}".removesuffix(".0") + f" {units[0]}"


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error that goes away; what it gives is told how much is done, and how much there is.

    Nothing where there is no terminal.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    out = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
