"""What is right in each table and plugin by itself, and yet can hardly be meant so."""

from collections.abc import Iterator, Sequence

from fastsmtp.config.model import Settings
from fastsmtp.pipeline.loader import LoadedPlugin
from fastsmtp.plugin import Place

__all__ = ["advice"]


def advice(settings: Settings, loaded: Sequence[LoadedPlugin]) -> Iterator[tuple[str, str]]:
    """Keys of the configuration, each with what is wrong and what would be right."""
    timeout_s, budget_s = settings.dns.timeout, settings.dns.budget
    if timeout_s > budget_s and any(one.plugin.asks_dns for one in loaded):
        yield (
            "dns.timeout",
            f"is {timeout_s:g} s, and dns.budget ends every wait after {budget_s:g} s; write that, or less",
        )
    for index, one in enumerate(loaded):
        if one.plugin.asks_dns and one.timeout_s <= budget_s:
            wrong = f"is {one.timeout_s:g} s, and dns.budget {budget_s:g} s: a slow DNS is a fault of {one.name}, a 451"
            yield f"plugin[{index}].timeout", f"{wrong}; write {budget_s + 2:g}, or a smaller budget"
        if not str(getattr(one.plugin.options, "reason", "")).isascii():
            yield f"plugin[{index}].options.reason", "goes out with ? for all that is not ASCII (RFC 5321 section 4.2)"
        for option, sentence in one.plugin.warnings(_place(settings, loaded, index)):
            yield f"plugin[{index}].options.{option}", sentence


def _place(settings: Settings, loaded: Sequence[LoadedPlugin], index: int) -> Place:
    uses = [(one.name, one.use) for one in loaded]
    return Place(
        timeout_s=loaded[index].timeout_s,
        before=dict(uses[:index]),
        behind=dict(uses[index + 1 :]),
        recipients=settings.limits.recipients,
        has_logins=settings.has_auth,
    )
