"""`fastsmtp explain`: the story of a transaction, and which there were."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from fastsmtp.cli.terminal import config_option, json_option, print_json, print_table, say

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from fastsmtp.config.model import Settings
    from fastsmtp.records.search import Query, Record, RecordReader

__all__ = ["explain"]

_OUTCOMES: Final = ("stored", "deferred", "refused", "reset", "lost", "left")


class _Moment(click.ParamType["float"]):
    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds since the epoch, out of `2h` (ago) or ISO 8601 (UTC where it does not say)."""
        from fastsmtp.config.units import parse_duration

        if isinstance(value, float):
            return value
        text = str(value)
        if re.fullmatch(r"[0-9]+ ?[a-z]+", text):
            try:
                return time.time() - parse_duration(text)
            except ValueError as error:
                self.fail(str(error), param, ctx)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f'{text!r} is no time; write "2h" for two hours ago, or "2026-11-25T08:30"', param, ctx)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class _Network(click.ParamType["IPv4Network | IPv6Network"]):
    name = "network"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> "IPv4Network | IPv6Network":
        from ipaddress import ip_network

        try:
            return ip_network(str(value), strict=False)
        except ValueError:
            self.fail(f'{value!r} is no address and no network; write "192.0.2.1" or "192.0.2.0/24"', param, ctx)


@click.command(short_help="What became of a message or a client, and why.")
@click.argument("id", required=False)
@click.option("--sender", metavar="ADDRESS", help="Transactions of this sender: an address, a domain, `*` in it; '<>'.")
@click.option("--recipient", metavar="ADDRESS", help="Of this recipient, accepted or refused.")
@click.option(
    "--address", type=_Network(), metavar="NETWORK", help="Of clients with this address, or from this network."
)
@click.option("--outcome", type=click.Choice(_OUTCOMES), help="With this end.")
@click.option("--plugin", metavar="NAME", help="About which this plugin had something to say.")
@click.option("--since", type=_Moment(), metavar="TIME", help='Not before: "2h" (ago), "2026-11-25T08:30" (UTC).')
@click.option("--until", type=_Moment(), metavar="TIME", help="Not after.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The latest so many.")
@json_option
@config_option
def explain(
    id: str | None,  # noqa: A002 - what the help page calls it
    *,
    sender: str | None,
    recipient: str | None,
    address: "IPv4Network | IPv6Network | None",
    outcome: str | None,
    plugin: str | None,
    since: float | None,
    until: float | None,
    limit: int,
    as_json: bool,
    config: Path | None,
) -> None:
    """Tell the story of ID, which stands at the end of every refusal, behind `stored as`, and in the log.

    That of a connection comes with its transactions. Without ID: a list of those that fit, the latest first.
    """
    from fastsmtp.config.file import find_file
    from fastsmtp.config.load import load
    from fastsmtp.records.search import Query, RecordReader, read_id

    wanted = None if id is None else read_id(id)
    settings = load(find_file(config))
    query = Query(None if sender is None else sender.strip("<>"), recipient, address, outcome, plugin, since, until)
    if wanted is not None and query != Query():
        raise click.UsageError("an ID stands by itself; leave out the options that search")
    with RecordReader(settings.records_file) as reader:
        if wanted is None:
            _list(reader, query, limit, as_json=as_json)
        else:
            _tell(reader, wanted, settings, as_json=as_json)


def _tell(reader: "RecordReader", id_: str, settings: "Settings", *, as_json: bool) -> None:
    from fastsmtp.cli.story import print_story
    from fastsmtp.errors import RecordsError
    from fastsmtp.records.story import tell

    stories = [tell(record) for record in reader.find(id_)]
    if not stories:
        raise RecordsError(_why_not_found(reader, id_, settings))
    if as_json:
        print_json(stories)
        return
    for number, story in enumerate(stories):
        if number:
            say("")
        print_story(story)


def _why_not_found(reader: "RecordReader", id_: str, settings: "Settings") -> str:
    from fastsmtp.log.encoding import iso_time
    from fastsmtp.records.search import time_of

    when, oldest, now = time_of(id_), reader.oldest_s(), time.time()
    text = f"there is no record of {id_}"
    if not settings.records.enabled:
        return f"{text}: [records] enabled is false"
    if when > now + 60:
        return f"{text}: it would be of {iso_time(when)}, which is still to come"
    if oldest is None:
        return f"{text}: there are none at all yet"
    if when < oldest - 60:
        return (
            f"{text}: it is of {iso_time(when)}, and what is kept begins at {iso_time(oldest)} "
            "([records] keep and size)"
        )
    if now - when < 60:
        return f"{text} yet: it is written when the transaction is over, and a second later"
    return (
        f"{text}, which is of {iso_time(when)}: of another server, of a connection that is still open, of one that "
        "nobody refused anything, of a client who did not get in together with very many others, or lost "
        "(fastsmtp_records_total)"
    )


def _list(reader: "RecordReader", query: "Query", limit: int, *, as_json: bool) -> None:
    from itertools import islice

    from fastsmtp.records.story import tell

    found = list(islice(reader.search(query), limit + 1))
    shown = found[:limit]
    if as_json:
        print_json([tell(record) for record in shown])
        return
    columns = ("time", "id", "outcome", "client", "sender", "recipients", "reply")
    print_table(columns, map(_row, shown), empty="Nothing of that kind is recorded.")
    if len(found) > limit:
        say(f"The latest {limit}; --limit shows more.", err=True)


def _row(record: "Record") -> tuple[str, ...]:
    recipients = [*record.get("recipients", ()), *(one["recipient"] for one in _dicts(record.get("refused", ())))]
    first = recipients[0] if recipients else "-"
    others = f" and {len(recipients) - 1} more" if len(recipients) > 1 else ""
    return (
        record["time"].replace("T", " ").removesuffix("Z"),
        record["id"],
        record.get("outcome", ""),
        record.get("remote") or "(socket)",
        f"<{record['sender']}>" if "sender" in record else "-",
        f"{first}{others}",
        _last_word(record),
    )


def _last_word(record: "Record") -> str:
    """The reply that decided it."""
    if record.get("reply"):
        return str(record["reply"])
    refusals = [one["reply"] for one in _dicts(record.get("refused", ()))]
    refusals += [one[1] for one in record.get("refused_commands", ()) if isinstance(one, list)]
    return str(refusals[-1]) if refusals else ""


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [one for one in values if isinstance(one, dict)]
