"""From which country a client comes."""

import sys
from pathlib import Path

import pytest
from geoip_databases import countries, providers
from lists import until

from fastsmtp.errors import PluginLoadError
from fastsmtp.testing import Client, Site


def evidence(client: Client) -> list[str]:
    return [f"{result.outcome} {result.evidence}" for result in client.connection.results]


def test_what_is_known_is_recorded(tmp_path: Path) -> None:
    with Site([("geoip", {"files": [countries(tmp_path), providers(tmp_path)]})]) as site:
        found = {
            "192.0.2.1": ["pass DE AS64496"],
            "192.0.2.200": ["pass DE"],
            "203.0.113.1": ["pass AS64497"],
            "2001:db8::1": ["pass SE"],
            "10.0.0.1": ["skip in no database"],
            "": [],
        }
        assert {ip: evidence(site.connect(ip)) for ip in found} == found


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({"deny_countries": ["de"]}, ["192.0.2.1"]),
        ({"allow_countries": ["DE"]}, ["198.51.100.1", "2001:db8::1"]),
        ({"deny_asns": [64496, 64497]}, ["192.0.2.1", "203.0.113.1"]),
        ({}, []),
    ],
)
def test_who_is_refused(tmp_path: Path, options: dict[str, object], refused: list[str]) -> None:
    files = [countries(tmp_path), providers(tmp_path)]
    with Site([("geoip", {"files": files, "action": "reject", **options})]) as site:
        everybody = ("192.0.2.1", "198.51.100.1", "2001:db8::1", "203.0.113.1", "10.0.0.1")
        assert [ip for ip in everybody if not site.connect(ip).is_open] == refused


@pytest.mark.parametrize(("action", "code"), [("naughty", 550), ("record", 250)])
def test_what_is_done(tmp_path: Path, action: str, code: int) -> None:
    options = {"files": [countries(tmp_path)], "deny_countries": ["DE"], "action": action}
    with Site([("geoip", options)]) as site:
        client = site.connect("192.0.2.1")
        assert client.send("", "user@example.test", b"").code == code
        assert evidence(client) == ["fail DE"]


def test_a_database_that_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Site([("geoip", {"files": [countries(tmp_path)]})]) as site:
        assert evidence(site.connect("192.0.2.1")) == ["pass DE"]
        countries(tmp_path, {"192.0.2.0/24": "AT"})
        until(site, lambda: evidence(site.connect("192.0.2.1")) == ["pass AT"])
        (tmp_path / "country.mmdb").write_bytes(b"half a download")
        until(site, lambda: "list not read" in caplog.text)
        assert evidence(site.connect("192.0.2.1")) == ["pass AT"]


def test_a_damaged_database_refuses_nobody(tmp_path: Path) -> None:
    file = Path(countries(tmp_path))
    data = bytearray(file.read_bytes())
    start = data.index(b"iso_code") - 8
    data[start : start + 30] = b"\xff" * 30
    file.write_bytes(data)
    with Site([("geoip", {"files": [str(file)], "allow_countries": ["CH"], "action": "reject"})]) as site:
        client = site.connect("192.0.2.1")
        assert client.is_open
        assert evidence(client)[0].startswith(("error a damaged database", "skip in no database"))


def test_what_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "x.mmdb"
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(PluginLoadError, match=r"x\.mmdb is no database in MaxMind's format"):
        Site([("geoip", {"files": [str(file)]})])


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = countries(tmp_path)
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    with pytest.raises(PluginLoadError) as caught:
        Site([("geoip", {"files": [file]})])
    assert caught.value.problems == ("plugin[0]: geoip needs the package maxminddb: pip install 'fastsmtp-mx[geoip]'",)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"files": []}, "`files` names at least one database"),
        ({"files": ["x"], "deny_countries": ["Germany"]}, "'Germany' is no country"),
        ({"files": ["x"], "deny_countries": ["DE"], "allow_countries": ["FR"]}, "what is not allowed is denied"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, object], problem: str) -> None:
    with pytest.raises(PluginLoadError, match=problem):
        Site([("geoip", options)])
