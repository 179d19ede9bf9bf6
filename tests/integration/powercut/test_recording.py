"""The recorder misses nothing: what the model makes of a recording, when all is kept, is what is there."""

import subprocess
import sys
from pathlib import Path

import pytest
from integration.powercut.disk import Disk, State
from integration.powercut.recording import Event, Kind, build_shim, watch

# Each is run in a folder that has a file `old` of 5,000 bytes and a folder `box`.
PRELUDE = """
import ctypes, os, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
old = os.open("old", os.O_RDWR)
box = os.open("box", os.O_RDONLY | os.O_DIRECTORY)
def create(name, flags=0, **where):
    return os.open(name, os.O_CREAT | os.O_RDWR | flags, 0o600, **where)
"""

CALLS = {
    "create": "create('a')",
    "create by descriptor": "create('a', dir_fd=box)",
    "create below": "create('box/a', os.O_EXCL)",
    "create what is there": "os.write(create('old'), b'x')",
    "truncate by open": "create('old', os.O_TRUNC)",
    "write": "os.write(create('a'), b'one'); os.write(old, b'two')",
    "write at a position": "os.lseek(old, 4000, 0); os.write(old, b'x' * 5000)",
    "write behind a hole": "a = create('a'); os.lseek(a, 10_000, 0); os.write(a, b'x')",
    "append": "os.write(os.open('old', os.O_WRONLY | os.O_APPEND), b'more')",
    "write through a copied descriptor": "copy = os.dup(old); os.close(old); os.write(copy, b'x')",
    "write what cannot be read": "os.write(os.open('box/w', os.O_CREAT | os.O_WRONLY, 0o600), b'x')",
    "writev": "os.writev(old, [b'one', b'', b'two'])",
    "pwrite": "os.pwrite(old, b'x' * 9, 4999)",
    "pwritev": "os.pwritev(old, [b'one', b'two'], 8190)",
    "libc pwritev": """
data = ctypes.create_string_buffer(b'hello')
libc.pwritev.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_longlong]
assert libc.pwritev(old, struct.pack('PN', ctypes.addressof(data), 5), 1, 700) == 5
""",
    "python file": "open('a', 'w').write('x' * 100_000)",
    "copy_file_range": "os.copy_file_range(old, create('a'), 3000, 100); os.copy_file_range(old, old, 9, 0, 6000)",
    "sendfile": "os.sendfile(create('a'), old, 7, 3000)",
    "ftruncate": "os.ftruncate(old, 77)",
    "grow": "os.truncate('old', 7777)",
    "posix_fallocate": "os.posix_fallocate(create('a'), 0, 9000)",
    "fallocate": "assert libc.fallocate(old, 0, ctypes.c_longlong(4096), ctypes.c_longlong(9000)) == 0",
    "mkdir": "os.mkdir('a'); os.mkdir('box/b'); os.mkdir('c', dir_fd=box); create('box/c/d')",
    "makedirs": "os.makedirs('a/b/c'); create('a/b/c/d')",
    "link": "os.link('old', 'box/a')",
    "link by descriptor": "os.link('old', 'a', dst_dir_fd=box); os.write(old, b'both')",
    "rename": "os.rename('old', 'box/new'); os.write(old, b'x')",
    "rename over": "create('a'); os.replace('a', 'old')",
    "rename by descriptor": "os.rename('old', 'new', dst_dir_fd=box)",
    "renameat2": "assert libc.renameat2(-100, b'old', box, b'new', 1) == 0",
    "renameat2 that fails": "create('box/new'); assert libc.renameat2(-100, b'old', box, b'new', 1) == -1",
    "unlink": "os.unlink('old'); create('old')",
    "unlink by descriptor": "create('box/a'); create('box/b'); os.unlink('a', dir_fd=box)",
    "rmdir": "os.rmdir('box')",
    "no name": "a = os.open('.', os.O_TMPFILE | os.O_RDWR); os.write(a, b'x' * 9000)",
    "a name at last": """
a = os.open('box', os.O_TMPFILE | os.O_RDWR)
os.write(a, b'x' * 9000)
os.link(f'/proc/self/fd/{a}', 'new', dst_dir_fd=box, follow_symlinks=True)
""",
    "openat2": """
how = struct.pack('QQQ', os.O_CREAT | os.O_WRONLY, 0o600, 0)
a = libc.syscall(437, box, b'new', how, len(how))
assert a >= 0
os.write(a, b'openat2')
""",
    "from another folder": "os.chdir('/'); os.unlink('../old', dir_fd=box)",
}


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shim(tmp_path_factory.mktemp("shim"))


