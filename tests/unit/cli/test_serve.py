import json
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

from fastsmtp.cli.site import demo_site

Command = Callable[..., Result]
DEADLINE_S = 30


def use_free_ports(configuration: Path) -> None:
    text = re.sub(r"(?m)^smtp = .*", 'smtp = ["127.0.0.1:0"]', configuration.read_text())
    configuration.write_text(text.replace('"127.0.0.1:9125"', '"127.0.0.1:0"'))


@contextmanager
def serving(*arguments: object, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server in a process of its own, and what it says on standard error once it is ready."""
    command = [sys.executable, "-m", "fastsmtp", "serve", *map(str, arguments)]
    with (
        (folder / "stderr").open("w+") as stderr,
        (folder / "stdout").open("w") as stdout,
        subprocess.Popen(command, cwd=folder, stdout=stdout, stderr=stderr, text=True) as process,
    ):
        try:
            last = r"^Ctrl-C stops" if "--dev" in arguments else r"^  mail .*\n"
            yield process, wait_for(last, process, folder / "stderr")
        finally:
            process.kill()


def wait_for(line: str, process: subprocess.Popen[str], file: Path) -> str:
    for _ in range(DEADLINE_S * 20):
        text = file.read_text()
        if re.search(line, text, re.MULTILINE):
            return text
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(f"the server did not get ready: {file.read_text()}")


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def address_of(what: str, said: str) -> tuple[str, int]:
    found = re.search(rf"^  {what} +(?:http://)?([0-9.]+):([0-9]+)", said, re.MULTILINE)
    assert found is not None
    return found[1], int(found[2])


def test_the_demo_site_takes_a_message_and_stops_when_told(tmp_path: Path) -> None:
    use_free_ports(demo_site(tmp_path / "var"))

    with serving("--dev", folder=tmp_path) as (process, said):
        host, port = address_of("SMTP", said)
        with smtplib.SMTP(host, port, timeout=DEADLINE_S) as client:
            client.sendmail("you@example.org", ["alice@example.test"], "Subject: hello\r\n\r\nHello.\r\n")
        host, port = address_of("metrics", said)
        with urllib.request.urlopen(f"http://{host}:{port}/healthz", timeout=DEADLINE_S) as response:
            assert response.read() == b"ok\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0

    (message,) = (tmp_path / "var/mail/example.test/alice/new").iterdir()
    assert message.read_text().endswith("Subject: hello\n\nHello.\n")
    (transaction,) = (
        line
        for line in map(json.loads, (tmp_path / "stdout").read_text().splitlines())
        if line["event"] == "transaction"
    )
    assert (transaction["outcome"], transaction["recipients"]) == ("stored", ["alice@example.test"])
    for hint in ("python3 -c", "| curl", "swaks --server", "  var/mail/example.test/alice/new/\n"):
        assert hint in said


@pytest.mark.parametrize("tool", ["python3", "curl"])
def test_the_hints_work_as_printed(tool: str, tmp_path: Path) -> None:
    use_free_ports(demo_site(tmp_path / "var"))

    with serving("--dev", folder=tmp_path) as (process, said):
        (hint,) = (line for line in said.splitlines() if f"{tool} -" in line)
        subprocess.run(hint, shell=True, check=True, timeout=DEADLINE_S)  # noqa: S602 - it is meant for a shell
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0

    (message,) = (tmp_path / "var/mail/example.test/alice/new").iterdir()
    assert message.read_text().endswith("Subject: hello\n\nHello, it works.\n")


def test_a_site_of_ones_own(site: Path) -> None:
    use_free_ports(site)

    with serving("-c", site, folder=site.parent) as (process, said):
        assert address_of("SMTP", said)[1] > 0
        assert "swaks" not in said
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0


def test_a_port_that_is_taken(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        site.write_text(f'[listen]\nsmtp = ["127.0.0.1:{port}"]\n[metrics]\nlisten = false\n')
        result = subprocess.run(
            [sys.executable, "-m", "fastsmtp", "serve"], capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )

    assert result.returncode == 3
    assert result.stderr.startswith("error: ")
    assert str(port) in result.stderr


def test_a_configuration_that_is_wrong(fastsmtp: Command, site: Path) -> None:
    site.write_text("surprise = 1\n")

    assert fastsmtp("serve").exit_code == 1


def test_dev_has_its_own_configuration(fastsmtp: Command, site: Path) -> None:
    result = fastsmtp("serve", "--dev", "-c", site)

    assert result.exit_code == 2
    assert "--dev has its own configuration" in result.stderr


@pytest.mark.parametrize("streams", ["2>&-", ">&- 2>&-", "| true", "2>&1 | true"])
def test_a_server_outlives_those_who_read_what_it_says(tmp_path: Path, streams: str) -> None:
    configuration = demo_site(tmp_path / "var")
    use_free_ports(configuration)
    text = configuration.read_text().replace('destination = "stdout"', 'destination = "log"')
    configuration.write_text(text.replace('pid_file = ""', 'pid_file = "pid"'))
    command = '{ "$0" -m fastsmtp serve -c var/fastsmtp.toml; echo $? >code; }'
    code, log = tmp_path / "code", tmp_path / "var/log"

    with subprocess.Popen(["sh", "-c", f"{command} {streams}", sys.executable], cwd=tmp_path):
        wait_until(lambda: log.exists() and '"message":"started"' in log.read_text())
        os.kill(int((tmp_path / "var/pid").read_text()), signal.SIGTERM)
        wait_until(lambda: code.exists() and code.read_text() != "")
    assert code.read_text() == "0\n"
