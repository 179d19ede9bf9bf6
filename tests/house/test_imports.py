"""Imports point down. The layers are those of the design; every import counts, also late ones and those for types."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# The longest name that fits decides.
LAYERS = {
    "fastsmtp": 0,  # the version
    "fastsmtp._header": 0,
    "fastsmtp._parser": 0,
    "fastsmtp.backoff": 0,
    "fastsmtp.errors": 0,
    "fastsmtp.stats": 0,
    "fastsmtp.enums": 0,
    "fastsmtp.smtp.replies": 0,
    "fastsmtp.smtp.address": 0,
    "fastsmtp.config.auth": 0,
    "fastsmtp.config.dns": 0,
    "fastsmtp.config.limits": 0,
    "fastsmtp.config.listeners": 0,
    "fastsmtp.config.log": 0,
    "fastsmtp.config.model": 0,
    "fastsmtp.config.networks": 0,
    "fastsmtp.config.places": 0,
    "fastsmtp.config.process": 0,
    "fastsmtp.config.records": 0,
    "fastsmtp.config.rates": 0,
    "fastsmtp.config.state": 0,
    "fastsmtp.config.table": 0,
    "fastsmtp.config.tls": 0,
    "fastsmtp.config.units": 0,
    "fastsmtp.smtp": 1,
    "fastsmtp.spf": 1,
    "fastsmtp.spf.lookup": 2,
    "fastsmtp.lately": 2,
    "fastsmtp.later": 2,
    "fastsmtp.state_keys": 2,
    "fastsmtp.placeholders": 2,
    "fastsmtp.reputation": 2,
    "fastsmtp.sightings": 2,
    "fastsmtp.tokens": 2,
    "fastsmtp.dns_lists": 2,
    "fastsmtp.plugin": 2,
    "fastsmtp.ports": 2,
    "fastsmtp.lists": 2,
    "fastsmtp.pipeline": 2,
    "fastsmtp._buckets": 3,
    "fastsmtp._maildir": 3,
    "fastsmtp._salvage": 3,
    "fastsmtp.delivery": 3,
    "fastsmtp.directory": 3,
    "fastsmtp.state": 3,
    "fastsmtp.dns": 3,
    "fastsmtp._clients": 4,
    "fastsmtp._process": 4,
    "fastsmtp.testing": 4,
    "fastsmtp.server": 4,
    "fastsmtp.metrics": 4,
    "fastsmtp.log": 4,
    "fastsmtp.records": 4,
    "fastsmtp.config": 4,
    "fastsmtp.cli": 4,
    "fastsmtp.__main__": 4,
}

# Who is only a name for everything below it: `fastsmtp.anything_new` must find its own place in the table.
NO_HOME = {"fastsmtp"}

PLUGINS_MAY_IMPORT = {
    "fastsmtp.plugin",
    "fastsmtp.ports",
    "fastsmtp.spf.check",
    "fastsmtp.spf.lookup",
    "fastsmtp.spf.received",
    "maxminddb",  # geoip, late: nobody else needs it
}

# The protocol does no input or output and has no clock.
SANS_IO = ("fastsmtp._parser", "fastsmtp.smtp", "fastsmtp.spf")
NOT_SANS_IO = {
    "aiodns", "aiohttp", "asyncio", "asyncpg", "multiprocessing", "select", "selectors", "signal", "socket", "sqlite3",
    "ssl", "subprocess", "threading", "time", "uvloop",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, and where it says so."""

    importer: str
    imported: str
    where: str


def layer(module: str) -> int | None:
    """The layer of a module of ours, or None for one that has none."""
    name = module
    while name not in LAYERS:
        if "." not in name:
            return None
        name = name.rpartition(".")[0]
    return None if name in NO_HOME and module != name else LAYERS[name]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(folder: str, suffix: str = ".py") -> list[Path]:
    return sorted((ROOT / folder).rglob(f"*{suffix}"))


MODULES = {module_name(path) for path in [*sources("fastsmtp"), *sources("fastsmtp", ".pyx")]}


