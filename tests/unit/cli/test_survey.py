import os
import pwd
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from certificates import certificate, write
from zone import ZoneServer

from fastsmtp.cli.site import create_site
from fastsmtp.cli.survey import Finding
from fastsmtp.cli.survey import survey as survey_all
from fastsmtp.directory.admin import SqliteAdmin
from fastsmtp.errors import ConfigurationError


def survey(path: Path) -> list[Finding]:
    """Without what the DNS of this machine says."""
    return [finding for finding in survey_all(path) if finding.subject != "dns"]


def test_one_finding_for_each_part(tmp_path: Path) -> None:
    configuration = create_site(tmp_path, {"log.destination": "mx.log"}, domain="example.org", users=["postmaster"])

    findings = survey(configuration)

    parts = ["configuration", "plugins", "directory", "mail root", "journal", "memory", "state", "records", "log"]
    assert [finding.subject for finding in findings] == parts
    assert {finding.level for finding in findings} == {"ok"}


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        survey(tmp_path / "fastsmtp.toml")


def test_postmaster_without_a_domain_needs_a_mailbox(tmp_path: Path) -> None:
    configuration = create_site(tmp_path, {}, domain="example.org", users=["postmaster"])
    text = configuration.read_text()
    assert 'postmaster = "postmaster@example.org"' in text
    configuration.write_text(text.replace('postmaster = "postmaster@example.org"', ""))

    warnings = [finding.sentence for finding in survey(configuration) if finding.level == "warning"]

    assert warnings == [
        "mail for <postmaster> without a domain is refused (RFC 5321 section 4.5.1): set [directory] postmaster"
    ]


def test_certificates(tmp_path: Path) -> None:
    values = {"hostname": "mx.example.test"}
    configuration = create_site(tmp_path, values, domain="example.org", users=["postmaster"])
    text = configuration.read_text()
    files = write(tmp_path, certificate("mx.example.test", "*.example.org"))

    def said(certificates: str, hostname: str = "mx.example.test") -> list[tuple[str, str]]:
        changed = text.replace("certificates = []", f"certificates = [{certificates}]", 1)
        configuration.write_text(changed.replace("mx.example.test", hostname))
        return [(one.level, one.sentence) for one in survey(configuration) if one.subject == "tls"]

    item = '{ certificate = "tls.pem", key = "tls.key" }'
    [(level, sentence)] = said(item)
    assert level == "ok"
    assert sentence.startswith(f"{files.certificate} for *.example.org, mx.example.test: EC, until 20")
    assert said(item, "mail.example.org")[1:] == []
    [_, (level, sentence)] = said(item, "mx.example.com")
    assert (level, sentence[:40]) == ("warning", "no certificate is for mx.example.com: se")

    files.key.chmod(0o644)
    assert [level for level, _ in said(item)] == ["ok", "warning"]
    files.key.chmod(0o600)
    write(tmp_path, certificate(days=-1, begun_days_ago=10))
    [(level, sentence)] = said(item)
    assert (level, " has expired on " in sentence) == ("error", True)
    files.key.unlink()
    assert said(f"{item}, {item}") == [
        ("error", f"{configuration}: tls.certificates[{number}]: {files.key} cannot be read: No such file or directory")
        for number in (0, 1)
    ]


def test_a_plugin_that_runs_nowhere(tmp_path: Path) -> None:
    configuration = create_site(tmp_path, {"listen.smtp": []}, domain="example.org", users=["postmaster"])
    tables = '[[listener]]\naddress = "127.0.0.1:0"\nplugins = []\n[[plugin]]\nuse = "loop"\n'
    configuration.write_text(configuration.read_text().partition("[[plugin]]")[0] + tables)

    warnings = [finding.sentence for finding in survey(configuration) if finding.level == "warning"]

    assert warnings == ["loop does not run: no [[listener]] has it in its plugins"]


def test_what_can_hardly_be_meant_so(tmp_path: Path) -> None:
    configuration = create_site(tmp_path, {}, domain="example.org", users=["postmaster"])
    tables = '[[plugin]]\nuse = "spf"\ntimeout = "8s"\n[[plugin]]\nuse = "early_talker"\noptions = { delay = "12s" }\n'
    configuration.write_text(configuration.read_text().partition("[[plugin]]")[0] + tables)

    warnings = [finding.sentence for finding in survey(configuration) if finding.level == "warning"]

    dns, delay = (warning.removeprefix(f"{configuration}: plugin") for warning in warnings)
    assert dns.startswith("[0].timeout: is 8 s, and dns.budget 8 s: a slow DNS is a fault of spf, a 451; write")
    assert delay.startswith("[1].options.delay: is 12 s, and a hook of this plugin may take 10 s: every stranger")


