"""Who may begin another message."""

from driver import Driver

from fastsmtp.smtp import replies
from fastsmtp.smtp.load import Load
from fastsmtp.stats import Stats


def counted(stats: Stats, family: str) -> dict[str, int]:
    found = next(one for one in stats.families() if one.name == family)
    return {values[0]: stats.cells[index] for values, index in found.children.items()}


def test_above_the_limit_no_transaction_begins() -> None:
    stats = Stats()
    load = Load(stats, limit=1_000)
    load.octets = 1_000
    assert load.refusal() is None
    load.octets = 1_001
    assert load.refusal() is replies.MEMORY_FULL
    assert counted(stats, "fastsmtp_limits_total") == {"message_memory": 1}
    assert counted(stats, "fastsmtp_shed_total") == {"transaction": 0}


def test_a_deferral_is_what_somebody_else_says() -> None:
    stats = Stats()
    load = Load(stats)
    load.deferral = replies.OVERLOADED
    assert load.refusal() is replies.OVERLOADED
    assert counted(stats, "fastsmtp_shed_total") == {"transaction": 1}


def test_who_begins_is_deferred_and_may_try_again() -> None:
    load = Load(Stats())
    driver = Driver(load=load).greet()
    load.deferral = replies.OVERLOADED
    assert driver.say("MAIL FROM:<>", "NOOP") == f"{replies.OVERLOADED}\r\n250 2.0.0 OK"
    assert driver.say("RCPT TO:<alice@example.test>").startswith("503 ")
    load.deferral = None
    driver.envelope()
    load.deferral = replies.OVERLOADED
    assert driver.say("DATA") == str(replies.OVERLOADED)
    assert driver.happened[-1] == "deferred"
