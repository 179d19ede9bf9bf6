"""Programs and libraries that people send mail with, each as a function that delivers one mail to an address."""

import asyncio
import json
import os
import shutil
import smtplib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from integration.server import DEADLINE_S

Endpoint = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Mail:
    """What a client is given to send; lines of `content` end in CRLF, nothing is dot-stuffed."""

    content: bytes
    recipients: tuple[str, ...] = ("alice@example.test",)
    sender: str = "ann@example.org"


@dataclass(frozen=True, slots=True)
class Sender:
    """One client; `missing` says what to install, and is empty when it is there."""

    name: str
    deliver: Callable[[Endpoint, Mail, Path], None]
    missing: str = ""

    def __str__(self) -> str:
        return self.name


def run(*command: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> str:
    """Run a client until it ends. Raises AssertionError with what it said when it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=3 * DEADLINE_S, check=False, env=env)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, f"{command[0]}: exit code {done.returncode}: {said}"
    return said


def missing(program: str, package: str) -> str:
    """Why this client cannot be tried, or nothing."""
    return "" if find(program) else f"no {program} here: apt-get install {package}"


def require(program: str) -> str:
    """The path of a program that is there."""
    path = find(program)
    assert path, program
    return path


def find(program: str) -> str | None:
    """Where a program is; those of an administrator are in folders that a user's PATH leaves out."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def with_smtplib(server: Endpoint, mail: Mail, _: Path) -> None:
    """8BITMIME as the content asks."""
    options = [] if mail.content.isascii() else ["BODY=8BITMIME"]
    with smtplib.SMTP(*server, local_hostname="smtplib.example.org", timeout=DEADLINE_S) as client:
        refused = client.sendmail(mail.sender, mail.recipients, mail.content, options)
    assert refused == {}


def with_asyncio(server: Endpoint, mail: Mail, _: Path) -> None:
    """Everything up to DATA in one write, then the message and QUIT in one write."""
    asyncio.run(asyncio.wait_for(_pipelined(server, mail), DEADLINE_S))


async def _pipelined(server: Endpoint, mail: Mail) -> None:
    reader, writer = await asyncio.open_connection(*server)
    recipients = "".join(f"RCPT TO:<{recipient}>\r\n" for recipient in mail.recipients)
    writer.write(f"EHLO asyncio.example.org\r\nMAIL FROM:<{mail.sender}>\r\n{recipients}DATA\r\n".encode())
    replies = await reader.readuntil(b"\r\n354 ")
    assert replies.count(b"\r\n250 ") == len(mail.recipients) + 2
    writer.write(stuffed(mail.content) + b"QUIT\r\n")
    assert b"\r\n221 " in await reader.read()
    writer.close()
    await writer.wait_closed()


def with_curl(server: Endpoint, mail: Mail, folder: Path) -> None:
    recipients = [option for recipient in mail.recipients for option in ("--mail-rcpt", recipient)]
    url = f"smtp://{server[0]}:{server[1]}/curl.example.org"
    file = _write(folder, mail.content)
    run("curl", "--silent", "--show-error", url, "--mail-from", mail.sender, *recipients, "--upload-file", file)


def with_swaks(server: Endpoint, mail: Mail, folder: Path, *more: str) -> None:
    # It wants the line ends of the system, and ends the last line itself.
    content = mail.content.removesuffix(b"\r\n").replace(b"\r\n", b"\n")
    options = ["--server", f"{server[0]}:{server[1]}", "--helo", "swaks.example.org", "--from", mail.sender]
    recipients = ["--to", ",".join(mail.recipients)]
    run("swaks", *options, *recipients, "--data", f"@{_write(folder, content)}", "--suppress-data", *more)


def with_swaks_pipelining(server: Endpoint, mail: Mail, folder: Path) -> None:
    with_swaks(server, mail, folder, "--pipeline")


def with_msmtp(server: Endpoint, mail: Mail, _: Path) -> None:
    options = ["--file=/dev/null", f"--host={server[0]}", f"--port={server[1]}", "--domain=msmtp.example.org"]
    options += ["--set-date-header=off", "--set-msgid-header=off"]
    content = mail.content.replace(b"\r\n", b"\n")
    run("msmtp", *options, f"--from={mail.sender}", "--", *mail.recipients, stdin=content)


def with_nodemailer(server: Endpoint, mail: Mail, folder: Path) -> None:
    file = _write(folder, mail.content)
    job = {"host": server[0], "port": server[1], "sender": mail.sender, "recipients": mail.recipients, "file": file}
    run("node", str(Path(__file__).with_name("nodemailer.js")), stdin=json.dumps(job).encode())


def _missing_nodemailer() -> str:
    if why := missing("node", "nodejs"):
        return why
    command = ["node", "-e", "require.resolve('nodemailer')"]
    found = subprocess.run(command, capture_output=True, check=False, env=dict(os.environ)).returncode == 0
    return "" if found else "no nodemailer here: apt-get install node-nodemailer, or npm and NODE_PATH"


def stuffed(content: bytes) -> bytes:
    """The content as it goes over the wire, end marker included (RFC 5321 section 4.5.2)."""
    lines = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
    return lines + (b".\r\n" if content.endswith(b"\r\n") or not content else b"\r\n.\r\n")


def _write(folder: Path, content: bytes) -> str:
    file = folder / "message.eml"
    file.write_bytes(content)
    return str(file)


SENDERS: Final = (
    Sender("smtplib", with_smtplib),
    Sender("asyncio", with_asyncio),
    Sender("curl", with_curl, missing("curl", "curl")),
    Sender("swaks", with_swaks, missing("swaks", "swaks")),
    Sender("swaks-pipelining", with_swaks_pipelining, missing("swaks", "swaks")),
    Sender("msmtp", with_msmtp, missing("msmtp", "msmtp")),
    Sender("nodemailer", with_nodemailer, _missing_nodemailer()),
)