def test_passwords_that_nobody_can_check(tmp_path: Path) -> None:
    settings = {"auth.enabled": True, "auth.require_tls": False}
    users = ["postmaster", "ann", "ben", "joe", "zoe"]
    configuration = create_site(tmp_path, settings, domain="example.org", users=users)
    with SqliteAdmin(tmp_path / "directory.db") as admin:
        for user in users[1:]:
            admin.set_password(f"{user}@example.org", "{PLAIN}secret")
        admin.set_password("ann@example.org", "$argon2id$v=19$m=8,t=1,p=1$")

    def warnings() -> list[str]:
        return [finding.sentence for finding in survey(configuration) if finding.level != "ok"]

    hint = "cannot log in: the scheme of their password's hash is not known here; fastsmtp user passwd ADDRESS"
    assert warnings() == [f"ben@example.org, joe@example.org, zoe@example.org {hint}"]
    with SqliteAdmin(tmp_path / "directory.db") as admin:
        admin.set_password("ann@example.org", "$1$salt$hash")
    assert warnings() == [f"ann@example.org, ben@example.org, joe@example.org and 1 more {hint}"]
    configuration.write_text(configuration.read_text().replace("enabled = true", "enabled = false"))
    assert warnings() == []


def test_a_directory_that_knows_nothing_of_logins(tmp_path: Path) -> None:
    configuration = create_site(tmp_path, {"auth.enabled": True}, domain="example.org", users=["postmaster"])
    queries = 'queries = { domain = "SELECT 1", recipient = "SELECT 1" }'
    configuration.write_text(configuration.read_text().replace("queries = {}", queries))

    errors = [finding.sentence for finding in survey(configuration) if finding.level == "error"]

    assert [sentence.partition(": ")[2].partition(";")[0] for sentence in errors[:1]] == [
        "auth.enabled: AUTH is for TLS alone, which 0.0.0.0:25 has not"
    ]
    assert errors[1:] == ["[directory.queries] has no login, so that nobody can log in"]


def test_a_plugin_that_waits_for_logins_in_vain(tmp_path: Path) -> None:
    configuration = create_site(tmp_path, {}, domain="example.org", users=["postmaster"])
    (tmp_path / "ldap.py").write_text(
        "from fastsmtp.plugin import Plugin\n"
        "class Ldap(Plugin):\n"
        "    def on_auth(self, connection, credentials):\n"
        "        pass\n"
    )
    text = configuration.read_text().replace("plugin_path = []", 'plugin_path = ["."]')
    configuration.write_text(f'{text}\n[[plugin]]\nuse = "ldap"\n')

    def warnings() -> list[str]:
        return [finding.sentence for finding in survey(configuration) if finding.level == "warning"]

    assert warnings() == ["ldap has on_auth, but nobody is offered AUTH: [auth]"]
    text = configuration.read_text().replace("enabled = false", "enabled = true", 1)
    configuration.write_text(text.replace("require_tls = true", "require_tls = false"))
    assert warnings() == []


def test_a_unix_socket_that_cannot_be_made(tmp_path: Path) -> None:
    configuration = create_site(tmp_path, {"listen.smtp": []}, domain="example.org", users=["postmaster"])
    configuration.write_text(configuration.read_text() + '[[listener]]\naddress = "unix:run/smtp.sock"\n')

    [error] = [finding for finding in survey(configuration) if finding.level == "error"]

    socket = tmp_path / "run/smtp.sock"
    hint = f"there is no folder {socket.parent}; make it, or change the address"
    assert (error.subject, error.sentence) == ("listeners", f"{configuration}: cannot listen on unix:{socket}: {hint}")


def test_a_pid_file_that_cannot_be_written(tmp_path: Path) -> None:
    values = {"process.pid_file": "run/pid"}
    configuration = create_site(tmp_path, values, domain="example.org", users=["postmaster"])

    [error] = [finding for finding in survey(configuration) if finding.level == "error"]

    hint = f"there is no folder {tmp_path / 'run'}; make it, or change process.pid_file"
    assert (error.subject, error.sentence) == ("pid file", f"cannot write {tmp_path / 'run/pid'}: {hint}")
    (tmp_path / "run").mkdir()
    assert all(finding.level != "error" for finding in survey(configuration))


