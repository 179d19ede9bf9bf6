"""The Received-SPF field (RFC 7208 section 9.1)."""

from typing import Literal

from fastsmtp.smtp.field_text import plain_text, quoted
from fastsmtp.spf.check import Finding, Identity

__all__ = ["received_spf"]


def received_spf(identity: Identity, scope: Literal["mailfrom", "helo"], finding: Finding) -> str:
    """The value of the field, with a line for each fact; `scope` is which identity was checked."""
    facts = {
        "receiver": identity.receiver,
        "identity": scope,
        "client-ip": str(identity.client),
        "envelope-from": f"{identity.local}@{identity.domain}",
        "helo": identity.helo,
        "problem" if finding.result in ("permerror", "temperror") else "mechanism": finding.reason,
    }
    lines = [f"{name}={quoted(plain_text(value))}" for name, value in facts.items()]
    return f"{finding.result}\n" + ";\n".join(lines)
