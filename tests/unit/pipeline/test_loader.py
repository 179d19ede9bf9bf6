"""From a `[[plugin]]` entry to a plugin."""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import pytest

from fastsmtp.config.model import PluginEntry
from fastsmtp.errors import PluginLoadError
from fastsmtp.pipeline.loader import LoadedPlugin, hooks_of, load_plugins
from fastsmtp.plugin import Address, AnyPlugin, Connection, Message, NoOptions, Plugin, Stage, Transaction

SOURCE = '''
from dataclasses import dataclass
from fastsmtp.plugin import Address, Plugin, Transaction

@dataclass(frozen=True)
class Options:
    """Nothing much."""
    word: str = "local"
    number: int = 0

class Local(Plugin[Options]):
    def on_mail(self, txn: Transaction, sender: Address) -> None: ...
'''


@dataclass(frozen=True, slots=True)
class Options:
    domains: frozenset[str]
    limit: int = 10

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise ValueError("`limit` is 0 or more")


class Sample(Plugin[Options]):
    def on_message(self, txn: Transaction, message: Message) -> None: ...

    def on_connect(self, connection: Connection) -> None: ...


class Bare(Plugin[NoOptions]):
    pass


def load(*tables: Mapping[str, object], path: Path | None = None, **classes: type[AnyPlugin]) -> list[LoadedPlugin]:
    return load_plugins([PluginEntry(**table) for table in tables], [path] if path else [], classes)  # type: ignore[arg-type] # the model checks


def problems(*tables: Mapping[str, object], path: Path | None = None, **classes: type[AnyPlugin]) -> tuple[str, ...]:
    with pytest.raises(PluginLoadError) as caught:
        load(*tables, path=path, **classes)
    return caught.value.problems


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "local.py").write_text(SOURCE)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_an_entry_point() -> None:
    (loaded,) = load({"use": "loop", "mode": "shadow", "on_fault": "pass", "timeout": "50ms"})
    assert (loaded.name, loaded.use, loaded.mode, loaded.on_fault, loaded.timeout_s) == (
        "loop",
        "loop",
        "shadow",
        "pass",
        0.05,
    )
    assert loaded.stages == (Stage.HEADERS,)
    assert type(loaded.plugin).__module__ == "fastsmtp_plugins.loop"


def test_a_file_in_the_plugin_path(folder: Path) -> None:
    (loaded,) = load({"use": "local", "options": {"word": "x"}}, path=folder)
    assert (loaded.name, loaded.plugin.options.word, loaded.stages) == ("local", "x", (Stage.MAIL,))


def test_a_class_in_a_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    (folder / "a_site.py").write_text(SOURCE)
    (loaded,) = load({"use": "a_site:Local"})
    assert (loaded.name, type(loaded.plugin).__module__) == ("Local", "a_site")


def test_an_entry_point_goes_before_a_file(folder: Path) -> None:
    (folder / "loop.py").write_text(SOURCE)
    (loaded,) = load({"use": "loop"}, path=folder)
    assert type(loaded.plugin).__name__ == "Loop"


def test_a_class_that_is_there_already() -> None:
    (loaded,) = load({"use": "anything", "name": "mine", "options": {"domains": ["a"]}}, mine=Sample)
    assert isinstance(loaded.plugin, Sample)
    assert loaded.plugin.options == Options(frozenset({"a"}))
    assert loaded.stages == (Stage.CONNECT, Stage.MESSAGE)


def test_paths_of_options_are_relative_to_the_file_that_has_them(tmp_path: Path) -> None:
    (tmp_path / "senders").write_text("spam.example\n")
    table = {"use": "block_sender", "options": {"file": "senders"}}
    (loaded,) = load_plugins([PluginEntry.model_validate(table, context={"base": tmp_path})])
    assert loaded.plugin.options.file == tmp_path / "senders"


def test_the_order_is_that_of_the_configuration(folder: Path) -> None:
    tables = [{"use": use} for use in ("loop", "local", "headers")]
    assert [loaded.name for loaded in load(*tables, path=folder)] == ["loop", "local", "headers"]


def test_the_same_plugin_twice_needs_two_names() -> None:
    assert problems({"use": "loop"}, {"use": "loop"}) == (
        "plugin[1]: the name 'loop' is taken; give this entry a name = \"...\" of its own",
    )
    assert [loaded.name for loaded in load({"use": "loop"}, {"use": "loop", "name": "second"})] == ["loop", "second"]


def test_unknown_plugins_with_a_suggestion(folder: Path) -> None:
    assert problems({"use": "bock_sender"}) == (
        "plugin[0]: no plugin is called 'bock_sender'; did you mean 'block_sender'?",
    )
    assert problems({"use": "locla"}, path=folder) == ("plugin[0]: no plugin is called 'locla'; did you mean 'local'?",)
    (problem,) = problems({"use": "zzz"})
    assert problem.startswith("plugin[0]: no plugin is called 'zzz'; there are a")


