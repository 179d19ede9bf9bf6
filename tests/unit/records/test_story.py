"""A record, put together for people and programs."""

from typing import Any

from records import record

from fastsmtp.records.story import tell


def finding(plugin: str, evidence: str, outcome: str = "fail") -> dict[str, Any]:
    return {"plugin": plugin, "outcome": outcome, "evidence": evidence}


def test_recipients_with_what_they_heard() -> None:
    refused = [{"recipient": "x@a.test", "reply": "550 5.1.1 No such user here"}]
    story = tell(
        record(recipients=["ann@a.test", "bob@a.test"], replies=["250 2.1.5 Recipient OK", "250 mine"], refused=refused)
    )
    assert story["recipients"] == [
        {"address": "ann@a.test", "accepted": True, "reply": "250 2.1.5 Recipient OK"},
        {"address": "bob@a.test", "accepted": True, "reply": "250 mine"},
        {"address": "x@a.test", "accepted": False, "reply": "550 5.1.1 No such user here"},
    ]


def test_findings_are_with_the_answer_that_they_led_to() -> None:
    story = tell(
        record(
            connection_answers=[
                [["gate", "connect", False], None, 1_500_000, 1],
                [["late", "hello", False], None, 1, 1],
            ],
            answers=[
                [["judge", "mail", True], "550 no", 2000, 1],
                [["judge", "rcpt", True], None, 10, 2],
                [["other", "message", False], "naughty 550 bad", 10, 3],
            ],
            connection_results=1,
            results=[
                finding("gate", "listed", "pass"),
                finding("judge", "first"),
                finding("judge", "shadow mail: 550 no", "skip"),
                finding("other", "third"),
                finding("else", "found when nobody asked"),
            ],
        )
    )
    told = [(one["plugin"], one["stage"], one["mode"], one["answer"], one["took_ms"]) for one in story["plugins"]]
    assert told == [
        ("gate", "connect", "active", None, 1.5),
        ("late", "hello", "active", None, 0.0),
        ("judge", "mail", "shadow", "550 no", 0.002),
        ("judge", "rcpt", "shadow", None, 0.0),
        ("other", "message", "active", "naughty 550 bad", 0.0),
    ]
    evidence = [[one["evidence"] for one in each["findings"]] for each in story["plugins"]]
    assert evidence == [["listed"], [], ["first"], [], ["third"]]
    assert story["findings"] == [finding("else", "found when nobody asked")]


def test_a_connection_has_no_recipients() -> None:
    connection = {"event": "connection", "id": "C", "refused_commands": [["DATA", "503 5.5.1 Need MAIL first"]]}
    assert tell(connection) == {
        "kind": "connection",
        "id": "C",
        "recipients": [],
        "refused_commands": [{"command": "DATA", "reply": "503 5.5.1 Need MAIL first"}],
        "plugins": [],
        "findings": [],
    }


def test_what_was_cut_is_left_out() -> None:
    cut: dict[str, Any] = {
        "recipients": ["a@b.c", "and 7 more"],
        "refused": ["and 8 more"],
        "answers": ["and 9 more"],
        "results": ["and 1 more"],
    }
    story = tell(record(shortened=True, **cut))
    assert [one["address"] for one in story["recipients"]] == ["a@b.c", "and 7 more"]
    assert story["plugins"] == story["findings"] == []
