"""A story on the terminal: what it is, who was there, what everybody said."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from fastsmtp.cli.terminal import console, printable, shown_size

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["print_dialogue", "print_fields", "print_plugins", "print_story", "print_verdict"]

_STYLES: Final = {
    "stored": "bold green",
    "refused": "bold red",
    "deferred": "bold yellow",
    "lost": "bold yellow",
    "reset": "bold",
    "left": "bold",
    "pass": "green",
    "fail": "red",
    "skip": "dim",
    "error": "yellow",
}
_LABEL_WIDTH: Final = 14


def print_story(story: Mapping[str, Any]) -> None:
    """All of it."""
    out = console()
    _print_head(out, story)
    for label, value in _facts(story):
        _print_fact(out, label, value)
    width = max((len(printable(one["address"])) for one in story["recipients"]), default=0) + len("<>  ")
    for number, one in enumerate(story["recipients"]):
        address = printable(f"<{one['address']}>").ljust(width)
        _print_fact(out, "" if number else "recipients", address, _styled(one["reply"]))
    if story.get("reply"):
        _print_fact(out, "reply", _styled(story["reply"]))
    for number, one in enumerate(story["refused_commands"]):
        _print_fact(out, "" if number else "also refused", f"{one['command']}  ", _styled(one["reply"]))
    print_plugins(story["plugins"], story["findings"])


def print_plugins(plugins: list[dict[str, Any]], findings: list[dict[str, Any]]) -> None:
    """Stage by stage, what each plugin said, how long it took, and what it found out."""
    from rich.text import Text

    out = console()
    width = max((len(one["plugin"]) for one in plugins), default=0)
    stage = ""
    if plugins:
        out.print()
    for one in plugins:
        line = Text("  ")
        line.append((one["stage"] if one["stage"] != stage else "").ljust(_LABEL_WIDTH), "cyan")
        line.append(one["plugin"].ljust(width + 2))
        line.append(f"{one['took_ms']:9.3f} ms  ", "dim")
        stage = one["stage"]
        if one["mode"] == "shadow":
            line.append("shadow ", "magenta")
        line.append(_styled(one["answer"]) if one["answer"] else Text("no opinion", "dim"))
        out.print(line)
        for finding in one["findings"]:
            _print_finding(out, finding, " " * (_LABEL_WIDTH + width + len("    00000.000 ms  ")))
    for number, finding in enumerate(findings):
        if not number:
            out.print(Text("\n  findings", "cyan"))
        _print_finding(out, finding, f"  {finding['plugin']}: ")


def _print_head(out: "Console", story: Mapping[str, Any]) -> None:
    from rich.text import Text

    outcome = story.get("outcome", "")
    line = Text(printable(f"{story['kind'].capitalize()} {story['id']}"), "bold")
    line.append("  ")
    line.append(printable(outcome), _STYLES.get(outcome, ""))
    out.print(line)


def _facts(story: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What there is to say in a line each; nothing of what is empty."""
    took = f", took {story['duration_ms']:g} ms" if "duration_ms" in story else ""
    yield "ended", f"{story['time'].replace('T', ' ').removesuffix('Z')} UTC{took}"
    if story.get("connection") not in (None, story["id"]):
        yield "connection", story["connection"]
    name = f" ({story['remote_name']})" if story.get("remote_name") else ""
    proxy = f", by the proxy {story['proxy']}" if story.get("proxy") else ""
    yield "client", f"{story.get('remote') or 'a Unix socket'}{name}{proxy}, at {story.get('listener', '')}"
    if story.get("helo"):
        yield "hello", story["helo"]
    if tls := story.get("tls"):
        yield "tls", f"{tls['version']} {tls['cipher']}"
    if story.get("user"):
        yield "user", story["user"]
    if "sender" in story:
        yield "sender", f"<{story['sender']}>"
    if story.get("size"):
        yield "size", shown_size(story["size"])
    if story.get("shortened"):
        yield "shortened", "it was too long to be kept as it was"


def _print_fact(out: "Console", label: str, *values: "str | Text") -> None:
    from rich.text import Text

    line = Text("  ")
    line.append(label.ljust(_LABEL_WIDTH), "cyan")
    for value in values:
        line.append(printable(value) if isinstance(value, str) else value)
    out.print(line)


def _print_finding(out: "Console", finding: Mapping[str, Any], margin: str) -> None:
    from rich.text import Text

    line = Text(margin)
    line.append(finding["outcome"], _STYLES.get(finding["outcome"], ""))
    line.append(f"  {printable(finding['evidence'])}")
    if finding.get("authentication"):
        line.append(f"  ({printable(finding['authentication'])})", "dim")
    out.print(line)


def _styled(answer: str) -> "Text":
    """A reply in the colour of its class."""
    from rich.text import Text

    word = answer.removeprefix("naughty ")
    style = {"2": "green", "4": "yellow", "5": "red"}.get(word[:1], "yellow" if answer.startswith("fault") else "")
    return Text(printable(answer), style)


def print_dialogue(said: list[tuple[str, str]]) -> None:
    """Commands, and what was heard."""
    from rich.text import Text

    out = console()
    width = max(len(printable(command)) for command, _ in said)
    for command, reply in said:
        line = Text(f"  {printable(command).ljust(width + 2)}")
        out.print(line.append(_styled(reply)))


def print_fields(added: str) -> None:
    """Header fields that would be added."""
    from rich.text import Text

    out = console()
    for number, field in enumerate(added.splitlines()):
        if not number:
            out.print(Text("\n  would add", "cyan"))
        out.print(Text(f"  {printable(field.expandtabs())}"))


def print_verdict(code: int, reply: str) -> None:
    """How it ended."""
    from rich.text import Text

    outcome = "stored" if code < 400 else "deferred" if code < 500 else "refused"
    line = Text("\nIt would be ", "bold")
    line.append(outcome, _STYLES[outcome])
    out = console()
    out.print(line.append(": ").append(_styled(reply)) if code >= 400 else line)
