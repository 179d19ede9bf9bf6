"""Becoming a user for good: in a process of its own, since there is no way back."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fastsmtp.config.process import ProcessSettings
from fastsmtp.errors import ConfigurationError, StartError
from fastsmtp.server.processes.privileges import check_installation, check_ours, identity

NOBODY = "nobody"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

SCRIPT = """
import os, sys
from pathlib import Path
from fastsmtp.config.process import ProcessSettings
from fastsmtp.errors import StartError
from fastsmtp.server.processes.privileges import Identity, identity
folder = Path(sys.argv[1])
who = identity(ProcessSettings(user="nobody"))
"""


def in_a_process(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", SCRIPT + script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that everybody can get to."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def test_nobody_in_particular() -> None:
    assert identity(ProcessSettings()) is None


def test_who_is_not_there_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigurationError, match=r"process\.user: there is no user 'nobody-of-that-name'"):
        identity(ProcessSettings(user="nobody-of-that-name"))
    with pytest.raises(ConfigurationError, match=r"process\.group: there is no group 'nobody-of-that-name'"):
        identity(ProcessSettings(user=NOBODY, group="nobody-of-that-name"))


def test_ourselves() -> None:
    assert identity(ProcessSettings(user=pwd.getpwuid(os.geteuid()).pw_name)) is None


@needs_root
def test_by_name_and_number() -> None:
    entry = pwd.getpwnam(NOBODY)
    found = identity(ProcessSettings(user=NOBODY))
    assert found is not None
    assert (found.user, found.uid, found.gid) == (NOBODY, entry.pw_uid, entry.pw_gid)
    assert entry.pw_gid in found.groups
    in_daemon = identity(ProcessSettings(user=NOBODY, group="daemon"))
    assert in_daemon is not None
    assert in_daemon.gid in in_daemon.groups
    assert in_daemon.gid != entry.pw_gid


@needs_root
def test_for_good(open_folder: Path) -> None:
    output = in_a_process(
        """
who.assume()
(folder / "made").touch()
print(open("/proc/self/status").read())
for change in (os.setuid, os.seteuid, os.setgid, os.setegid):
    try:
        change(0)
    except PermissionError:
        continue
    print("BACK")
try:
    Path("/root/x").touch()
except PermissionError:
    print("not root")
""",
        open_folder,
    )
    entry = pwd.getpwnam(NOBODY)
    lines = output.splitlines()
    assert "\t".join(["Uid:", *[str(entry.pw_uid)] * 4]) in lines
    assert "\t".join(["Gid:", *[str(entry.pw_gid)] * 4]) in lines
    for capabilities in ("CapPrm", "CapEff", "CapAmb"):
        assert f"{capabilities}:\t{0:016x}" in lines
    assert "NoNewPrivs:\t1" in lines
    assert "not root" in lines
    assert "BACK" not in lines
    assert (open_folder / "made").stat().st_uid == entry.pw_uid


@needs_root
def test_for_a_moment(open_folder: Path) -> None:
    output = in_a_process(
        """
with who.assumed():
    (folder / "theirs").touch()
    try:
        Path("/etc/fastsmtp-test").touch()
    except PermissionError:
        print("forbidden")
(folder / "ours").touch()
print(os.getuid(), os.geteuid(), os.getegid())
""",
        open_folder,
    )
    assert output == "forbidden\n0 0 0\n"
    assert (open_folder / "theirs").stat().st_uid == pwd.getpwnam(NOBODY).pw_uid
    assert (open_folder / "ours").stat().st_uid == 0


@needs_root
def test_a_user_who_could_be_root_again_is_refused() -> None:
    output = in_a_process(
        "try:\n    Identity('toor', 0, 0, (0,)).assume()\nexcept StartError as error:\n    print(error)\n", "/"
    )
    assert output == "became the user toor (process.user), and could be root again: that is not safe\n"


@needs_root
def test_without_root_there_is_no_becoming() -> None:
    output = in_a_process(
        """
who.assume()
print(identity(ProcessSettings(user="nobody")))
for change in (lambda: identity(ProcessSettings(user="daemon")), Identity("daemon", 1, 1, (1,)).assume):
    try:
        change()
    except StartError as error:
        print(error)
""",
        "/",
    )
    assert output == (
        "None\n"
        "process.user is daemon, and only root can become another user; "
        "start as root, as daemon, or leave process.user out\n"
        "cannot become the user daemon (process.user): Operation not permitted\n"
    )


@needs_root
def test_whose_folder_it_is(open_folder: Path) -> None:
    (open_folder / "theirs").mkdir(mode=0o700)
    check_ours(open_folder / "theirs", "maildir.root")
    check_ours(open_folder / "nowhere", "maildir.root")
    output = in_a_process(
        """
from fastsmtp.server.processes.privileges import check_ours
who.assume()
check_ours(folder / "nowhere", "maildir.root")
try:
    check_ours(folder / "theirs", "maildir.root")
except StartError as error:
    print(error)
""",
        open_folder,
    )
    folder = open_folder / "theirs"
    assert output == (
        f"{folder} (maildir.root) belongs to root, and nobody cannot write there; "
        f"`chown -R nobody {folder}` gives it to nobody\n"
    )


def test_who_cannot_read_python_cannot_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_installation()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(StartError, match=r"process\.user: .* cannot read .*/python; install Python and fastsmtp where"):
        check_installation()


def test_a_folder_of_our_own(tmp_path: Path) -> None:
    check_ours(tmp_path, "maildir.root")
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"file is not a folder; change maildir\.root"):
        check_ours(tmp_path / "file", "maildir.root")
