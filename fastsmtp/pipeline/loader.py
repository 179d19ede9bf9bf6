"""From a `[[plugin]]` entry to a plugin: find the class, fit the options, see which hooks it has.

`use` is looked up as an entry point of the group `fastsmtp.plugins`, then as NAME.py in `plugin_path`, then as
`module:Class`. Ours load by the same road as anybody else's.
"""

import dataclasses
import difflib
import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from fastsmtp.config.model import PluginEntry
from fastsmtp.errors import PluginLoadError
from fastsmtp.plugin import AnyPlugin, NoOptions, Plugin, Stage

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

__all__ = ["ENTRY_POINTS", "LoadedPlugin", "hooks_of", "load_plugins"]

ENTRY_POINTS = "fastsmtp.plugins"

_HOOKS = [stage.value for stage in Stage]


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """A plugin with the operator's wishes; `stages` in the order in which a connection meets them."""

    name: str
    use: str
    plugin: AnyPlugin
    mode: Literal["active", "shadow"]
    on_fault: Literal["defer", "pass", "reject"]
    timeout_s: float
    stages: tuple[Stage, ...]


def load_plugins(
    entries: Sequence[PluginEntry],
    plugin_path: Sequence[Path] = (),
    classes: Mapping[str, type[AnyPlugin]] = MappingProxyType({}),
) -> list[LoadedPlugin]:
    """The plugins of the configuration, in its order. Raises PluginLoadError with every problem at once.

    `classes` has the classes that need not be looked for, by the name of their entry.
    """
    loaded: list[LoadedPlugin] = []
    problems: list[str] = []
    names: set[str] = set()
    places = _Places(plugin_path)
    for index, entry in enumerate(entries):
        where = f"plugin[{index}]"
        name = entry.title
        if name in names:
            problems.append(f'{where}: the name {name!r} is taken; give this entry a name = "..." of its own')
        names.add(name)
        try:
            plugin_class = _checked(classes[name], name) if name in classes else places.find(entry.use)
            plugin = _build(plugin_class, _fit(_options_type(plugin_class), entry, where), name)
        except PluginLoadError as error:
            problems += [problem if problem.startswith(where) else f"{where}: {problem}" for problem in error.problems]
            continue
        plugin.is_shadow = entry.mode == "shadow"
        loaded.append(
            LoadedPlugin(name, entry.use, plugin, entry.mode, entry.on_fault, entry.timeout, hooks_of(plugin_class))
        )
    if problems:
        raise PluginLoadError(problems)
    return loaded


def hooks_of(plugin_class: type[AnyPlugin]) -> tuple[Stage, ...]:
    """The stages whose hook the class overrides."""
    return tuple(stage for stage in Stage if getattr(plugin_class, stage.value) is not getattr(Plugin, stage.value))


class _Places:
    """Where plugins are looked for."""

    def __init__(self, plugin_path: Sequence[Path]) -> None:
        self._plugin_path = plugin_path

    @cached_property
    def _entry_points(self) -> "EntryPoints":
        """Those of every package that is installed: reading them takes milliseconds, and only here a late import."""
        from importlib.metadata import entry_points

        return entry_points(group=ENTRY_POINTS)

    def find(self, use: str) -> type[AnyPlugin]:
        """The class that an entry of the configuration names. Raises PluginLoadError."""
        for point in self._entry_points.select(name=use):
            return _checked(_import(use, point.load), use)
        if use.isidentifier():
            for folder in self._plugin_path:
                if (file := folder / f"{use}.py").is_file():
                    return _only_plugin(file)
        module, colon, name = use.partition(":")
        if colon:
            return _checked(getattr(_import(use, lambda: importlib.import_module(module)), name, None), use)
        known = sorted(point.name for point in self._entry_points)
        known += sorted(file.stem for folder in self._plugin_path for file in folder.glob("*.py"))
        raise PluginLoadError(f"no plugin is called {use!r}; {_hint(use, known, 'there are')}")


def _hint(word: str, known: Sequence[str], introduction: str) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"{introduction} {', '.join(known) or 'none'}"


def _import(use: str, load: Any) -> Any:
    try:
        return load()
    except (Exception, SystemExit) as error:
        raise PluginLoadError(f"{use!r} cannot be imported: {type(error).__name__}: {error}") from error


def _only_plugin(file: Path) -> type[AnyPlugin]:
    """The one plugin class that a file of `plugin_path` defines."""
    module_name = f"fastsmtp_local_{file.stem}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    loader = spec.loader if spec else None
    if spec is None or loader is None:
        raise PluginLoadError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses and pickle look their module up
    try:
        _import(str(file), lambda: loader.exec_module(module))
    except PluginLoadError:
        del sys.modules[module_name]
        raise
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Plugin) and value.__module__ == module_name
    ]
    if len(found) != 1:
        raise PluginLoadError(f"{file} defines {len(found)} plugins; it has to define one")
    return _checked(found[0], str(file))


def _checked(value: object, use: str) -> type[AnyPlugin]:
    """A plugin class all of whose hooks exist: one that is misspelled would be a check that never runs."""
    if not (isinstance(value, type) and issubclass(value, Plugin)):
        raise PluginLoadError(f"{use!r} is not a class derived from fastsmtp.plugin.Plugin")
    strange = [name for name in dir(value) if name.startswith("on_") and not hasattr(Plugin, name)]
    if strange:
        raise PluginLoadError([f"{use!r} has a hook {name!r}; {_hint(name, _HOOKS, 'hooks are')}" for name in strange])
    return value


def _build(plugin_class: type[AnyPlugin], options: Any, name: str) -> AnyPlugin:
    try:
        return plugin_class(options, name)
    except PluginLoadError:
        raise
    except Exception as error:
        raise PluginLoadError(f"{name!r} cannot be made: {type(error).__name__}: {error}") from error


def _options_type(plugin_class: type[AnyPlugin]) -> type[Any]:
    """The X of `Plugin[X]`."""
    for ancestor in plugin_class.__mro__:
        for base in getattr(ancestor, "__orig_bases__", ()):
            origin = get_origin(base)
            if isinstance(origin, type) and issubclass(origin, Plugin) and isinstance(get_args(base)[0], type):
                return get_args(base)[0]  # type: ignore[no-any-return] # get_args() is untyped by nature
    return NoOptions


def _fit(options_type: type[Any], entry: PluginEntry, where: str) -> Any:
    """The options as the plugin's dataclass; unknown names are errors, with a suggestion."""
    if not dataclasses.is_dataclass(options_type):
        raise PluginLoadError(f"{where}: the plugin's options have to be a dataclass, not {options_type.__name__}")
    options = entry.options
    known = [field.name for field in dataclasses.fields(options_type) if field.init]
    problems = [
        f"{where}.options.{key}: unknown option; {_hint(key, known, 'known are')}"
        for key in options
        if key not in known
    ]
    try:
        fitted = TypeAdapter(options_type).validate_python(
            {key: options[key] for key in options if key in known}, context={"base": entry.folder}
        )
    except ValidationError as error:
        # What is missing may be what was misspelled: that is said above already.
        faults = [fault for fault in error.errors() if not (problems and fault["type"] == "missing")]
        problems += [
            f"{'.'.join((where, 'options', *map(str, fault['loc'])))}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in faults
        ]
    except (PydanticUserError, NameError) as error:
        problems.append(f"{where}: the types of {options_type.__name__} cannot be read: {error}")
    if problems:
        raise PluginLoadError(problems)
    return fitted
