"""Verbs that plugins may have."""

from driver import Driver

from fastsmtp.smtp.effects import Stage, VerbLine
from fastsmtp.smtp.replies import accept


def test_help_names_what_greets() -> None:
    said = {}
    for protocol in ("smtp", "lmtp"):
        driver = Driver(protocol=protocol)
        driver.open()
        said[protocol] = driver.say("HELP")
    assert "HELO EHLO MAIL" in said["smtp"]
    assert "LHLO MAIL" in said["lmtp"]
    assert "EHLO" not in said["lmtp"]


def test_a_plugin_answers_verbs_but_cannot_keep_anybody_from_leaving() -> None:
    driver = Driver(
        {Stage.VERB: lambda ask: accept(str(ask.subject.verb)) if isinstance(ask.subject, VerbLine) else None}
    )
    said = driver.greet().say("NOOP", "HELP", "VRFY", "XYZZY a b", "QUIT").splitlines()
    assert said == ["250 2.0.0 NOOP", "250 2.0.0 HELP", "250 2.0.0 VRFY", "250 2.0.0 XYZZY", "221 2.0.0 Bye"]
