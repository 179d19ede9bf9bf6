"""The command line: `python -m bench`."""

import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bench.load.generator import Load, recipients_file
from bench.load.generator import run as run_load
from bench.load.histogram import PERCENTILES
from bench.load.messages import mix
from bench.native import BUILD
from bench.results import Result

__all__ = ["main"]

_WIDTH = 150


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure fastsmtp beside its peers and beside what the kernel alone takes."""


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _WIDTH)


def _say() -> Callable[[str], None]:
    """What is under way, on the terminal or as lines."""
    err = Console(stderr=True)
    if err.is_terminal:
        status = err.status("")
        status.start()
        return status.update
    return lambda text: err.print(text, highlight=False)


@main.command()
@click.argument("plan", type=click.Choice(["quick", "full", "durability", "chunking", "tls"]))
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=BUILD / "bench",
    help="For the mail while it runs, and for the result. On a disk, no tmpfs: a sync costs nothing there.",
)
@click.option(
    "--to",
    "results",
    type=click.Path(file_okay=False, path_type=Path),
    help="For the result and its pictures (default: where the mail is).",
)
@click.option("--only", multiple=True, metavar="PEER", help="Measure this peer only; as often as you like.")
def run(plan: str, folder: Path, results: Path | None, only: tuple[str, ...]) -> None:
    """Measure, print tables, write a result.

    quick: a few minutes, everybody under the standard load, and short curves. full: a quarter of an hour, all that the
    documentation shows. The others ask one question each.
    """
    from bench.measure import mail_folder, measure
    from bench.peers import PEERS
    from bench.scenarios import PLANS
    from bench.table import print_result

    if strangers := set(only) - PEERS.keys():
        raise click.BadParameter(f"no peer is called {', '.join(sorted(strangers))}; there are {', '.join(PEERS)}")
    folder.mkdir(parents=True, exist_ok=True)
    say, console = _say(), _console()
    with mail_folder(folder.resolve()) as (mail, warnings):
        result = measure(PLANS[plan](), mail, say, only=only)
        result.warnings += warnings
        path = (results or folder) / f"{plan}-{result.when.replace(':', '')[:17]}-{result.commit}.json"
        result.write(path)
        say("")
        print_result(console, result)
        console.print(f"written: {path}")
        if find_spec("matplotlib") is not None:
            from bench.plots import draw

            draw(result, path.with_suffix(""))
            console.print(f"pictures: {path.with_suffix('')}")
        say("deleting the mail of the run")
    if any(failure.startswith(("fastsmtp", "floor")) for failure in result.failures):
        sys.exit(1)


@main.command()
def peers() -> None:
    """Who can be measured here, and what the others need."""
    from bench.peers import PEERS

    table = Table("peer", "version", "a 250 means", "missing")
    for peer in PEERS.values():
        why = peer.missing()
        table.add_row(peer.name, "" if why else peer.version(), peer.promise, why)
    _console().print(table)


@main.command()
def fetch() -> None:
    """Download, without installing them, servers whose Debian packages exclude each other (Exim, OpenSMTPD)."""
    from bench.peers.unpacked import PACKAGES
    from bench.peers.unpacked import fetch as fetch_packages

    for name in PACKAGES:
        try:
            fetch_packages(name)
        except (OSError, CalledProcessError) as error:
            raise click.ClickException(f"{name} cannot be fetched: {error}") from error
        click.echo(f"{name}: unpacked below {BUILD / 'peers'}")


@main.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def show(path: Path) -> None:
    """The tables of a result."""
    from bench.table import print_result

    print_result(_console(), _read(path))


@main.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), help="Default: beside the result.")
def plot(path: Path, folder: Path | None) -> None:
    """Pictures of a result, PNG and SVG."""
    if find_spec("matplotlib") is None:
        raise click.ClickException("matplotlib is not installed; pip install matplotlib, or make bench")
    from bench.plots import draw

    for written in draw(_read(path), folder or path.with_suffix("")):
        click.echo(written)


@main.command()
@click.argument("before", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("after", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def compare(before: Path, after: Path) -> None:
    """Two results beside each other; refused when the machines are not alike."""
    from bench.compare import UnlikeError
    from bench.compare import compare as compare_results

    try:
        tables = compare_results(_read(before), _read(after))
    except UnlikeError as error:
        raise click.ClickException(str(error)) from error
    console = _console()
    for table in tables:
        console.print(table)


def _read(path: Path) -> Result:
    try:
        return Result.read(path)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


_MICRO = ("parser", "replies", "lookup", "chain", "dialogue")


@main.command()
@click.argument("names", nargs=-1, type=click.Choice(_MICRO))
def micro(names: tuple[str, ...]) -> None:
    """Parts of the server alone, without sockets and disks: all, or those that are named."""
    table = Table("", "", "", "")
    table.columns[1].justify = "right"
    for name in names or _MICRO:
        for figure in import_module(f"bench.micro.{name}").figures():
            table.add_row(figure.name, f"{figure.value:,.1f}", figure.unit, figure.beside)
        table.add_section()
    _console().print(table)


@main.command()
@click.argument("address")
@click.option("--size", default="4KiB", help="Of a message: 4KiB, a mix 4KiB:3,1MiB:1, or mail (default: 4KiB).")
@click.option("--recipient", multiple=True, required=True, help="In turn, as often as you like; @FILE has one a line.")
@click.option("--connections", default=20, help="At once (default: 20).")
@click.option("--seconds", default=10.0, help="How long (default: 10).")
@click.option(
    "--rate", default=0.0, help="Messages a second, whatever the server does; latency from the intended time."
)
@click.option("--poisson", is_flag=True, help="With --rate: at random moments instead of even ones.")
@click.option("--pipelining", is_flag=True, help="MAIL, RCPT and DATA in one write.")
@click.option("--chunking", is_flag=True, help="BDAT instead of DATA.")
@click.option("--lmtp", is_flag=True, help="LMTP instead of SMTP.")
@click.option(
    "--tls", type=click.Choice(["none", "starttls", "implicit"]), default="none", help="Certificates are not checked."
)
@click.option("--per-connection", default=0, help="Messages on a connection (default: no bound).")
@click.option("--recipients-each", default=1, help="Of one message (default: 1).")
@click.option("--threads", default=1, help="That drive the connections (default: 1).")
@click.option("--sources", default=0, help="Come from so many addresses, 127.0.0.1 and following.")
@click.option("--tolerate", default=0, help="Refusals and lost connections before it gives up (default: 0).")
def load(address: str, size: str, recipient: tuple[str, ...], lmtp: bool, **options: Any) -> None:
    """Send to your own server at HOST:PORT or unix:PATH, and say how it went."""
    recipients: list[str] = []
    for word in recipient:
        recipients += Path(word[1:]).read_text().split() if word.startswith("@") else [word]
    try:
        parts = mix(size)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done = run_load(address, Load(mix=parts, **options), recipients_file(folder, recipients), folder, lmtp=lmtp)
    console = _console()
    console.print(
        f"{done.messages:,} messages and {done.octets / 2**20:.1f} MiB in {done.seconds:.2f} s: {done.rate:,.0f}/s; "
        f"refused {done.refused_4xx} with 4xx and {done.refused_5xx} with 5xx, lost {done.lost}, not sent {done.unsent}"
    )
    if len(done.latencies):
        console.print(
            "latency "
            + ", ".join(f"p{percent:g} {done.latencies.percentile_ms(percent):.2f} ms" for percent in PERCENTILES)
        )
        console.print(f"the generator took {done.cpu_s / done.messages * 1e6:.1f} us of CPU a message")
    if done.refusal:
        console.print(f"first trouble: {done.refusal}", markup=False)
    sys.exit(1 if done.abandoned else 0)
