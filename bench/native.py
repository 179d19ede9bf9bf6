"""The programs in C: built when they are needed, with the compiler that building fastsmtp needs anyway."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Final

__all__ = ["BUILD", "ROOT", "program"]

ROOT: Final = Path(__file__).parents[1]
BUILD: Final = ROOT / "build"

_FLAGS: Final = ("-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-pthread")
_SOURCES: Final = {"load": "bench/load/native", "floor": "bench/floor", "limits": "bench/micro/native"}
_LIBRARIES: Final = {"load": ("-ldl", "-lm")}


def program(name: str) -> Path:
    """The path of `load`, `floor` or `limits`, newer than its sources. Raises SystemExit when it cannot be built."""
    sources = sorted((ROOT / _SOURCES[name]).glob("*.[ch]"))
    path = BUILD / "bin" / name
    if path.exists() and path.stat().st_mtime > max(source.stat().st_mtime for source in sources):
        return path
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        raise SystemExit(f"{name} is written in C, and there is no compiler {compiler[0]} (Debian: gcc)")
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{name}.{os.getpid()}")
    command = [*compiler, *_FLAGS, *(str(source) for source in sources if source.suffix == ".c"), "-o", str(half)]
    done = subprocess.run([*command, *_LIBRARIES.get(name, ())], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} cannot be built:\n{done.stderr}")
    half.rename(path)
    return path
