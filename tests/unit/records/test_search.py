"""Records are found by their id, and by what they are like."""

import os
import sqlite3
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import NOW, identifier, record, write

from fastsmtp.errors import RecordsError
from fastsmtp.records.file import RecordFile
from fastsmtp.records.search import Query, RecordReader, read_id, time_of
from fastsmtp.server.identifiers import Identifiers

ID = "01K11KQ4AAHY00P3G6"


@pytest.mark.parametrize("text", [ID, ID.lower(), f"({ID})", f" {ID}\n", ID.replace("0", "O"), ID.replace("1", "l")])
def test_ids_as_people_copy_them(text: str) -> None:
    assert read_id(text) == ID


@pytest.mark.parametrize("text", ["", "01K11", f"{ID}0", "hello", f"U{ID[1:]}", "ann@example.org"])
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(RecordsError, match="is not an id"):
        read_id(text)


@given(st.floats(1, 2**32))
def test_an_id_knows_its_time(now_s: float) -> None:
    assert time_of(next(Identifiers(lambda: now_s))) == pytest.approx(now_s, abs=2e-6)
    assert time_of(identifier(now_s)) == pytest.approx(now_s, abs=2e-6)


def found(path: Path, **wanted: Any) -> list[str]:
    """The senders of what is found."""
    with RecordReader(path) as reader:
        return [one["sender"] for one in reader.search(Query(**wanted))]


def test_one_by_its_id_and_those_of_a_connection_in_order(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    connection = identifier(NOW - 5, "00CCCC")
    left = {"time": "2026-01-01T00:00:00.000Z", "event": "connection", "id": connection, "connection": connection}
    first, second = record(NOW, connection=connection), record(NOW + 1, connection=connection)
    write(path, second, record(NOW + 2), now_s=NOW + 1)
    write(path, first, left, now_s=NOW + 3)
    with RecordReader(path) as reader:
        assert reader.find(first["id"]) == [first]
        assert reader.find(connection) == [left, first, second]
        assert reader.find(identifier(NOW + 7)) == []
        assert reader.oldest_s() == NOW + 1


def test_an_id_that_only_stands_somewhere_else_is_not_found(tmp_path: Path) -> None:
    write(tmp_path / "records.db", record(NOW, helo=ID.lower(), reply=f"550 5.7.1 see {ID}"))
    with RecordReader(tmp_path / "records.db") as reader:
        assert reader.find(ID) == []


@pytest.mark.parametrize(
    ("pattern", "senders"),
    [
        ("ann@a.example", ["ann@a.example"]),
        ("ANN@A.example", ["ann@a.example"]),
        ("@a.example", ["bob@a.example", "ann@a.example"]),
        ("a.example", ["bob@a.example", "ann@a.example"]),
        ("*@*.example", ["bob@a.example", "ann@a.example", "ann@sub.a.example"]),
        ("a*", ["ann@a.example", "ann@sub.a.example"]),
        ("", [""]),
        ("nobody@a.example", []),
        ("jürgen@bücher.test", ["jürgen@bücher.test"]),
        ("'; DROP TABLE batch; --", []),
    ],
)
def test_by_sender(tmp_path: Path, pattern: str, senders: list[str]) -> None:
    path = tmp_path / "records.db"
    everybody = ["ann@sub.a.example", "ann@a.example", "bob@a.example", "", "jürgen@bücher.test"]
    write(path, *(record(NOW + number, sender=sender) for number, sender in enumerate(everybody)))
    assert found(path, sender=pattern) == senders


def test_by_recipient_whatever_they_heard(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    refused = [{"recipient": "bob@b.test", "reply": "550 5.1.1 No such user here"}]
    write(path, record(NOW, sender="1", refused=refused), record(NOW + 1, sender="2", recipients=["bob@b.test", "x@y"]))
    assert found(path, recipient="bob@b.test") == ["2", "1"]
    assert found(path, recipient="y") == ["2"]
    assert found(path, recipient="carol@b.test") == []


def test_by_address_outcome_and_time(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    write(path, record(NOW, sender="1", remote="192.0.2.7", outcome="refused"), now_s=NOW + 1)
    write(
        path,
        record(NOW + 60, sender="2", remote="2001:db8::7"),
        record(NOW + 61, sender="3", remote=""),
        now_s=NOW + 62,
    )
    assert found(path) == ["3", "2", "1"]
    assert found(path, network=ip_network("192.0.2.7")) == ["1"]
    assert found(path, network=ip_network("192.0.2.0/24")) == ["1"]
    assert found(path, network=ip_network("2001:db8::/32")) == ["2"]
    assert found(path, outcome="refused") == ["1"]
    assert found(path, since_s=NOW + 30) == ["3", "2"]
    assert found(path, until_s=NOW + 60) == ["2", "1"]
    assert found(path, since_s=NOW + 30, until_s=NOW + 60) == ["2"]


def test_by_plugin_which_had_something_to_say(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    write(
        path,
        record(NOW, sender="1", answers=[[["judge", "mail", False], None, 5, 0]]),
        record(NOW + 1, sender="2", answers=[[["judge", "mail", False], "550 5.7.1 no", 5, 0]]),
        record(NOW + 2, sender="3", connection_answers=[[["judge", "connect", True], "naughty 550 no", 5, 0]]),
        record(NOW + 3, sender="4", results=[{"plugin": "judge", "outcome": "pass", "evidence": "known"}]),
    )
    assert found(path, plugin="judge") == ["4", "3", "2"]
    assert found(path, plugin="jury") == []


def test_what_was_cut_because_it_was_too_long_is_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    cut: dict[str, Any] = {
        "recipients": ["a@b.c", "and 7 more"],
        "refused": ["and 8 more"],
        "answers": ["and 9 more"],
        "results": ["and 1 more"],
    }
    write(path, record(NOW, sender="1", shortened=True, **cut))
    assert found(path, recipient="a@b.c") == ["1"]
    assert found(path, recipient="x@b.c") == found(path, plugin="judge") == []


def test_while_somebody_writes(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    with RecordFile(path, 1e9, 1 << 24) as file:
        file.append([b'{"id":"A"}'], NOW)
        with RecordReader(path) as reader:
            file.append([b'{"id":"B"}'], NOW)
            database = sqlite3.connect(path, isolation_level=None)
            database.execute("BEGIN IMMEDIATE")
            assert [one["id"] for one in reader.search(Query())] == ["B", "A"]
            database.close()


def test_where_nobody_may_write() -> None:
    """As another user of the group: not even the folder, where SQLite wants its other files."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "records.db"
        write(path, record(NOW, sender="1"))
        Path(folder).chmod(0o550)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setuid(65534)
                status = 0 if found(path) == ["1"] else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        Path(folder).chmod(0o700)


def test_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match="no server has written any yet"):
        RecordReader(tmp_path / "records.db")


def test_it_is_no_such_file(tmp_path: Path) -> None:
    (tmp_path / "records.db").write_bytes(b"something else\n" * 500)
    with pytest.raises(RecordsError, match=r"cannot read .*records\.db: file is not a database"):
        RecordReader(tmp_path / "records.db")
