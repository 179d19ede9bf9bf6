"""A run from end to end, as short as it can be."""

from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.floors import running
from benchmarks.made import result as result_of_nothing
from click.testing import CliRunner

from bench import measure as module
from bench import peers, shares, split
from bench.cli import main
from bench.load import smtp_source
from bench.load.generator import Load
from bench.machine import describe
from bench.peers.fastsmtp import Fastsmtp
from bench.peers.floor import Floor
from bench.peers.peer import Launch, Site, free_port
from bench.results import Result
from bench.scenarios import PLANS, Scenario
from bench.servers import Servers

TINY = [
    Scenario(name="standard", load=Load(connections=3), peers=("floor", "fastsmtp"), rounds=2, seconds=0.2),
    Scenario(
        name="2 recipients",
        load=Load(connections=3, recipients_each=2),
        peers=("floor",),
        rounds=1,
        seconds=0.2,
        curve="recipients",
        x=2,
    ),
    Scenario(name="many", load=Load(connections=20_000), peers=("floor",), rounds=1, seconds=0.2),
]


@pytest.fixture(autouse=True)
def few_mailboxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAILBOXES", 10)
    monkeypatch.setattr(module, "scanner_shares", lambda: {"4 KiB": 0.3})


def say_nothing(text: str) -> None: ...


def test_run_and_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLANS, "quick", lambda: TINY)
    done = CliRunner().invoke(main, ["run", "quick", "--folder", str(tmp_path)])
    assert done.exit_code == 0, done.output
    (path,) = tmp_path.glob("quick-*.json")
    shown = CliRunner().invoke(main, ["show", str(path)])
    assert shown.output in done.output
    assert "standard: 4 KiB, 3 connections, no pipelining; 2 rounds of 0.2 s" in shown.output
    assert "CPU a message over the floor's" in shown.output
    result = Result.read(path)
    assert [each.name for each in result.scenarios] == ["standard", "2 recipients"]
    assert result.scenarios[0].sides.keys() == {"floor", "fastsmtp"}
    assert all(len(side.rounds) == 2 for side in result.scenarios[0].sides.values())
    assert result.machine == describe(tmp_path)
    assert result.versions.keys() == result.starts_s.keys() == {"floor", "fastsmtp"}
    assert not [warning for warning in result.warnings if "mailboxes" in warning]
    assert not list(tmp_path.glob("mail-*"))
    again = CliRunner().invoke(main, ["compare", str(path), str(path)])
    assert again.exit_code == 0
    assert "+0.0%" in again.output


def test_mail_that_is_missing_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(Floor):
        def stored(self, site: Site) -> int:
            return super().stored(site) - 1

    monkeypatch.setitem(peers.PEERS, "floor", Forgetful("floor"))
    result = module.measure(TINY[:1], tmp_path, say_nothing, only=["floor"])
    assert any("floor has" in warning and "was to have" in warning for warning in result.warnings)


def test_mail_that_was_just_deleted_is_told_of(tmp_path: Path) -> None:
    with module.mail_folder(tmp_path) as (first, warnings):
        assert first.is_dir()
        assert warnings == []
    assert not first.exists()
    with module.mail_folder(tmp_path) as (second, warnings):
        assert second != first
        assert "deleted 0 minutes ago" in warnings[0]


def test_a_server_that_refuses_is_left_out_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Strict(Fastsmtp):
        def _settings(self, site: Site, port: int) -> dict[str, object]:
            return {**super()._settings(site, port), "limits.recipients": 1}

    monkeypatch.setitem(peers.PEERS, "fastsmtp", Strict("fastsmtp", "journal"))
    two = replace(TINY[0], name="two recipients", load=Load(recipients_each=2))
    result = module.measure([two, TINY[0]], tmp_path, say_nothing)
    first, second = (scenario.sides.keys() for scenario in result.scenarios)
    assert first == {"floor"}
    assert second == {"floor", "fastsmtp"}
    (failure,) = result.failures
    assert failure.startswith("fastsmtp: two recipients: 452")
    assert not [warning for warning in result.warnings if "mailboxes" in warning]


def test_who_does_not_start_is_tried_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Floor):
        def prepare(self, site: Site) -> Launch:
            return Launch(["sh", "-c", f"echo {site.folder}/it is broken >&2; exit 3"], f"127.0.0.1:{free_port()}")

    monkeypatch.setitem(peers.PEERS, "floor", Broken("floor"))
    plan = [replace(TINY[0], name=name, peers=("floor", "null")) for name in ("one", "two", "three")]
    result = module.measure(plan, tmp_path, say_nothing)
    assert [scenario.sides.keys() for scenario in result.scenarios] == [{"null"}] * 3
    assert len(result.failures) == 2
    assert all("it is broken" in failure and str(tmp_path) not in failure for failure in result.failures)


def test_when_the_floor_fails_so_does_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLANS, "quick", lambda: [replace(TINY[0], load=Load(recipients_each=2000), mailboxes=10)])
    done = CliRunner().invoke(main, ["run", "quick", "--folder", str(tmp_path), "--only", "floor"])
    assert done.exit_code == 1
    assert "failed: floor: standard" in done.output
    assert "written: " in done.output