def test_everything_that_is_wrong_is_said_at_once(folder: Path) -> None:
    sample = {"use": "x", "name": "sample"}
    assert problems(
        {"use": "nothing_like_it"} | sample | {"options": {"domain": ["a"], "limit": "many"}},
        {"use": "locla"},
        {"use": "local", "options": {"word": 1, "number": "one"}},
        {"use": "loop", "options": {"max_received": -1}},
        path=folder,
        sample=Sample,
    ) == (
        "plugin[0].options.domain: unknown option; did you mean 'domains'?",
        "plugin[0].options.limit: Input should be a valid integer, unable to parse string as an integer",
        "plugin[1]: no plugin is called 'locla'; did you mean 'local'?",
        "plugin[2].options.word: Input should be a valid string",
        "plugin[2].options.number: Input should be a valid integer, unable to parse string as an integer",
        "plugin[3].options: `max_received` is a number of fields, or 0, not -1",
    )


def test_options_that_do_not_fit() -> None:
    sample = {"use": "x", "name": "sample"}
    assert problems(sample, sample=Sample) == ("plugin[0].options.domains: Field required",)
    assert problems(sample | {"options": {"domains": [], "limit": -1}}, sample=Sample) == (
        "plugin[0].options: `limit` is 0 or more",
    )
    assert problems(sample | {"options": {"domains": "a.example"}}, sample=Sample) == (
        "plugin[0].options.domains: Input should be a valid frozenset",
    )
    assert problems({"use": "x", "name": "bare", "options": {"a": 1}}, bare=Bare) == (
        "plugin[0].options.a: unknown option; known are none",
    )


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(7)", "cannot be imported: SystemExit: 7"),
        ("import no_such_module", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def", "cannot be imported: SyntaxError: invalid syntax"),
        ("", "defines 0 plugins; it has to define one"),
        (SOURCE + "class Other(Local): pass\n", "defines 2 plugins; it has to define one"),
        (SOURCE + "    def on_recipient(self): ...\n", "has a hook 'on_recipient'; did you mean 'on_rcpt'?"),
        (SOURCE.replace("[Options]", "[int]"), "the plugin's options have to be a dataclass, not int"),
        (SOURCE.replace("number: int", "number: 'Nowhere'"), "the types of Options cannot be read: "),
        (
            SOURCE + "    def __init__(self, options, name): raise OSError('no file')\n",
            "cannot be made: OSError: no file",
        ),
    ],
)
def test_files_that_give_no_plugin(folder: Path, source: str, problem: str) -> None:
    (folder / "broken.py").write_text(source)
    (said,) = problems({"use": "broken"}, path=folder)
    assert re.match(r"plugin\[0\]: ", said)
    assert problem in said


def test_a_file_that_cannot_be_imported_leaves_no_module(folder: Path) -> None:
    (folder / "broken.py").write_text("1 / 0")
    problems({"use": "broken"}, path=folder)
    assert "fastsmtp_local_broken" not in sys.modules


@pytest.mark.parametrize("use", ["json:loads", "json:nothing", "fastsmtp.pipeline.loader:LoadedPlugin"])
def test_what_is_no_plugin(use: str) -> None:
    assert problems({"use": use}) == (f"plugin[0]: {use!r} is not a class derived from fastsmtp.plugin.Plugin",)


def test_a_module_that_is_not_there() -> None:
    assert problems({"use": "no_such_module:Thing"}) == (
        "plugin[0]: 'no_such_module:Thing' cannot be imported: ModuleNotFoundError: No module named 'no_such_module'",
    )


OptionsT = TypeVar("OptionsT")


class Base(Plugin[OptionsT], Generic[OptionsT]):
    """A base of several plugins."""

    def on_mail(self, txn: Transaction, sender: Address) -> None: ...


class Derived(Base[Options]):
    pass


class More(Derived):
    def on_rcpt(self, txn: Transaction, recipient: Address) -> None: ...


@pytest.mark.parametrize("plugin_class", [Derived, More])
def test_options_and_hooks_are_inherited(plugin_class: type[AnyPlugin]) -> None:
    (loaded,) = load({"use": "x", "name": "derived", "options": {"domains": ["a"]}}, derived=plugin_class)
    assert loaded.plugin.options == Options(frozenset({"a"}))
    assert Stage.MAIL in loaded.stages


def test_hooks_are_those_that_are_overridden() -> None:
    assert hooks_of(Bare) == ()
    assert hooks_of(Sample) == (Stage.CONNECT, Stage.MESSAGE)
    assert hooks_of(More) == (Stage.MAIL, Stage.RCPT)
