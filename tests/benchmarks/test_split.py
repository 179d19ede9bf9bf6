import shutil
from collections import Counter
from pathlib import Path

import pytest
from benchmarks.floors import USERS, running

from bench import split as module
from bench.load.generator import Load, recipients_file
from bench.peers import PEERS
from bench.split import PARTS, split


def native(*frames: str) -> str:
    return module._native_part(list(frames))  # noqa: SLF001 - the verdict on one stack


@pytest.mark.parametrize(
    ("frames", "part"),
    [
        (
            ["copy_user ([kernel.kallsyms])", "tcp_sendmsg ([kernel.kallsyms])", "vfs_write ([kernel.kallsyms])"],
            "sockets",
        ),
        (
            ["ep_poll ([kernel.kallsyms])", "__x64_sys_epoll_wait ([kernel.kallsyms])", "epoll_wait (libc.so.6)"],
            "sockets",
        ),
        (["ext4_create ([kernel.kallsyms])", "do_sys_openat2 ([kernel.kallsyms])"], "files"),
        (["memset ([kernel.kallsyms])", "ext4_sync_file ([kernel.kallsyms])"], "files"),
        (["exc_page_fault ([kernel.kallsyms])", "memset (libc.so.6)"], "other kernel"),
        (["scan (/x/fastsmtp/_parser.cpython-311-x86_64-linux-gnu.so)"], "parse"),
        (["write_record (/x/_maildir.cpython-311-x86_64-linux-gnu.so)"], "store"),
        (["feed (/x/fastsmtp/smtp/session.cpython-311-x86_64-linux-gnu.so)"], "session"),
        (["ask (/x/fastsmtp/pipeline/chain.cpython-311-x86_64-linux-gnu.so)"], "plugins"),
        (["uv__read (/x/site-packages/uvloop/loop.cpython-311-x86_64-linux-gnu.so)"], "event loop"),
        (["PyObject_Malloc (/x/libpython3.11.so)", "scan (/x/fastsmtp/_parser.cpython-311.so)"], "parse"),
        (
            ["PyDict_New (/x/libpython.so)", "_PyEval_EvalFrameDefault (/x/libpython.so)", "feed (/x/_parser.so)"],
            "interpreter",
        ),
        (["_PyEval_EvalFrameDefault (/usr/lib/libpython3.11.so.1.0)", "tcp_sendmsg ([kernel])"], "interpreter"),
    ],
)
def test_what_perf_sees(frames: list[str], part: str) -> None:
    assert native(*frames) == part


def test_samples_are_told_apart() -> None:
    script = "\t  ffff tcp_sendmsg ([kernel.kallsyms])\n\t  7f00 send (libc.so.6)\n\n\t  10 scan (_parser.so)\n\n"
    found = list(module._perf_samples(script))  # noqa: SLF001 - the form of perf's output
    assert found == [["tcp_sendmsg ([kernel.kallsyms])", "send (libc.so.6)"], ["scan (_parser.so)"]]


@pytest.mark.parametrize(
    ("stack", "part"),
    [
        ("run (asyncio/runners.py:1);feed (fastsmtp/smtp/session.py:80)", "session"),
        (
            "feed (fastsmtp/smtp/session.py:80);ask (fastsmtp/pipeline/x.py:9);on_mail (plugins/loop.py:4)",
            "plugins",
        ),
        ("feed (fastsmtp/smtp/session.py:80);store (fastsmtp/delivery/maildir.py:9);dumps (json.py:1)", "store"),
        ("write (fastsmtp/log.py:80)", "log and metrics"),
        ("run (asyncio/runners.py:1)", "other Python"),
    ],
)
def test_what_py_spy_sees(stack: str, part: str) -> None:
    assert module._python_part(stack.split(";")) == part  # noqa: SLF001 - the verdict on one stack


def test_the_parts_are_the_whole() -> None:
    native_counts = Counter({"sockets": 30, "parse": 10, "interpreter": 60})
    found = module._combined(native_counts, Counter({"session": 3, "plugins": 1}), 200.0)  # noqa: SLF001
    assert found.keys() == set(PARTS)
    assert sum(found.values()) == pytest.approx(200)
    assert (found["sockets"], found["parse"], found["session"], found["plugins"]) == pytest.approx((60, 20, 90, 30))


def test_nothing_seen_is_no_figure() -> None:
    with pytest.raises(SystemExit, match="seen nothing"):
        module._combined(Counter(), Counter(), 1.0)  # noqa: SLF001


def test_a_server_under_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if why := module.missing():
        pytest.skip(why)
    monkeypatch.setattr(module, "_SECONDS", 1)
    with running(PEERS["fastsmtp"], tmp_path) as server:
        recipients = recipients_file(tmp_path, [f"{user}@bench.example" for user in USERS])
        parts, sent = split(server, Load(), recipients, tmp_path)
        assert server.peer.stored(server.site) == sent
    assert parts["session"] > 0
    assert parts["files"] > 0
    assert parts["sockets"] > 0


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert "perf not found" in module.missing()
