"""XCLIENT: a client that we trust speaks for another one, and the session begins anew, as if that one had come.

The command is Postfix's, XCLIENT_README of its sources. Who may give it is the listener's to say; for everybody else it
does not exist.
"""

from dataclasses import replace
from functools import partial
from typing import Final

from fastsmtp.smtp import replies
from fastsmtp.smtp.claims import Claim, parse_xclient
from fastsmtp.smtp.commands import CommandError
from fastsmtp.smtp.dialogue import Dialogue
from fastsmtp.smtp.door import ask_at_door, greet
from fastsmtp.smtp.effects import Answer, ClientChanged
from fastsmtp.smtp.envelope import introduce
from fastsmtp.smtp.record import Notes
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.transaction import Connection
from fastsmtp.smtp.transitions import State

__all__ = ["xclient"]

_CONNECTED: Final = State.CONNECTED


def xclient(dialogue: Dialogue, argument: bytes) -> None:
    """XCLIENT: from here on another client is there. What stays is TLS, and how many bad commands there were."""
    if dialogue.transaction is not None:
        dialogue.error(replies.NESTED_MAIL)
        return
    try:
        claim = parse_xclient(argument)
    except CommandError as error:
        dialogue.error(error.reply)
        return
    previous = dialogue.connection
    dialogue.connection = _claimed(previous, claim)
    dialogue.count_anew()
    dialogue.state = _CONNECTED
    dialogue.ask(ClientChanged(previous), partial(_changed, claim))


def _claimed(previous: Connection, claim: Claim) -> Connection:
    """The client that is spoken for; what is not said of its address and ours is as it was said before."""
    client = replace(
        previous,
        hello=None,
        user=claim.login or "",
        naughty=None,
        naughty_by="",
        naughty_observed=False,
        early_talker=False,
        pipelined_too_much=False,
        is_known=False,
        is_trusted=False,
        notes=Notes(),
        results=[],
        refused_commands=None,
        answers=None,
    )
    if claim.address is not None:
        client.proxy_address = previous.proxy_address or previous.remote_address
        client.remote_address, client.remote_port, client.remote_name = claim.address, 0, ""
    if claim.port is not None:
        client.remote_port = claim.port
    if claim.name is not None:
        client.remote_name = claim.name
    if claim.local_address is not None:
        client.local_address = claim.local_address
    if claim.local_port is not None:
        client.local_port = claim.local_port
    return client


def _changed(claim: Claim, dialogue: Dialogue, answer: Answer) -> None:
    if isinstance(answer, Reply):
        dialogue.reply(answer)
    else:
        ask_at_door(dialogue, partial(_let_in, claim))


def _let_in(claim: Claim, dialogue: Dialogue) -> None:
    if not claim.hello:
        greet(dialogue)
        return
    verb = "LHLO" if dialogue.options.protocol == "lmtp" else "EHLO" if claim.protocol == "ESMTP" else "HELO"
    # What the client said to whoever speaks for it counts as said to us.
    introduce(dialogue, verb, claim.hello, lambda dialogue, _: greet(dialogue))
