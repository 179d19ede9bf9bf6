"""Fuzz one target with atheris: see docs/fuzzing.md.

What is new goes into build/fuzz/corpus/TARGET, what fails into build/fuzz/TARGET-crash-*. With --keep, nothing is
fuzzed: the fewest of the new ones that reach all that they reach are added to tests/fuzz/corpus/TARGET.txt.
"""

import argparse
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
BUILD: Final = Path("build") / "fuzz"
"""From ROOT on: libFuzzer calls itself through a shell, which would stumble over a space in the path."""
MODULES: Final = ("_parser", "_salvage")
"""Extension modules with something to fuzz in them."""
AGAIN: Final = """\
#!/bin/sh
exec "{python}" "{program}" {target} --as-it-is "$@"
"""

sys.path.insert(0, str(HERE.parent))

from fuzz import corpora  # noqa: E402 - found by the line above


def main() -> None:
    """Fuzz until libFuzzer ends, or keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("target", choices=corpora.TARGETS)
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="minimise what was found, and add it")
    parser.add_argument("--as-it-is", action="store_true", help=argparse.SUPPRESS)
    known, options = parser.parse_known_args()
    os.chdir(ROOT)
    found = BUILD / "corpus" / known.target
    found.mkdir(parents=True, exist_ok=True)
    if known.keep:
        keep(known.target, found)
    elif known.as_it_is or any(Path(option).is_file() for option in options):
        fuzz(known.target, options)  # files are played once
    else:
        crash = f"-artifact_prefix={BUILD}/{known.target}-"
        words = f"-dict={HERE / 'smtp.dict'}"
        limits = ["-max_len=1024", "-timeout=20", f"-max_total_time={known.seconds}"]
        fuzz(known.target, [crash, words, *limits, *options, str(found), str(unpacked(known.target))])


def unpacked(target: str) -> Path:
    """A folder with the inputs that are checked in, as libFuzzer wants them."""
    folder = BUILD / "kept" / target
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, data in enumerate(corpora.read(target)):
        (folder / str(number)).write_bytes(data)
    return folder


def keep(target: str, found: Path) -> None:
    """Add what reaches something new; libFuzzer runs itself for that, again and again."""
    kept = unpacked(target)
    again = BUILD / f"again-{target}"
    again.write_text(AGAIN.format(python=sys.executable, program=__file__, target=target))
    again.chmod(0o755)
    subprocess.run([again, "-merge=1", kept, found], env={**os.environ, "FUZZ_AGAIN": str(again)}, check=True)
    corpora.write(target, [path.read_bytes() for path in kept.iterdir()])


def fuzz(target: str, arguments: Sequence[str]) -> None:
    """Give libFuzzer the target; does not return."""
    atheris: Any = importlib.import_module("atheris")  # most who check this file have not installed it
    os.environ["FUZZ_LIBRARY"] = str(importlib.import_module("atheris.core_with_libfuzzer").__file__)
    for module in MODULES:
        load_instrumented(module)
    prefer_sources()
    with atheris.instrument_imports(include=["fastsmtp", "properties", "fuzz"]):
        module_of_target: Any = importlib.import_module(f"fuzz.targets.{target}")
    atheris.Setup([os.environ.get("FUZZ_AGAIN", sys.argv[0]), *arguments], module_of_target.check)
    atheris.Fuzz()


def prefer_sources() -> None:
    """Import a .py, whose byte code atheris watches, also where it was compiled."""
    kinds = (SourceFileLoader, SOURCE_SUFFIXES), (ExtensionFileLoader, EXTENSION_SUFFIXES)
    sys.path_hooks.insert(0, FileFinder.path_hook(*kinds))
    sys.path_importer_cache.clear()


def load_instrumented(module: str) -> None:
    """Have everybody get an extension module of ours that tells libFuzzer where it goes."""
    library = BUILD / f"{module}{sysconfig.get_config_var('EXT_SUFFIX')}"
    sources = [*(ROOT / "fastsmtp").glob(f"{module}*.p*"), HERE / "coverage.c"]
    if not library.exists() or library.stat().st_mtime < max(path.stat().st_mtime for path in sources):
        compile_instrumented(module, library)
    name = f"fastsmtp.{module}"
    spec = importlib.util.spec_from_file_location(name, library)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


def compile_instrumented(module: str, library: Path) -> None:
    """Make it."""
    generated, counter = BUILD / f"{module}.c", BUILD / "coverage.o"
    compiler = [os.environ.get("CC", "gcc"), "-fPIC", "-O2", f"-I{sysconfig.get_path('include')}"]
    watched = [*compiler, "-fsanitize-coverage=trace-pc,trace-cmp", "-shared"]
    for command in (
        [sys.executable, "-m", "cython", "-3", str(ROOT / "fastsmtp" / f"{module}.pyx"), "-o", str(generated)],
        [*compiler, "-c", str(HERE / "coverage.c"), "-o", str(counter)],
        [*watched, str(generated), str(counter), "-o", str(library)],
    ):
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
