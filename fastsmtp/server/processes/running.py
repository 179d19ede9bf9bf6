"""Where a server listens, for whoever wants to know: the terminal, the log, tests."""

from dataclasses import dataclass
from typing import Any

from fastsmtp import __version__
from fastsmtp.config.places import Door, ListenAddress

__all__ = ["RunningListener", "RunningServer"]


@dataclass(frozen=True, slots=True)
class RunningListener:
    """Where a listener has come to listen."""

    name: str
    address: Door
    protocol: str = "smtp"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where a server listens, and the process of each worker."""

    listeners: list[RunningListener]
    metrics_address: tuple[str, int] | None
    worker_pids: list[int]

    @property
    def smtp_addresses(self) -> list[tuple[str, int]]:
        """Host and port of those on TCP."""
        addresses = (listener.address for listener in self.listeners)
        return [(address.host, address.port) for address in addresses if isinstance(address, ListenAddress)]

    def as_log(self) -> dict[str, Any]:
        """The same, for a log line."""
        return {
            "version": __version__,
            "smtp": self.smtp_addresses,
            "listeners": [
                {"name": one.name, "address": str(one.address), "protocol": one.protocol} for one in self.listeners
            ],
            "metrics": self.metrics_address,
            "workers": self.worker_pids,
        }
