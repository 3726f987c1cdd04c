"""Names that suites use, and what stands behind them: one registry for each kind, open to plugins.

Four kinds are registered: architectures, attribution methods, data layouts and controls. What ships with the package
lies in a sub-package whose modules are imported when the first name is looked up. A plugin file or an installed package
may bring more of any kind.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Collection, Iterator
from importlib.machinery import SOURCE_SUFFIXES, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, Generic, Protocol, TypeVar

from pneumobench.errors import SettingsError, suggestion
from pneumobench.suite.names import NAME_RULE, is_name
from pneumobench.suite.plugin_trust import remember
from pneumobench.suite.process_state import unchanged_process

PLUGIN_KEY = "architectures.plugins"  # of a suite: the plugin files, whatever they register
PLUGIN_MODULE = "pneumobench_plugin_"  # what the module names of plugin files begin with


class Registered(Protocol):
    """What a registry holds: any frozen dataclass with these two fields."""

    @property
    def name(self) -> str:
        """The name in suites."""

    @property
    def origin(self) -> str:
        """File and line of the function."""


Item = TypeVar("Item", bound=Registered)
_registries: dict[str, Registry[Any]] = {}  # by entry point group; those of rooms that were imported


class Registry(Generic[Item]):
    """Things of one kind by name.

    Args:
        kind: what one is called in messages, e.g. `data layout`.
        group: entry point group; the name of an entry point is the name that its module registers.
        shipped: package whose modules register what ships; empty = nothing ships.
        kept: names that stand for something else beside what is registered; one that ends with `-` is the beginning of
            such names.
    """

    def __init__(self, kind: str, *, group: str, shipped: str = "", kept: tuple[str, ...] = ()) -> None:
        self.kind, self.group, self.shipped, self.kept = kind, group, shipped, kept
        self._items: dict[str, Item] = {}
        _registries[group] = self

    def add(self, item: Item) -> None:
        """Register one thing; the same function may come again, as a module that is imported twice does.

        Raises:
            SettingsError: the name is taken, which names both origins, or is not allowed.
        """
        if not is_name(item.name):
            raise SettingsError(f"{item.origin}: {self.kind} name {item.name!r}; expected {NAME_RULE}")
        if any(item.name == kept or (kept.endswith("-") and item.name.startswith(kept)) for kept in self.kept):
            raise SettingsError(
                f"{item.origin}: {self.kind} name {item.name!r} stands for something else in a run's folder or tables; "
                f"expected none of {', '.join(self.kept)}, nor one that begins like those with - at their end."
            )
        known = self._items.get(item.name)
        if known is not None and known.origin != item.origin:
            raise SettingsError(
                f"{self.kind} {item.name!r} is registered twice: {known.origin} and {item.origin}. Rename one of them."
            )
        self._items[item.name] = item

    def find(self, name: str) -> Item | None:
        """Return what has this name, or None; an installed package is imported only when it offers the name.

        Raises:
            SettingsError: a package that offers the name fails while it is imported, or does not register it.
        """
        self._import_shipped()
        if name not in self._items:
            for entry in self._entries():
                if entry.name == name:
                    self._import_offered(entry)
        return self._items.get(name)

    def get(self, name: str) -> Item:
        """Return what has this name.

        Raises:
            SettingsError: the name is unknown; suggests the nearest ones.
        """
        item = self.find(name)
        if item is None:
            raise SettingsError(unknown_name(self.kind, name, self.names()))
        return item

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted: shipped, registered by plugins, and offered by packages, which stay unimported."""
        self._import_shipped()
        return tuple(sorted({*self._items, *(entry.name for entry in self._entries())}))

    def loaded(self) -> dict[str, Item]:
        """Return what is registered so far, by name."""
        self._import_shipped()
        return dict(sorted(self._items.items()))

    def import_installed(self) -> dict[str, str]:
        """Import all installed packages that offer something, and return why those that failed did, by name."""
        broken = {}
        for entry in self._entries():
            if entry.name not in self._items:
                try:
                    self._import_offered(entry)
                except SettingsError as error:
                    broken[entry.name] = str(error)
        return broken

    def _import_offered(self, entry: importlib.metadata.EntryPoint) -> None:
        package = entry.dist.name if entry.dist else "unknown"
        what = f"package {package}: {self.kind} {entry.name!r}"
        try:
            with unchanged_process(what):
                entry.load()
        except (Exception, SystemExit) as error:
            raise SettingsError(f"{what} failed: {error!r}.") from error
        if entry.name not in self._items:
            raise SettingsError(f"{what} is offered, and {entry.value} registers nothing of this name.")

    def _entries(self) -> Iterator[importlib.metadata.EntryPoint]:
        yield from importlib.metadata.entry_points(group=self.group)

    def _import_shipped(self) -> None:
        for module in _modules_of(self.shipped):
            importlib.import_module(f"{self.shipped}.{module}")


