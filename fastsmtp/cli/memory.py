"""How much memory a site may come to need for what strangers send and ask, all workers together."""

import os

from fastsmtp.cli.terminal import shown_size
from fastsmtp.config.model import Settings
from fastsmtp.server.processes.supervisor import worker_count

__all__ = ["memory_need"]

_BESIDE_OCTETS = 96 << 20
"""What a worker has besides, about: the interpreter, our code, caches that are counted in entries."""


def memory_need(settings: Settings, physical_octets: int | None = None) -> tuple[bool, str]:
    """Whether this machine (or one of `physical_octets`) has as much, and the calculation in a sentence."""
    workers = worker_count(settings)
    messages, dns = settings.limits.message_memory, settings.dns.cache_size if settings.plugin else 0
    need = workers * (messages + dns + _BESIDE_OCTETS)
    if physical_octets is None:
        physical_octets = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    parts = f"limits.message_memory {shown_size(messages)}"
    if dns:
        parts += f", dns.cache_size {shown_size(dns)}"
    sentence = (
        f"{shown_size(need)} at most, about: {workers} worker{'s' * (workers > 1)}, each {parts}, "
        f"and {shown_size(_BESIDE_OCTETS)}"
    )
    return need <= physical_octets, f"{sentence}; this machine has {shown_size(physical_octets)}"
