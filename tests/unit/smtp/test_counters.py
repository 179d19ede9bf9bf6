"""Replies are counted by verb and class, and nobody can make new labels."""

from driver import MESSAGE, Driver

from fastsmtp.smtp import replies
from fastsmtp.smtp.counters import ReplyCounter
from fastsmtp.smtp.effects import Stage
from fastsmtp.smtp.transitions import TRANSITIONS
from fastsmtp.stats import Family, Stats


def family(stats: Stats) -> Family:
    return next(family for family in stats.families() if family.name == "fastsmtp_replies_total")


def test_every_verb_and_class_exists_from_the_start() -> None:
    stats = Stats()
    ReplyCounter(stats)
    assert family(stats).labels == ("verb", "class")
    verbs = {verb for verb, _ in family(stats).children}
    assert verbs >= {verb.decode() for row in TRANSITIONS.values() for verb in row}
    assert {class_ for _, class_ in family(stats).children} == {"2xx", "3xx", "4xx", "5xx"}
    assert not any(stats.cells)


def test_each_reply_is_counted_once_in_its_place() -> None:
    stats = Stats()
    counter = ReplyCounter(stats)
    for (verb, class_), cell in family(stats).children.items():
        for code in (0, 99):
            before = list(stats.cells)
            counter.count(verb.encode(), int(class_[0]) * 100 + code)
            before[cell] += 1
            assert list(stats.cells) == before


def test_a_verb_that_nobody_knows_is_unknown() -> None:
    stats = Stats()
    ReplyCounter(stats).count(b"XYZZY", 500)
    assert stats.cells[family(stats).children["unknown", "5xx"]] == 1
    assert sum(stats.cells) == 1


def test_what_a_session_counts() -> None:
    driver = Driver({Stage.HEADERS: replies.reject("5.7.1", "no")})
    driver.data().say(MESSAGE, "XYZZY", "GET / HTTP/1.1")
    counted = [
        ("connect", "2xx"),
        ("EHLO", "2xx"),
        ("MAIL", "2xx"),
        ("RCPT", "2xx"),
        ("DATA", "3xx"),
        ("message", "5xx"),
        ("unknown", "5xx"),
        ("GET", "4xx"),
    ]
    assert [driver.count(*where) for where in counted] == [1] * len(counted)
    assert sum(driver.stats.cells) == len(counted)


def test_the_moments_that_are_no_verbs() -> None:
    driver = Driver().greet()
    driver.feed(b"NO\nOP\r\n")
    driver.session.time_out()
    assert (driver.count("bad_line", "5xx"), driver.count("timeout", "4xx")) == (1, 1)
    driver = Driver()
    driver.session.turn_away(replies.SHUTTING_DOWN)
    assert driver.count("shutdown", "4xx") == 1
