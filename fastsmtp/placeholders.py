"""Words in braces in the texts of an operator, and what is put in their place."""

import re
from collections.abc import Iterable, Mapping

__all__ = ["check_placeholders", "fill"]

_placeholder = re.compile(r"\{(\w+)\}")


def check_placeholders(text: str, known: Iterable[str]) -> None:
    """Raises ValueError, with a sentence for the operator, for a word in braces that is not `known`."""
    known = tuple(known)
    for word in _placeholder.findall(text):
        if word not in known:
            raise ValueError(f"there is no {{{word}}}; there are {', '.join(f'{{{one}}}' for one in known)}")


def fill(text: str, values: Mapping[str, str]) -> str:
    """With these values, in which braces mean nothing; other words stay as they are."""
    return _placeholder.sub(lambda found: values.get(found[1], found[0]), text)
