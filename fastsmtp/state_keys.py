"""Keys under which plugins share what they remember: made of words that strangers choose, and never mistaken."""

__all__ = ["state_key"]


def state_key(*parts: str) -> str:
    """The parts as one key: distinct parts, in number or order too, make distinct keys. There is at least one.

    Blanks stand between parts only: one within a part is `\\20`, and a backslash `\\5c` (a local part may have both,
    RFC 5321 section 4.1.2). So a key can be put together out of keys, with a blank, and be split again.
    """
    return " ".join([part.replace("\\", "\\5c").replace(" ", "\\20") for part in parts])
