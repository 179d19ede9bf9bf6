"""Build the Cython modules; everything else is in pyproject.toml.

A module with a .pxd beside it is compiled: a .pyx, and just so a .py of the hot path, of which the .pxd says what
becomes a C struct and a C function. The .py stays the source, and what Python runs where nothing was compiled:
FASTSMTP_COMPILE=0 leaves out all of these. With FASTSMTP_COMPILE=later nothing is compiled, and nothing removed: pip
compiles everything anew, in a folder of its own, where `build_ext --inplace` compiles what was changed.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from Cython.Compiler import Errors
from setuptools import Extension, setup

GENERATED = "build/cython"
WRITTEN_IN_CYTHON = ["-O3", "-Wall", "-Wextra"]
AS_THEY_ARE = ["-O2", "-g0", "-w"]  # warnings are about what Cython made of it
Errors.LEVEL = 2  # below are critical sections, of a Python without a GIL, in what Cython writes for dataclasses
COMPILE = os.environ.get("FASTSMTP_COMPILE", "1")


def is_wanted(module: Path) -> bool:
    """Whether it is to be compiled."""
    return COMPILE == "1" or (COMPILE == "0" and module.suffix == ".pyx")


def module_of(declarations: Path) -> Path:
    """What a .pxd stands beside."""
    written = declarations.with_suffix(".pyx")
    return written if written.exists() else declarations.with_suffix(".py")


modules = [*Path("fastsmtp").glob("*.pyx"), *(module_of(path) for path in Path("fastsmtp").rglob("*.pxd"))]
wanted = sorted({module for module in modules if is_wanted(module)})
for library in Path("fastsmtp").rglob("*.so"):
    name = library.with_name(library.name.partition(".")[0])
    if COMPILE != "later" and name not in {module.with_suffix("") for module in wanted}:
        library.unlink()  # Python would take it before the .py beside it

setup(
    ext_modules=cythonize(
        [
            Extension(
                ".".join(module.with_suffix("").parts),
                [str(module)],
                extra_compile_args=WRITTEN_IN_CYTHON if module.suffix == ".pyx" else AS_THEY_ARE,
            )
            for module in wanted
        ],
        build_dir=GENERATED,
        nthreads=os.cpu_count(),
        language_level=3,
        # Types are what the .pxd says, as everywhere else in Python.
        compiler_directives={"annotation_typing": False, "show_performance_hints": False},
        quiet=True,
    ),
    options={"build_ext": {"parallel": os.cpu_count()}},
)
