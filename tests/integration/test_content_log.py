"""Copies of messages that a real server has taken."""

from pathlib import Path

from integration.clients.raw import RawClient
from integration.server import running_server, wait_until


def test_what_was_taken_is_copied_and_what_was_refused_is_not(tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    plugins = f"""
[[plugin]]
use = "content_log"
options = {{ folder = "{copies}", sender_domains = ["EXAMPLE.org"] }}
[[plugin]]
use = "headers"
options = {{ required = ["Subject"] }}
"""
    with running_server(tmp_path / "site", plugins=plugins) as server, RawClient(server.connect()) as client:
        client.say(b"EHLO client.example")
        stored_as = client.deliver(b"Subject: hi\r\n\r\n..dots\r\n", sender=b"<ann@example.org>")
        client.deliver(b"Subject: elsewhere\r\n\r\n", sender=b"<ann@example.net>")
        assert client.say(b"MAIL FROM:<ann@example.org>").startswith(b"250 ")
        assert client.say(b"RCPT TO:<alice@example.test>").startswith(b"250 ")
        assert client.say(b"DATA").startswith(b"354 ")
        client.send(b"No-Subject: x\r\n.\r\n")
        assert client.reply().startswith(b"550 5.6.0 ")
        wait_until(lambda: any(copy.stat().st_size for copy in copies.glob("*/*.eml")), "the copy")
        (copy,) = copies.glob("*/*.eml")
        assert (copy.name, copy.stat().st_mode & 0o777) == (f"{stored_as}.eml", 0o600)
        wait_until(lambda: copy.read_bytes() == b"Subject: hi\n\n..dots\n", "all of it")
        assert server.troubles() == []
