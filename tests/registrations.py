"""What tests register beside what ships, and how it is forgotten."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pneumobench
from pneumobench.suite import registry

PACKAGE = str(Path(pneumobench.__file__).parent)


@contextmanager
def registrations_forgotten() -> Iterator[None]:
    """Forget afterwards what was registered meanwhile, and the plugin files: others in this process list them all."""
    before = {group: set(one._items) for group, one in registry._registries.items()}
    modules = set(sys.modules)
    yield
    for group, one in registry._registries.items():
        for name in set(one._items) - before.get(group, set()):
            if not one._items[name].origin.startswith(PACKAGE):
                del one._items[name]
    for name in set(sys.modules) - modules:
        if name.startswith(registry.PLUGIN_MODULE):
            del sys.modules[name]
