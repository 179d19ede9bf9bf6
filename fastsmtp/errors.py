"""What can go wrong, as a tree:

FastsmtpError
├── ConfigurationError   the operator can mend it: file, key, what was wrong, what would be right
│   └── PluginLoadError  a `[[plugin]]` entry that does not give a plugin
├── StartError           a correct configuration met a machine that refuses (port taken, no permission)
├── DirectoryError       the directory could not answer; the client hears 451, never 550
│   └── DirectoryAwayError  it has been away for some time, and the log knows
├── StateError           what plugins remember is out of reach; a plugin then has no opinion
├── DnsError             the DNS did not answer; nothing is known of the name, so that nobody is refused for it
├── RecordsError         the records of transactions cannot be read, or have nothing of that name
├── PasswordsBusyError   too many passwords are being checked already; the client hears 454
└── UnknownSchemeError   a password hash with which nothing can be compared
"""

from collections.abc import Sequence

__all__ = [
    "ConfigurationError",
    "DirectoryAwayError",
    "DirectoryError",
    "DnsError",
    "FastsmtpError",
    "PasswordsBusyError",
    "PluginLoadError",
    "RecordsError",
    "StartError",
    "StateError",
    "UnknownSchemeError",
]


class FastsmtpError(Exception):
    """The root: anything that fastsmtp raises on purpose."""


class ConfigurationError(FastsmtpError):
    """The configuration is wrong; `problems` has one sentence for each fault, all of them at once."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class PluginLoadError(ConfigurationError):
    """A plugin that the configuration names is not there, is not a plugin, or refuses its options."""


class StartError(FastsmtpError):
    """The server could not start although its configuration is fine (exit code 3)."""


class DirectoryError(FastsmtpError):
    """The directory is in trouble (database away, locked, broken): nobody knows whether the user exists."""


class DirectoryAwayError(DirectoryError):
    """The database is away, and this address is not remembered. The log has said so once."""


class StateError(FastsmtpError):
    """What plugins remember cannot be read: the database of `[state]` is away, locked or broken."""


class DnsError(FastsmtpError):
    """The DNS did not answer: in time, at all, or nothing that makes sense. The text is for the record."""


class RecordsError(FastsmtpError):
    """The records cannot be read, or what is looked for is not in them; the text is for the operator."""


class PasswordsBusyError(FastsmtpError):
    """Too many passwords are being checked already."""


class UnknownSchemeError(FastsmtpError):
    """A password hash with which nothing can be compared; the text does not show it."""
