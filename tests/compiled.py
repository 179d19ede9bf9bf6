"""Whether what was compiled is what the sources say: Python takes a compiled module before the .py beside it."""

from pathlib import Path

__all__ = ["out_of_date"]


def out_of_date(folder: Path) -> list[str]:
    """A sentence for each compiled module in a folder that is older than its source, or has none any more."""
    return [sentence for library in sorted(folder.rglob("*.so")) if (sentence := _fault(library, folder))]


def _fault(library: Path, folder: Path) -> str:
    module = library.with_name(library.name.partition(".")[0])
    sources = [path for suffix in (".py", ".pyx", ".pxd") if (path := module.with_suffix(suffix)).exists()]
    if not any(path.suffix in (".pyx", ".pxd") for path in sources):
        return f"{library.relative_to(folder)}: nothing says that it is to be compiled; run make, which removes it"
    newer = [path.name for path in sources if path.stat().st_mtime > library.stat().st_mtime]
    if newer:
        return f"{library.relative_to(folder)} was compiled before {newer[0]} was changed; run make .venv/.built"
    return ""
