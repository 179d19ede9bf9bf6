import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from bench.account import Account, ControlGroup, MemoryWatch, ProcessTree, machine_cpu_s, memory_bytes, open_account

BURNT_S = 0.3
BURN = f"import time\nwhile time.process_time() < {BURNT_S}: pass"
# A child that burns and is waited for, then one that goes on living until it is killed.
FAMILY = f"""
import subprocess, sys, time
subprocess.run([sys.executable, "-c", {BURN!r}], check=True)
alive = subprocess.Popen([sys.executable, "-c", {BURN!r} + "\\nprint('burnt', flush=True)\\ntime.sleep(600)"])
time.sleep(600)
"""


def control_group() -> Account:
    return ControlGroup.make("test") or pytest.skip("no control group can be made here")


@pytest.fixture(params=[control_group, ProcessTree])
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    make: Callable[[], Account] = request.param
    made = make()
    yield made
    made.close()


def start(account: Account, code: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(account.command([sys.executable, "-c", code]), stdout=subprocess.PIPE, text=True)
    account.started(process.pid)
    return process


def test_children_count_whether_they_live_or_not(account: Account) -> None:
    with start(account, FAMILY) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "burnt\n"
        assert account.cpu_s() >= 2 * BURNT_S * 0.9
        assert len(account.pids()) == 2
        account.close()
        assert process.wait() != 0
    assert account.pids() == [] if isinstance(account, ProcessTree) else True


def test_others_do_not_count(account: Account) -> None:
    with start(account, "import time; print('up', flush=True); time.sleep(600)") as process:
        assert process.stdout is not None
        process.stdout.readline()
        before = account.cpu_s()
        subprocess.run([sys.executable, "-c", BURN], check=True)
        assert account.cpu_s() - before < BURNT_S / 2
        process.kill()


def test_memory(account: Account) -> None:
    code = "b = bytearray(b'x' * 50_000_000); print('up', flush=True); import sys; sys.stdin.read()"
    process = subprocess.Popen(
        account.command([sys.executable, "-c", code]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    account.started(process.pid)
    with process:
        assert process.stdout is not None
        process.stdout.readline()  # until then it may still be a copy of us
        assert 50e6 < memory_bytes(account.pids()) < 100e6
        with MemoryWatch(account) as watch:
            deadline = time.monotonic() + 10
            while watch.peak_bytes < 50e6 and time.monotonic() < deadline:
                time.sleep(0.01)
            process.communicate("")
    assert 50e6 < watch.peak_bytes < 100e6


def test_the_best_there_is() -> None:
    account = open_account("test")
    account.close()
    assert account.kind == ("cgroup" if isinstance(account, ControlGroup) else "procfs")


def test_two_of_a_name_are_two() -> None:
    first, second = open_account("test"), open_account("test")
    try:
        assert first.kind == second.kind
        with start(first, "import time; print('up', flush=True); time.sleep(600)") as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert process.pid in first.pids()
            assert second.pids() == []
            process.kill()
    finally:
        first.close()
        second.close()


def test_machine() -> None:
    before = machine_cpu_s()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert machine_cpu_s() - before >= BURNT_S * 0.9
