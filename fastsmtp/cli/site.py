"""Makes a site: a folder with a configuration, a directory and a mail root.

What that takes is imported where it is done: `serve` imports this, too, and hardly ever has something to make.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from fastsmtp.config.file import FILE_NAME
from fastsmtp.errors import ConfigurationError, FastsmtpError, StartError

__all__ = ["DATABASE_NAME", "DEMO_DOMAIN", "DEMO_FOLDER", "LISTS_NAME", "MAIL_NAME", "create_site", "demo_site"]

DATABASE_NAME: Final = "directory.db"
MAIL_NAME: Final = "mail"
LISTS_NAME: Final = "lists"
_CERTIFICATE_NAME: Final = "tls.pem"
_KEY_NAME: Final = "tls.key"

DEMO_FOLDER: Final = Path("var")
DEMO_DOMAIN: Final = "example.test"
_DEMO_USERS: Final = ("postmaster", "alice", "bob", "carol")


def create_site(
    folder: Path,
    values: Mapping[str, object],
    *,
    domain: str | None,
    users: Sequence[str],
    dns_in_shadow: bool = False,
) -> Path:
    """Write the site and return its configuration file; `values` as for `template.render`.

    `domain` is canonical; `users` are its local parts. With `dns_in_shadow` plugins that ask the DNS refuse nobody.
    The configuration is written last: where it is, the site is complete. Raises ConfigurationError when a file is there
    already (nothing is touched then), StartError when the folder cannot be written.
    """
    from fastsmtp.config.starter import starter_plugins, write_lists
    from fastsmtp.config.template import render

    configuration, database = folder / FILE_NAME, folder / DATABASE_NAME
    existing = [path for path in (configuration, database) if path.exists()]
    if existing:
        raise ConfigurationError([f"{path} is there already; nothing was changed" for path in existing])
    if domain is not None and "postmaster" in users:
        # Who writes to <postmaster>, without a domain, shall reach somebody (RFC 5321 section 4.5.1).
        values = {"directory.postmaster": f"postmaster@{domain}", **values}
    text = render(values, starter_plugins(dns_in_shadow=dns_in_shadow))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MAIL_NAME).mkdir(mode=0o700, exist_ok=True)
        write_lists(folder / LISTS_NAME)
        _fill(database, domain, users)
        with configuration.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StartError(f"cannot write {error.filename or folder}: {error.strerror}") from error
    return configuration


def demo_site(folder: Path) -> Path:
    """The configuration of the demo site in this folder, which is made when it is not there."""
    configuration = folder / FILE_NAME
    if configuration.exists():
        return configuration
    from fastsmtp.config.tls import CertificateFiles
    from fastsmtp.server.tls.selfsigned import make_self_signed

    values: dict[str, object] = {"hostname": f"mx.{DEMO_DOMAIN}", "listen.smtp": ["127.0.0.1:2525"]}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        make_self_signed(CertificateFiles(folder / _CERTIFICATE_NAME, folder / _KEY_NAME), f"mx.{DEMO_DOMAIN}")
    except FileExistsError:
        pass  # of a site that was not finished
    except OSError as error:
        raise StartError(f"cannot write {error.filename or folder}: {error.strerror}") from error
    values["tls.certificates"] = [{"certificate": _CERTIFICATE_NAME, "key": _KEY_NAME}]
    return create_site(folder, values, domain=DEMO_DOMAIN, users=_DEMO_USERS, dns_in_shadow=True)


def _fill(database: Path, domain: str | None, users: Sequence[str]) -> None:
    from fastsmtp.directory.admin import SqliteAdmin

    try:
        with SqliteAdmin(database, create=True) as admin:
            if domain is not None:
                admin.add_domain(domain)
                for user in users:
                    admin.add_user(f"{user}@{domain}")
    except FastsmtpError:
        database.unlink(missing_ok=True)
        raise
