"""Who the server is to the operating system."""

from fastsmtp.config.places import OptionalSitePath
from fastsmtp.config.table import Table, default

__all__ = ["ProcessSettings"]


class ProcessSettings(Table):
    """Who the server is to the operating system."""

    user: str = default(
        "",
        "The user who runs it: started by root, the server listens and then becomes this user for good. Empty: whoever "
        "starts it.",
    )
    group: str = default("", "The group. Empty: the one that `user` has in the password file.")
    pid_file: OptionalSitePath = default(
        "",
        "A file with the number of the process to signal, while the server runs. Empty: none; systemd needs none.",
    )
