"""Build the Cython modules; everything else is in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(
    ext_modules=cythonize(
        [
            Extension(f"fastsmtp.{name}", [f"fastsmtp/{name}.pyx"], extra_compile_args=["-O3", "-Wall", "-Wextra"])
            for name in ("_clients", "_maildir", "_parser", "_process", "_salvage")
        ],
        language_level=3,
    )
)