def test_points_of_a_curve_are_played_in_turn(tmp_path: Path) -> None:
    said: list[str] = []
    point = Scenario(name="", load=Load(connections=2), peers=("null",), rounds=2, seconds=0.1, curve="connections")
    plan = [replace(point, name=name) for name in ("one", "two")]
    result = module.measure(plan, tmp_path, said.append, only=["null"])
    rounds = [line.split("%  ", 1)[1] for line in said if "round" in line]
    assert rounds == [
        f"{name}: round {number}/2, null" for name, number in (("one", 1), ("two", 1), ("two", 2), ("one", 2))
    ]
    assert [len(scenario.sides["null"].rounds) for scenario in result.scenarios] == [2, 2]
    assert [line.split()[1] for line in said if "round" in line] == ["0%", "25%", "50%", "75%"]


def test_two_generators(tmp_path: Path) -> None:
    if why := smtp_source.missing():
        pytest.skip(why)
    load = Load(connections=3, messages=50)
    names = ("floor", "floor by smtp-source")
    plan = [Scenario(name="both", load=load, peers=names, rounds=1, seconds=0, mailboxes=1)]
    result = module.measure(plan, tmp_path, say_nothing)
    (scenario,) = result.scenarios
    assert {name: side.rounds[0].messages for name, side in scenario.sides.items()} == dict.fromkeys(names, 50)
    assert not [warning for warning in result.warnings if "mailboxes" in warning]


def test_without_a_second_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_source, "_program", lambda: None)
    plan = [replace(TINY[0], peers=("floor", "floor by smtp-source"))]
    result = module.measure(plan, tmp_path, say_nothing)
    assert result.scenarios[0].sides.keys() == {"floor"}
    assert result.skipped == {"floor by smtp-source": "smtp-source not found; it comes with postfix"}


def test_what_plugins_take_is_asked_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "_SECONDS", 1)
    monkeypatch.setattr(shares, "_SECONDS", 0.5)
    plan = [replace(TINY[0], peers=("fastsmtp plugins",), split=("fastsmtp plugins",))]
    result = module.measure(plan, tmp_path, say_nothing)
    assert result.failures == []
    assert result.plugins
    assert all(figures["us"] > 0 and figures["hooks"] > 0 for figures in result.plugins.values())
    assert not [warning for warning in result.warnings if "mailboxes" in warning]


def test_a_path_with_a_blank_is_none_for_the_servers(tmp_path: Path) -> None:
    folder = tmp_path / "with a blank"
    folder.mkdir()
    with module.mail_folder(folder) as (mail, _):
        assert " " not in str(mail)
        assert mail.resolve().parent == folder
        result = module.measure(TINY[:1], mail, say_nothing)
        assert result.scenarios[0].sides.keys() == {"floor", "fastsmtp"}
        assert not [warning for warning in result.warnings if "mailboxes" in warning]
    assert list(folder.iterdir()) == [folder / "deleted-mail"]
    assert not mail.is_symlink()


def test_who_may_not_look_closer_is_told_why_and_the_rest_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise SystemExit("perf record failed: no permission")

    monkeypatch.setattr(split, "missing", str)
    monkeypatch.setattr(split, "split", forbidden)
    plan = [replace(TINY[0], peers=("floor",), split=("floor",)), replace(TINY[0], name="more", peers=("floor",))]
    result = module.measure(plan, tmp_path, say_nothing)
    assert [scenario.sides.keys() for scenario in result.scenarios] == [{"floor"}] * 2
    assert result.failures == []
    assert result.skipped == {"where the CPU goes, floor": "perf record failed: no permission"}


def test_mailboxes_are_spread_over_the_users(tmp_path: Path) -> None:
    servers = Servers(tmp_path, result_of_nothing(), say_nothing, mailboxes=10)
    assert servers.recipients(1_000_000, 4).read_text().split() == [
        f"user{number}@bench.example" for number in (0, 250_000, 500_000, 750_000)
    ]
    assert len(servers.recipients(3, 4).read_text().split()) == 3


def test_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Floor, "missing", lambda _: "a floor")
    result = module.measure(TINY[:1], tmp_path, say_nothing, only=["floor"])
    assert result.skipped == {"floor": "a floor"}
    assert result.scenarios == []


def test_an_unknown_peer() -> None:
    done = CliRunner().invoke(main, ["run", "quick", "--only", "sendmail"])
    assert done.exit_code == 2
    assert "no peer is called sendmail; there are floor" in done.output


def test_plans_name_peers_that_there_are() -> None:
    for make in PLANS.values():
        for scenario in make():
            assert set(scenario.peers) <= peers.PEERS.keys()
            assert scenario.rounds >= 1


def test_peers_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Floor, "missing", lambda _: "a compiler")
    done = CliRunner().invoke(main, ["peers"])
    assert done.exit_code == 0
    assert next(line for line in done.output.splitlines() if "floor 2 workers" in line).count("a compiler") == 1
    assert "fastsmtp plugins" in done.output


def test_load_against_a_server_of_ones_own(tmp_path: Path) -> None:
    addresses = tmp_path / "addresses"
    addresses.write_text("user1@bench.example\nuser2@bench.example\n")
    with running(Floor("floor"), tmp_path) as server:
        arguments = ["load", server.address, f"--recipient=@{addresses}", "--seconds=0.2", "--size=1KiB:2,2KiB"]
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
        assert server.peer.stored(server.site) == int(done.output.split()[0].replace(",", ""))
    assert "p99.9" in done.output


def test_load_without_a_server(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["load", f"127.0.0.1:{free_port()}", "--recipient=user@bench.example"])
    assert done.exit_code == 1
    assert "first trouble: connect: Connection refused" in done.output
    done = CliRunner().invoke(main, ["load", "127.0.0.1:1", "--recipient=user@bench.example", "--size=much"])
    assert done.exit_code == 2
    assert '"much" is no size' in done.output
