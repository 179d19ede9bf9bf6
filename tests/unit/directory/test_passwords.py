"""One password at a time, a bounded number in line, and the same work whoever it is."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2.profiles import CHEAPEST

from fastsmtp.directory import passwords
from fastsmtp.directory.passwords import PasswordChecker, site_secret
from fastsmtp.directory.schemes import SALT_BYTES, SCRAM_ITERATIONS, hash_password, matches
from fastsmtp.errors import PasswordsBusyError, UnknownSchemeError
from fastsmtp.smtp.sasl import ScramKeys

HASH = hash_password("secret", parameters=CHEAPEST)


@pytest.fixture
def checker() -> Iterator[PasswordChecker]:
    checker = PasswordChecker(parameters=CHEAPEST, secret=b"test")
    yield checker
    checker.close()


def check(checker: PasswordChecker, password: str, password_hash: str | None) -> bool:
    async def run() -> bool:
        return await checker.check(password, password_hash)

    return asyncio.run(run())


def test_check(checker: PasswordChecker) -> None:
    assert check(checker, "secret", HASH)
    assert not check(checker, "Secret", HASH)
    assert not check(checker, "secret", None)
    assert not check(checker, "", None)
    assert not check(checker, "", "")


def test_whoever_it_is_one_hash_is_computed(checker: PasswordChecker, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def spy(password: str, stored: str) -> bool:
        compared.append(stored)
        return matches(password, stored)

    monkeypatch.setattr(passwords, "matches", spy)
    for password, password_hash in [("secret", HASH), ("wrong", HASH), ("secret", None)]:
        compared.clear()
        check(checker, password, password_hash)
        [stored] = compared
        assert stored.startswith("$argon2id$v=19$m=8,t=1,p=1$")
        assert (stored == HASH) is (password_hash is not None)
    compared.clear()
    with pytest.raises(UnknownSchemeError):
        check(checker, "secret", "{PLAIN}secret")
    assert compared[1].startswith("$argon2id$v=19$m=8,t=1,p=1$")


def test_beyond_the_line_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    checker = PasswordChecker(waiting=2, parameters=CHEAPEST)
    go = threading.Event()
    running: list[int] = []

    def slow(_: str, __: str) -> bool:
        running.append(threading.get_ident())
        assert go.wait(20)
        return True

    monkeypatch.setattr(passwords, "matches", slow)

    async def run() -> None:
        waiting = [checker.check("secret", HASH) for _ in range(3)]
        busy = [checker.is_busy]
        with pytest.raises(PasswordsBusyError):
            checker.check("secret", HASH)
        waiting[1].cancel()  # its client is gone, and so is its place in the line
        await asyncio.sleep(0)
        busy.append(checker.is_busy)
        assert busy == [True, False]
        waiting.append(checker.check("secret", HASH))
        with pytest.raises(PasswordsBusyError):
            checker.check("secret", HASH)
        go.set()
        assert await asyncio.gather(waiting[0], *waiting[2:]) == [True, True, True]
        assert await checker.check("secret", HASH)

    asyncio.run(run())
    assert len(running) == 4
    assert len(set(running)) == 1
    assert threading.get_ident() not in running
    checker.close()


def test_who_waits_when_it_closes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    checker = PasswordChecker(parameters=CHEAPEST)
    go = threading.Event()
    monkeypatch.setattr(passwords, "matches", lambda *_: go.wait(20))

    async def run() -> None:
        first, second = checker.check("secret", HASH), checker.check("secret", HASH)
        checker.close()
        with pytest.raises(asyncio.CancelledError):
            await second
        go.set()
        assert await first

    asyncio.run(run())


def test_the_thread_lets_the_event_loop_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    checker = PasswordChecker(parameters=CHEAPEST)
    nice: list[int] = []

    def spy(*_: str) -> bool:
        status = Path(f"/proc/self/task/{threading.get_native_id()}/stat").read_text()
        nice.append(int(status.rpartition(")")[2].split()[16]))
        return True

    monkeypatch.setattr(passwords, "matches", spy)
    check(checker, "secret", HASH)
    status = Path(f"/proc/self/task/{threading.get_native_id()}/stat").read_text()
    assert nice[0] > int(status.rpartition(")")[2].split()[16])
    checker.close()


def test_keys(checker: PasswordChecker) -> None:
    stored = hash_password("secret", "scram-sha-256")
    assert checker.scram_keys("joe@example.test", stored) == ScramKeys.parse(stored)


@pytest.mark.parametrize("password_hash", [None, HASH, "SCRAM-SHA-256$broken"])
def test_who_has_no_keys_looks_like_who_has_some(checker: PasswordChecker, password_hash: str | None) -> None:
    keys = checker.scram_keys("joe@example.test", password_hash)
    assert (len(keys.salt), keys.iterations) == (SALT_BYTES, SCRAM_ITERATIONS)
    assert len(keys.stored_key) == len(keys.server_key) == 32
    assert keys == PasswordChecker(secret=b"test").scram_keys("joe@example.test", None)
    assert keys.salt != checker.scram_keys("ann@example.test", None).salt
    assert keys.salt != PasswordChecker(secret=b"elsewhere").scram_keys("joe@example.test", None).salt


def test_a_secret_is_the_machines_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine_id = tmp_path / "machine-id"
    monkeypatch.setattr(passwords, "_MACHINE_ID", machine_id)
    assert site_secret() != site_secret()  # nothing stands there: nothing stays the same
    machine_id.write_text("0123456789abcdef\n")
    secret = site_secret()
    assert secret == site_secret()
    assert b"0123456789abcdef" not in secret
    machine_id.write_text("fedcba9876543210\n")
    assert secret != site_secret()
