import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from fastsmtp.config.starter import starter_plugins

Command = Callable[..., Result]


def test_a_new_site_is_in_order(fastsmtp: Command, site: Path) -> None:
    result = fastsmtp("check")

    assert (result.exit_code, result.stderr) == (0, "")
    assert [line for line in result.stdout.splitlines() if not line.startswith(("dns ", "memory "))] == [
        f"configuration  ok  {site}",
        f"plugins        ok  {', '.join(plugin['use'] for plugin in tomllib.loads(starter_plugins())['plugin'])}",
        f"directory      ok  sqlite:{site.parent / 'directory.db'}, active domains: 1",
        f"mail root      ok  {site.parent / 'mail'}",
        f"journal        ok  {site.parent / 'journal'} will be made",
        f"state          ok  sqlite:{site.parent / 'state.db'} will be made",
        f"records        ok  {site.parent / 'records.db'}",
    ]


def test_every_error_at_once(fastsmtp: Command, site: Path) -> None:
    (site.parent / "directory.db").unlink()
    (site.parent / "mail").rmdir()
    (site.parent / "mail").touch()
    site.write_text("""
        surprise = 1
        [limits]
        recipients = "many"
        [[plugin]]
        use = "no_such_plugin"
        timeout = "soon"
    """)

    result = fastsmtp("check")

    assert result.exit_code == 1
    errors = result.stderr.splitlines()
    assert len(errors) == 6
    assert errors[0].startswith(f"error: {site}: limits.recipients: 'many' is text; write a whole number")
    assert errors[1].startswith(f"error: {site}: plugin[0].timeout: 'soon' is not a duration")
    assert errors[2].startswith(f"error: {site}: surprise: unknown key")
    assert errors[3].startswith(f"error: {site}: plugin[0]: no plugin is called 'no_such_plugin'")
    assert str(site.parent / "directory.db") in errors[4]
    assert errors[5] == f"error: {site.parent / 'mail'} is not a folder; change [maildir] root"


def test_tables_that_are_wrong_are_not_judged_by_their_defaults(fastsmtp: Command, site: Path) -> None:
    (site.parent / "directory.db").unlink()
    site.write_text('[directory]\nurl = "nowhere"\n[maildir]\nroot = 1\n[log]\ndestination = "no/such/folder/mx.log"\n')

    result = fastsmtp("check")

    assert result.exit_code == 1
    plugins, memory = result.stdout.splitlines()
    assert plugins == "plugins  ok  none"
    assert memory.startswith("memory   ok  ")
    assert [error.split(": ")[2] for error in result.stderr.splitlines()[:2]] == ["directory.url", "maildir.root"]
    assert result.stderr.splitlines()[2:] == [
        f"error: {site.parent / 'no/such/folder/mx.log'} cannot be written by this user; change [log] destination"
    ]


def test_a_domain_without_postmaster_is_a_warning(fastsmtp: Command, site: Path) -> None:
    fastsmtp("domain", "add", "example.net")
    site.write_text("")  # `init` has named a postmaster for all domains
    result = fastsmtp("check")

    assert result.exit_code == 0
    assert "directory      warning  example.net has no postmaster (RFC 5321 section 4.5.1)" in result.stdout

    site.write_text('[directory]\npostmaster = "postmaster@example.org"\n')
    assert "warning" not in fastsmtp("check").stdout


def test_no_domain_is_a_warning(fastsmtp: Command, site: Path) -> None:
    fastsmtp("domain", "remove", "--force", "example.org")
    result = fastsmtp("check", "-c", site)

    assert result.exit_code == 0
    assert "has no active domain, nobody can receive mail" in result.stdout


def test_folders_that_are_still_to_be_made(fastsmtp: Command, site: Path) -> None:
    site.write_text(
        '[directory]\npostmaster = "postmaster@example.org"\n'
        '[maildir]\nroot = "deep/mail"\n[log]\ndestination = "mx.log"\n'
    )
    result = fastsmtp("check")

    assert result.exit_code == 0
    assert f"mail root      ok  {site.parent / 'deep/mail'} will be made\n" in result.stdout
    assert f"log            ok  {site.parent / 'mx.log'}\n" in result.stdout
    assert not (site.parent / "mx.log").exists()


def test_a_file_that_is_no_toml_is_the_only_error(fastsmtp: Command, site: Path) -> None:
    site.write_text("[limits\n")
    result = fastsmtp("check")

    assert result.exit_code == 1
    assert result.stderr == f"error: {site}:1:8: not TOML: Expected ']' at the end of a table declaration\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_root_may_do_is_no_matter_where_another_user_serves(fastsmtp: Command, site: Path) -> None:
    site.write_text('[process]\nuser = "nobody"\n[log]\ndestination = "mx.log"\n')
    result = fastsmtp("check")

    assert result.exit_code == 1
    errors = [
        error for error in result.stderr.splitlines() if "cannot read /" not in error
    ]  # our Python, and below /root
    assert [error.partition(" cannot be written by this user")[1] != "" for error in errors[-3:]] == [True] * 3
    assert f"{site.parent / 'directory.db'}" in result.stderr
    assert os.geteuid() == 0