def test_the_user_who_is_to_run_it(tmp_path: Path) -> None:
    def said(user: str) -> list[tuple[str, str]]:
        (tmp_path / user).mkdir()
        configuration = create_site(tmp_path / user, {"process.user": user}, domain="example.org", users=["postmaster"])
        return [(one.level, one.sentence) for one in survey(configuration) if one.subject == "user"]

    ourselves = pwd.getpwuid(os.geteuid()).pw_name
    assert said(ourselves) == [("ok", ourselves)]
    [(level, sentence)] = said("nobody-of-this-name")
    assert level == "error"
    assert sentence.startswith(f"{tmp_path}/nobody-of-this-name/fastsmtp.toml: process.user: there is no user")
    if os.geteuid() != 0:
        [(level, sentence)] = said("root")
        assert (level, sentence[:21]) == ("warning", "process.user is root,")


def test_the_state_of_plugins_is_looked_at_where_there_are_some(tmp_path: Path) -> None:
    configuration = create_site(tmp_path, {}, domain="example.org", users=["postmaster"])
    plugin = '\n[[plugin]]\nuse = "block_sender"\noptions = { domains = ["spam.example"] }\n'
    configuration.write_text(configuration.read_text() + plugin)

    def said() -> list[tuple[str, str]]:
        return [(one.level, one.sentence) for one in survey(configuration) if one.subject == "state"]

    assert said() == [("ok", f"sqlite:{tmp_path / 'state.db'} will be made")]
    assert not (tmp_path / "state.db").exists()
    (tmp_path / "state.db").write_bytes(b"something else " * 100)
    [(level, sentence)] = said()
    assert level == "error"
    assert sentence.startswith(f"cannot use the state {tmp_path / 'state.db'}: ")
    assert sentence.endswith("; change [state] url")


def test_records_that_cannot_be_kept_are_no_reason_not_to_start(tmp_path: Path) -> None:
    values = {"log.destination": "mx.log", "records.path": "nowhere/records.db"}
    configuration = create_site(tmp_path, values, domain="example.org", users=["postmaster"])
    [finding] = [finding for finding in survey(configuration) if finding.subject == "records"]
    assert finding.level == "warning"
    assert "nowhere is not there" in finding.sentence


def test_the_dns_is_tried_where_a_plugin_asks_it(tmp_path: Path) -> None:
    with ZoneServer("example.org TXT hello") as dns:
        values = {"hostname": "mx.example.org", "dns.servers": [dns.address], "dns.timeout": "300ms"}
        configuration = create_site(tmp_path, values, domain="example.org", users=["postmaster"])

        def said() -> list[tuple[str, str]]:
            return [(one.level, one.sentence) for one in survey_all(configuration) if one.subject == "dns"]

        configuration.write_text(configuration.read_text() + '[[plugin]]\nuse = "fcrdns"\nname = "names"\n')
        assert said() == [("ok", dns.address)]
        dns.drop()
        [(level, sentence)] = said()
        assert level == "warning"
        assert sentence.startswith(f"{dns.address}: timeout; ")
        assert sentence.endswith("will find out nothing; see [dns] servers")


def test_lists_in_the_directory_are_looked_at_where_a_plugin_reads_them(tmp_path: Path) -> None:
    configuration = create_site(tmp_path, {}, domain="example.org", users=["postmaster"])
    database = tmp_path / "directory.db"

    def said() -> list[tuple[str, str]]:
        return [(one.level, one.sentence) for one in survey(configuration) if one.subject == "lists"]

    assert said() == []
    plugin = '\n[[plugin]]\nuse = "block_sender"\nname = "stored"\noptions = { directory = true }\n'
    configuration.write_text(configuration.read_text() + plugin)
    with SqliteAdmin(database) as admin:
        admin.add_block("sender", "spam.example")
        admin.add_block("recipient", "sales@")
    assert said() == [("ok", "entries of sender: 1")]
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("INSERT INTO block_entry (list, entry) VALUES ('sender', ''), ('sender', '*.example')")
        assert [(level, sentence.split(":")[0]) for level, sentence in said()] == [
            ("error", "the list sender in the directory, entry ''"),
            ("error", "the list sender in the directory, entry '*.example'"),
        ]
        connection.execute("DROP TABLE block_entry")
    complaint = "no such table: block_entry; to make what is missing: fastsmtp db migrate"
    assert said() == [("error", f"cannot use the directory {database}: {complaint}")]