def run(shim: Path, folder: Path, code: str) -> tuple[Disk, list[Event]]:
    """Run code under the shim, in a folder inside the given one; what was there before, and what happened."""
    watched = folder / "watched"
    (watched / "box").mkdir(parents=True)
    (watched / "old").write_bytes(b"old" * 2000)
    recording = watch(shim, watched, folder / "log")
    disk = Disk(recording.folder)
    command = [sys.executable, "-I", "-S", "-c", PRELUDE + code]
    subprocess.run(command, cwd=watched, env=recording.environment, check=True, timeout=60)
    return disk, recording.events()


def everything(disk: Disk) -> State:
    return disk.state(
        [change.number for change in disk.unsynced_names()], {file.number: "kept" for file in disk.unsynced_files()}
    )


def contents(state: State) -> tuple[tuple[str, ...], dict[str, bytes]]:
    return state.directories, {path: content for path, (_, content) in state.files.items()}


@pytest.mark.parametrize("code", CALLS.values(), ids=CALLS)
def test_every_call_is_recorded(shim: Path, tmp_path: Path, code: str) -> None:
    disk, events = run(shim, tmp_path, code)
    for event in events:
        disk.apply(event)
    assert events
    assert contents(everything(disk)) == contents(everything(Disk(tmp_path / "watched")))


def test_what_lies_elsewhere_is_not(shim: Path, tmp_path: Path) -> None:
    _, events = run(
        shim,
        tmp_path,
        "os.write(create('../watched-not'), b'x'); os.mkdir('../elsewhere'); os.rename('../elsewhere', '../there');"
        "os.rmdir('../there'); os.fsync(os.open('..', os.O_RDONLY)); os.write(1, b'')",
    )
    assert events == []


def test_syncs_tell_when_they_began(shim: Path, tmp_path: Path) -> None:
    _, events = run(
        shim,
        tmp_path,
        "os.write(old, b'x'); os.fsync(old); os.write(old, b'y'); os.fdatasync(old); os.fsync(box); libc.syncfs(box)",
    )
    write, sync, _, datasync, directory, everywhere = events
    assert [event.kind for event in events] == [Kind.WRITE, Kind.SYNC, Kind.WRITE] + [Kind.SYNC] * 3
    watched = tmp_path / "watched"
    assert write.first == sync.first == datasync.first == (watched / "old").stat().st_ino
    assert (directory.first, everywhere.first) == ((watched / "box").stat().st_ino, 0)
    assert (sync.second, datasync.second) == (sync.at, datasync.at)


def test_acknowledgements_are_recorded_before_they_are_sent(shim: Path, tmp_path: Path) -> None:
    _, events = run(
        shim,
        tmp_path,
        """
here, there = socket.socketpair()
for number, send in enumerate([
    lambda data: os.write(here.fileno(), data),
    lambda data: os.writev(here.fileno(), [b'250 ', data]),
    here.send,
    lambda data: here.sendmsg([data, b'250']),
]):
    send(b'354 go on\\r\\n')
    os.write(old, b'x')
    send(b'250 2.0.0 Ok\\r\\n250 2.0.0 stored as A%d\\r\\n' % number)
""",
    )
    assert [event.kind for event in events] == [Kind.WRITE, Kind.ACKNOWLEDGE] * 4
    assert [event.one[-4:-2] for event in events[1::2]] == [b"A0", b"A1", b"A2", b"A3"]


def test_threads_and_processes_share_one_log(shim: Path, tmp_path: Path) -> None:
    disk, events = run(
        shim,
        tmp_path,
        """
from threading import Thread
def work(name):
    for number in range(100):
        os.write(create(f'{name}{number}'), b'x' * number)
        os.rename(f'{name}{number}', f'box/{name}{number}')
threads = [Thread(target=work, args=(name,)) for name in 'ab']
for thread in threads: thread.start()
if not os.fork():
    work('c')
    os._exit(0)
work('d')
for thread in threads: thread.join()
os.wait()
""",
    )
    for event in events:
        disk.apply(event)
    state = everything(disk)
    assert len(state.files) == 401
    assert contents(state) == contents(everything(Disk(tmp_path / "watched")))
