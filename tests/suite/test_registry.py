"""The registry of names: what ships, what plugins bring, what packages offer, and names that nothing has."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pneumobench.architectures.registry import ARCHITECTURES
from pneumobench.attributions.methods import METHODS
from pneumobench.datasets.layouts import LAYOUTS
from pneumobench.errors import SettingsError
from pneumobench.suite import registry as registry_module
from pneumobench.suite.registry import Registry, known_without_import, load_plugin_file
from pneumobench.training.controls import CONTROLS


@dataclass(frozen=True, kw_only=True)
class Thing:
    name: str
    origin: str = "here.py:1"


@pytest.fixture(autouse=True)
def own_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "_registries", {})


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[Thing]:
    """A registry whose package ships `alpha` and `beta`."""
    package = tmp_path / "shipped_things"
    package.mkdir()
    (package / "__init__.py").write_text("THINGS = None\n")
    for name in ("alpha", "beta"):
        (package / f"{name}.py").write_text(
            "import shipped_things\n"
            "from tests.suite.test_registry import Thing\n"
            f"shipped_things.THINGS.add(Thing(name={name!r}, origin=__file__))\n"
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("shipped_things", "shipped_things.alpha", "shipped_things.beta"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    found: Registry[Thing] = Registry("thing", group="test.things", shipped="shipped_things")
    import shipped_things  # type: ignore[import-not-found]

    shipped_things.THINGS = found
    return found


def test_modules_of_the_package_are_found_without_a_list(shipped: Registry[Thing]) -> None:
    assert shipped.names() == ("alpha", "beta")
    assert shipped.get("beta").origin.endswith("beta.py")
    (Path(sys.modules["shipped_things"].__path__[0]) / "gamma.py").write_text(
        "import shipped_things\nfrom tests.suite.test_registry import Thing\n"
        "shipped_things.THINGS.add(Thing(name='gamma'))\n"
    )
    importlib.invalidate_caches()
    assert shipped.get("gamma").name == "gamma"


def test_names_are_known_without_importing_what_ships(shipped: Registry[Thing]) -> None:
    registry_module._registries.clear()
    assert known_without_import("test.things", "shipped_things") == ("alpha", "beta")
    assert "shipped_things.alpha" not in sys.modules


def test_a_name_taken_twice_names_both_origins(shipped: Registry[Thing]) -> None:
    shipped.loaded()
    with pytest.raises(SettingsError, match=r"thing 'beta' is registered twice: .*beta\.py and mine\.py:7\. Rename"):
        shipped.add(Thing(name="beta", origin="mine.py:7"))
    shipped.add(Thing(name="delta"))
    shipped.add(Thing(name="delta"))  # the same once more


@pytest.mark.parametrize("name", ["Bad Name", "../up", "", "leaderboard"])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str, shipped: Registry[Thing]) -> None:
    with pytest.raises(SettingsError, match=r"here\.py:1: thing name .*; expected 1 to 64 of a-z"):
        shipped.add(Thing(name=name))


def test_an_unknown_name_suggests_the_nearest_and_says_how_to_bring_one(shipped: Registry[Thing]) -> None:
    with pytest.raises(SettingsError) as caught:
        shipped.get("betta")
    assert str(caught.value).startswith("unknown thing 'betta'; did you mean beta? Known: alpha, beta. A plugin file")
    assert "architectures.plugins" in str(caught.value)


def offer(monkeypatch: pytest.MonkeyPatch, folder: Path, **modules: str) -> None:
    entries = []
    for name, code in modules.items():
        (folder / f"offering_{name}.py").write_text(code)
        monkeypatch.delitem(sys.modules, f"offering_{name}", raising=False)
        entries.append(importlib.metadata.EntryPoint(name, f"offering_{name}", "test.things"))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: importlib.metadata.EntryPoints(entries))


def test_an_installed_package_is_imported_when_its_name_is_asked_for(
    shipped: Registry[Thing], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = (
        "import shipped_things\nfrom tests.suite.test_registry import Thing\n"
        "shipped_things.THINGS.add(Thing(name='offered', origin='offered'))\n"
    )
    offer(monkeypatch, tmp_path, offered=code, broken="raise RuntimeError('no GPU')")
    assert shipped.names() == ("alpha", "beta", "broken", "offered")
    assert "offering_offered" not in sys.modules
    assert shipped.get("offered").origin == "offered"
    with pytest.raises(SettingsError, match=r"thing 'broken' failed: RuntimeError\('no GPU'\)"):
        shipped.get("broken")


ALL_FOUR = """
import numpy as np
import pandas as pd
from pneumobench import register_architecture, register_control, register_layout, register_method
from pneumobench.datasets.layouts import LISTING_COLUMNS, Listing

@register_architecture("four_net", source="a test")
def four_net(): ...

@register_method("four_method", source="a test", needs_layer=False)
def four_method(architecture, radiographs, target=0): ...

@register_layout("four_layout", tree="    four", recognised=lambda folder: 0)
def four_layout(root, data): ...

@register_control("four_control", words="nothing")
def four_control(seen): ...
"""


def test_a_plugin_file_may_bring_all_four_kinds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    four: list[Registry[Any]] = [ARCHITECTURES, METHODS, LAYOUTS, CONTROLS]
    for one in four:
        monkeypatch.setattr(one, "_items", dict(one.loaded()))
    (tmp_path / "four.py").write_text(ALL_FOUR)
    load_plugin_file(tmp_path / "four.py")
    for one, name in zip(four, ("four_net", "four_method", "four_layout", "four_control"), strict=True):
        assert name in one.names()
        assert "four.py:" in one.loaded()[name].origin


def test_a_plugin_that_a_run_names_without_its_place_is_the_loaded_one_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"only_by_name\.py does not exist .*--plugin FILE"):
        load_plugin_file(Path("only_by_name.py"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/only_by_name.py").write_text("")
    load_plugin_file(tmp_path / "elsewhere/only_by_name.py")
    load_plugin_file(Path("only_by_name.py"))


@pytest.mark.parametrize(
    ("name", "kept"), [("ensemble-mean", "ensemble-"), ("index", "index"), ("control-x", "control-")]
)
def test_a_name_of_another_row_or_folder_cannot_be_registered(name: str, kept: str) -> None:
    one: Registry[Thing] = Registry("thing", group="test.kept", kept=(kept,))
    with pytest.raises(SettingsError, match=rf"here\.py:1: thing name '{name}' stands for something else"):
        one.add(Thing(name=name))
    one.add(Thing(name="indexed"))


def test_a_broken_package_is_listed_with_its_reason_and_costs_only_itself(
    shipped: Registry[Thing], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = (
        "import shipped_things\nfrom tests.suite.test_registry import Thing\n"
        "shipped_things.THINGS.add(Thing(name='whole', origin='whole'))\n"
    )
    offer(
        monkeypatch,
        tmp_path,
        broken="raise RuntimeError('no GPU')",
        ends="import os; os._exit(0)",
        empty="",
        whole=code,
    )
    broken = shipped.import_installed()
    assert set(broken) == {"broken", "ends", "empty"}
    assert "no GPU" in broken["broken"]
    assert "os._exit" in broken["ends"]
    assert "registers nothing of this name" in broken["empty"]
    assert shipped.get("whole").origin == "whole"
    with pytest.raises(SettingsError, match="no GPU"):
        shipped.get("broken")
