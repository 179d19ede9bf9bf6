"""What authors import."""

import logging

import pytest

from fastsmtp import plugin
from fastsmtp.plugin import Authentication, Connection, NoOptions, Plugin, Stage, Transaction, naughty
from fastsmtp.smtp.record import Result


def connection() -> Connection:
    return Connection("C1", "192.0.2.1", 1, "192.0.2.25", 25)


def test_every_name_that_is_promised_is_there() -> None:
    assert [name for name in plugin.__all__ if not hasattr(plugin, name)] == []


def test_every_stage_has_its_hook_and_no_hook_has_an_opinion() -> None:
    hooks = {name for name in vars(Plugin) if name.startswith("on_")}
    assert hooks == {stage.value for stage in Stage}
    for stage in Stage:
        assert getattr(Plugin, stage.value).__doc__, stage


def test_a_plugin_has_options_a_name_and_a_log() -> None:
    made = Plugin(NoOptions(), "mine")
    assert (made.options, made.name, made.log) == (NoOptions(), "mine", logging.getLogger("fastsmtp.plugin.mine"))


def test_notes_of_its_own() -> None:
    one, other, client = Plugin(NoOptions(), "one"), Plugin(NoOptions(), "other"), connection()
    assert one.kept(client, str) is None
    one.keep(client, "kept")
    assert (one.kept(client, str), one.kept(client, int), other.kept(client, str)) == ("kept", None, None)
    one.keep(client, "another")
    assert one.kept(client, str) == "another"


def test_findings_go_where_they_belong() -> None:
    made = Plugin(NoOptions(), "mine")
    client = connection()
    transaction = Transaction("T1", client)
    made.record(client, "pass", "known")
    made.record(transaction, "fail", "ugly")
    found = Authentication("iprev", "pass", (("policy", "iprev", "192.0.2.1"),))
    made.record(transaction, "pass", "known", found)
    assert client.results == [Result("mine", "pass", "known")]
    assert transaction.results == [Result("mine", "fail", "ugly"), Result("mine", "pass", "known", found)]


def test_naughty_is_a_refusal_that_waits() -> None:
    assert str(naughty("bad neighbourhood").reply) == "550 5.7.1 bad neighbourhood"
    assert not naughty("bad neighbourhood").is_observed
    assert naughty("bad manners", is_observed=True).is_observed
    assert str(naughty("slow down", enhanced="4.7.0", code=450).reply) == "450 4.7.0 slow down"
    with pytest.raises(ValueError, match="does not go with"):
        naughty("x", enhanced="4.7.0")
