"""The mechanisms of SASL by their names."""

from collections.abc import Iterable

from fastsmtp.smtp.sasl import Mechanism, MechanismName, login, plain

__all__ = ["mechanisms"]


def mechanisms(names: Iterable[MechanismName]) -> dict[str, Mechanism]:
    """These mechanisms by name, in this order."""
    known: dict[str, Mechanism] = {"PLAIN": plain, "LOGIN": login}
    wanted = tuple(names)
    if "SCRAM-SHA-256" in wanted:  # whoever does not offer it does not load its library
        from fastsmtp.smtp.scram import scram

        known["SCRAM-SHA-256"] = scram
    return {name: known[name] for name in wanted}