def imports(path: Path) -> list[Import]:
    """Every import in a file: `from package import module` names the module, if there is one of that name."""
    importer, where = module_name(path), path.relative_to(ROOT)
    if path.suffix != ".py":
        pattern = re.compile(r"^\s*(?:from|c?import)\s+([\w.]+)")
        found = ((number, pattern.match(line)) for number, line in enumerate(path.read_text().splitlines(), start=1))
        return [Import(importer, match[1], f"{where}:{number}") for number, match in found if match]
    package = importer if path.name == "__init__.py" else importer.rpartition(".")[0]
    return [
        Import(importer, imported, f"{where}:{node.lineno}")
        for node in ast.walk(ast.parse(path.read_text(), path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for imported in dict.fromkeys(imported_by(node, package))
    ]


def imported_by(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parents = package.split(".")
        base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [node.module])])
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        yield inner if inner in MODULES else base


ENGINE = [
    found for suffix in (".py", ".pyx", ".pxd") for path in sources("fastsmtp", suffix) for found in imports(path)
]
INSIDE = [found for found in ENGINE if found.imported in MODULES and found.imported != found.importer]


def report(findings: list[str]) -> None:
    if findings:
        pytest.fail("\n".join(["", *findings]), pytrace=False)


def test_every_module_has_a_layer() -> None:
    report([f"{module}: not in the table of layers" for module in sorted(MODULES) if layer(module) is None])


def test_every_name_in_the_table_is_a_module() -> None:
    # A package without an __init__.py would be there and not be counted.
    report([f"{module}: in the table of layers, but there is none" for module in sorted(set(LAYERS) - MODULES)])


def test_imports_point_down() -> None:
    report(
        [
            f"{found.where}: {found.importer} (layer {above}) imports {found.imported} (layer {below})"
            for found in INSIDE
            if (above := layer(found.importer)) is not None
            and (below := layer(found.imported)) is not None
            and above < below
        ]
    )


def test_no_cycles_inside_a_layer() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in INSIDE:
        graph[found.importer].add(found.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle = error.args[1]
        steps = {(cycle[i + 1], cycle[i]) for i in range(len(cycle) - 1)}
        report(
            [
                f"{found.where}: {found.importer} -> {found.imported}"
                for found in INSIDE
                if (found.importer, found.imported) in steps
            ]
        )


def test_the_engine_knows_no_plugin_and_no_test() -> None:
    strangers = {"fastsmtp_plugins", "plugins", "tests", "bench"}
    report(
        [f"{found.where}: imports {found.imported}" for found in ENGINE if found.imported.split(".")[0] in strangers]
    )


def test_the_protocol_does_no_input_and_no_output() -> None:
    report(
        [
            f"{found.where}: {found.importer} imports {found.imported}"
            for found in ENGINE
            if found.importer.startswith(SANS_IO) and found.imported.split(".")[0] in NOT_SANS_IO
        ]
    )


def test_plugins_import_what_authors_may_import() -> None:
    report(
        [
            f"{found.where}: a plugin imports {found.imported}"
            for path in sources("plugins")
            for found in imports(path)
            if found.imported not in PLUGINS_MAY_IMPORT and found.imported.split(".")[0] not in sys.stdlib_module_names
        ]
    )


# --- The test itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "package", "imported"),
    [
        ("import fastsmtp.errors, socket", "fastsmtp.smtp", ["fastsmtp.errors", "socket"]),
        ("from fastsmtp import errors", "fastsmtp.smtp", ["fastsmtp.errors"]),
        ("from fastsmtp import __version__", "fastsmtp.smtp", ["fastsmtp"]),
        ("from fastsmtp.errors import StartError", "fastsmtp.smtp", ["fastsmtp.errors"]),
        ("from . import address, replies", "fastsmtp.smtp", ["fastsmtp.smtp.address", "fastsmtp.smtp.replies"]),
        ("from .address import Address", "fastsmtp.smtp", ["fastsmtp.smtp.address"]),
        ("from ..errors import StartError", "fastsmtp.smtp", ["fastsmtp.errors"]),
    ],
)
def test_imported_by(statement: str, package: str, imported: list[str]) -> None:
    node = ast.parse(statement).body[0]
    assert isinstance(node, ast.Import | ast.ImportFrom)
    assert list(imported_by(node, package)) == imported


def test_layer() -> None:
    assert [layer(name) for name in ("fastsmtp", "fastsmtp.smtp", "fastsmtp.smtp.session")] == [0, 1, 1]
    assert [layer(name) for name in ("fastsmtp.smtp.replies", "fastsmtp.config.model", "fastsmtp.config.load")] == [
        0,
        0,
        4,
    ]
    assert layer("fastsmtp.unheard_of") is None
