"""`fastsmtp test-plugin`: what it says, and its exit codes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Command = Callable[..., Result]

CONFIGURATION = """
hostname = "mx.example.org"
[listen]
smtp = ["127.0.0.1:2525"]
[[listener]]
name = "inside"
address = "127.0.0.1:2526"
protocol = "lmtp"
plugins = []
[[plugin]]
use = "block_sender"
mode = "shadow"
options = { domains = ["spam.example"] }
[[plugin]]
use = "add_header"
options = { name = "X-Seen", value = "yes" }
"""


@pytest.fixture
def plugins(site: Path) -> Path:
    site.write_text(CONFIGURATION)
    return site


@pytest.mark.usefixtures("plugins")
def test_one_plugin_is_asked_as_if_it_were_active(fastsmtp: Command) -> None:
    result = fastsmtp("test-plugin", "block_sender", "--from", "a@spam.example", "--to", "x@anywhere.example")
    assert result.exit_code == 5
    lines = result.stdout.splitlines()
    assert lines[1] == "  EHLO client.example         250 mx.example.org"
    assert lines[2] == "  MAIL FROM:<a@spam.example>  550 5.7.1 Mail from this sender is not taken here"
    assert lines[-1] == "It would be refused: 550 5.7.1 Mail from this sender is not taken here"
    assert fastsmtp("test-plugin", "block_sender", "--to", "x@anywhere.example").exit_code == 0


@pytest.mark.usefixtures("plugins")
def test_all_of_them_are_asked_as_they_are(fastsmtp: Command) -> None:
    result = fastsmtp("test-plugin", "--all", "--from", "a@spam.example", "--to", "postmaster@example.org", "--json")
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert (said["verdict"], said["added"]) == ("accept", "X-Seen: yes\n")
    first = said["plugins"][0]
    assert (first["plugin"], first["mode"], first["answer"] is None) == ("block_sender", "shadow", False)
    result = fastsmtp("test-plugin", "--all", "--to", "nobody@example.org", "--to", "postmaster@example.org")
    assert "RCPT TO:<nobody@example.org>      550 5.1.1 No such user here" in result.stdout
    assert "  would add\n  X-Seen: yes\n\nIt would be stored\n" in result.stdout
    assert fastsmtp("test-plugin", "--all", "--to", "nobody@example.org").exit_code == 5


@pytest.mark.usefixtures("plugins")
def test_with_other_options_or_of_no_configuration(fastsmtp: Command) -> None:
    options = json.dumps({"domains": ["other.example"]})
    assert fastsmtp("test-plugin", "block_sender", "--from", "a@other.example", "--options", options).exit_code == 5
    assert fastsmtp("test-plugin", "block_recipient", "--options", '{"addresses": ["a@b.example"]}').exit_code == 0


@pytest.mark.usefixtures("plugins")
def test_a_message_of_ones_own(fastsmtp: Command, tmp_path: Path) -> None:
    loop = tmp_path / "message"
    loop.write_text("Received: from a\n" * 20 + "Delivered-To: postmaster@example.org\n\n.\nHello\n")
    result = fastsmtp("test-plugin", "add_header", "--message", loop, "--json",
                      "--options", '{"name": "X-A", "value": "b"}')  # fmt: skip
    assert json.loads(result.stdout)["added"] == "X-A: b\n"
    assert fastsmtp("test-plugin", "add_header", "--message", "-", stdin=b"Subject: x\n\n").exit_code == 0


@pytest.mark.usefixtures("plugins")
def test_the_listener_decides_who_is_asked(fastsmtp: Command) -> None:
    said = json.loads(fastsmtp("test-plugin", "--all", "--listener", "inside", "--json").stdout)
    assert said["plugins"] == []
    assert said["dialogue"][1]["command"] == "LHLO client.example"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "why"),
    [
        ([], 2, "give the NAME of a plugin, or --all"),
        (["block_sender", "--all"], 2, "give the NAME of a plugin, or --all"),
        (["--all", "--options", "{}"], 2, "--options are for one plugin"),
        (["block_sender", "--options", "["], 2, "this is no JSON"),
        (["block_sender", "--options", "[]"], 2, "options are a JSON object"),
        (["block_sender", "--options", '{"domain": []}'], 1, "unknown option"),
        (["block_sender", "--ip", "here"], 2, "is no address"),
        (["block_sender", "--listener", "outside"], 2, "there are 127.0.0.1:2525, inside"),
        (["bock_sender"], 1, "did you mean 'block_sender'?"),
    ],
)
@pytest.mark.usefixtures("plugins")
def test_what_makes_no_sense(fastsmtp: Command, arguments: list[str], exit_code: int, why: str) -> None:
    result = fastsmtp("test-plugin", *arguments)
    assert result.exit_code == exit_code
    assert why in result.stderr