def _modules_of(package: str) -> tuple[str, ...]:
    """Return the names of a package's modules; the package itself is not imported, only those that it lies in."""
    found = importlib.util.find_spec(package) if package else None
    places = found.submodule_search_locations if found is not None else None
    return tuple(sorted(module.name for module in pkgutil.iter_modules(places))) if places else ()


def unknown_name(kind: str, name: str, known: tuple[str, ...]) -> str:
    """Return the message about a name that nothing has.

    >>> unknown_name("control", "majorty", ("majority", "thumbnail"))
    "unknown control 'majorty'; did you mean majority? Known: majority, thumbnail. A plugin file that registers it is named in architectures.plugins or with --plugin FILE."
    """  # noqa: E501
    near = suggestion(name, known, count=1)
    return (
        f"unknown {kind} {name!r}; {near + ' ' if near else ''}Known: {', '.join(known)}. A plugin file that registers "
        f"it is named in {PLUGIN_KEY} or with --plugin FILE."
    )


def known_without_import(group: str, shipped: str) -> tuple[str, ...]:
    """Return the names of one kind without importing what registers them.

    Those that ship are the names of their modules, which a test holds; beside them what plugins registered already, and
    what installed packages offer.

    Args:
        group: entry point group of the kind.
        shipped: package of those that ship.
    """
    registered = _registries[group].loaded() if group in _registries else ()
    offered = (entry.name for entry in importlib.metadata.entry_points(group=group))
    return tuple(sorted({*_modules_of(shipped), *registered, *offered}))


def origin_of(function: Callable[..., Any]) -> str:
    """Return FILE:LINE of a function, for messages."""
    code = function.__code__ if inspect.isfunction(function) else None
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def require_source(kind: str, name: str, source: str, origin: str) -> None:
    """Check that what is registered says where it comes from.

    Raises:
        SettingsError: the source is empty.
    """
    if not source.strip():
        raise SettingsError(f"{origin}: {kind} {name!r} needs a source (DOI, arXiv number or address).")


def loaded_files(names: Collection[str]) -> list[Path]:
    """Return the plugin files that were loaded, and the files that registered what has one of these names, sorted."""
    modules = (module for name, module in sys.modules.items() if name.startswith(PLUGIN_MODULE))
    plugins = {Path(module.__file__) for module in modules if module.__file__ is not None}
    items = (item for one in _registries.values() for name, item in one._items.items() if name in names)
    return sorted(plugins | {Path(item.origin.rpartition(":")[0]) for item in items})


class _FromSource(SourceFileLoader):
    """Compiles what the file says now: a cache goes by its size and second, and a repair can have both."""

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


def load_plugin_file(path: Path) -> None:
    """Run a Python file that registers architectures, attribution methods, data layouts or controls, once.

    A file that is not there counts as loaded where one of its name was: runs keep plugins from elsewhere by name alone.
    What the file changes of the process, such as the default dtype, is put back; its content is remembered as run on
    this machine, see `plugin_trust`.

    Raises:
        SettingsError: the file is missing, or fails, exits or ends the process while it is imported.
    """
    path = path.resolve()
    if not path.is_file():
        if path.name in (file.name for file in loaded_files(())):
            return
        raise SettingsError(f"plugin file {path} does not exist ({PLUGIN_KEY}); say where it lies with --plugin FILE.")
    module_name = f"{PLUGIN_MODULE}{re.sub(r'[^0-9a-zA-Z_]', '_', str(path))}"
    if module_name in sys.modules:
        return
    if path.suffix not in SOURCE_SUFFIXES:
        raise SettingsError(f"plugin file {path} is not a Python file.")
    spec = importlib.util.spec_from_file_location(module_name, path, loader=_FromSource(module_name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        with unchanged_process(f"plugin file {path}"):
            spec.loader.exec_module(module)
    except SettingsError:
        del sys.modules[module_name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise SettingsError(f"plugin file {path} failed while it was imported: {error!r}.") from error
    remember(path)
