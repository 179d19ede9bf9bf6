"""Plays SASL exchanges."""

from typing import Any

from fastsmtp.smtp.sasl import Exchange

__all__ = ["played"]


def played(exchange: Exchange, *answers: Any) -> list[Any]:
    """What an exchange gives to these answers: challenges, questions, and at its end the credentials."""
    given: list[Any] = []
    try:
        for answer in (None, *answers):
            given += [exchange.send(answer)]
    except StopIteration as end:
        given.append(end.value)
    return given
