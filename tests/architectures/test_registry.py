from __future__ import annotations

import importlib.metadata
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from pneumobench.architectures import hub
from pneumobench.architectures.architecture import Architecture
from pneumobench.architectures.registry import (
    ARCHITECTURES,
    Registration,
    build_architecture,
    check_names,
    register_architecture,
)
from pneumobench.errors import SettingsError
from pneumobench.suite.registry import load_plugin_file

PLUGIN = """
from torch import nn
from pneumobench import Architecture, register_architecture

@register_architecture("{name}", source="doi 10.1000/1")
def build(*, in_channels: int):
    return Architecture(module=nn.Sequential(nn.Flatten(), nn.LazyLinear(1)), in_channels=in_channels)
"""


def linear(*, in_channels: int = 1, image_side_px: int = 8) -> Architecture:
    module = nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_side_px**2, 1))
    return Architecture(module=module, in_channels=in_channels)


def build(name: str, *, weights: str = "none", seed: int = 0, in_channels: int = 1) -> Architecture:
    return build_architecture(name, in_channels=in_channels, image_side_px=8, weights=weights, seed=seed)


# registering


def test_a_registered_function_is_built_with_what_it_asks_for() -> None:
    asked: list[dict[str, int]] = []

    @register_architecture("nothing", source="x")
    def nothing() -> Architecture:
        asked.append({})
        return linear()

    @register_architecture("both", source="x")
    def both(*, image_side_px: int, in_channels: int, width: int = 3) -> Architecture:
        asked.append({"side": image_side_px, "channels": in_channels, "width": width})
        return linear(in_channels=in_channels, image_side_px=image_side_px)

    build("nothing")
    assert build("both", in_channels=3).in_channels == 3
    assert asked == [{}, {"side": 8, "channels": 3, "width": 3}]
    assert list(ARCHITECTURES.loaded()) == ["both", "nothing"]
    assert ARCHITECTURES.loaded()["both"].origin.startswith(__file__)
    assert both(image_side_px=4, in_channels=1).parameter_count() == 17, "the function stays a function"


def test_a_name_taken_twice_names_both_origins() -> None:
    register_architecture("mine", source="x")(linear)

    def other() -> Architecture:
        return linear()

    with pytest.raises(SettingsError, match="'mine' is registered twice") as caught:
        register_architecture("mine", source="x")(other)
    for function in (linear, other):
        assert f"{__file__}:{function.__code__.co_firstlineno}" in str(caught.value)
    assert "Rename one of them" in str(caught.value)


def test_the_same_function_may_register_again() -> None:
    register_architecture("mine", source="x")(linear)
    register_architecture("mine", source="x")(linear)
    assert list(ARCHITECTURES.loaded()) == ["mine"]


@pytest.mark.parametrize("name", ["", "My Net", "a/b", "../up", "x" * 65, "Ä"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="expected 1 to 64 of a-z 0-9 _") as caught:
        register_architecture(name, source="x")(linear)
    assert __file__ in str(caught.value)
    assert ARCHITECTURES.loaded() == {}


@pytest.mark.parametrize("source", ["", "  "])
def test_an_architecture_without_a_source_is_refused(source: str) -> None:
    with pytest.raises(SettingsError, match="'mine' needs a source"):
        register_architecture("mine", source=source)(linear)


# plugin files


def test_a_plugin_file_registers(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN.format(name="from_file"))
    load_plugin_file(tmp_path / "mine.py")
    assert ARCHITECTURES.loaded()["from_file"].source == "doi 10.1000/1"
    assert ARCHITECTURES.loaded()["from_file"].origin.endswith("mine.py:5")


def test_a_plugin_file_runs_once(tmp_path: Path) -> None:
    (tmp_path / "once.py").write_text(
        "from pathlib import Path\nwith Path(__file__ + '.log').open('a') as f: f.write('x')"
    )
    load_plugin_file(tmp_path / "once.py")
    load_plugin_file(tmp_path / "sub" / ".." / "once.py")
    assert (tmp_path / "once.py.log").read_text() == "x"


def test_two_files_of_one_name_are_two_plugins(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text(PLUGIN.format(name=f"net_{folder}"))
        load_plugin_file(tmp_path / folder / "net.py")
    assert list(ARCHITECTURES.loaded()) == ["net_a", "net_b"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ValueError('no good')", r"failed while it was imported: ValueError\('no good'\)"),
        ("import sys\nsys.exit(3)", r"failed while it was imported: SystemExit\(3\)"),
        ("def broken(:", "failed while it was imported: SyntaxError"),
        ("import no_such_package", "No module named 'no_such_package'"),
        (PLUGIN.format(name="Bad Name"), "architecture name 'Bad Name'; expected"),
    ],
)
def test_a_failing_plugin_is_named_and_may_be_tried_again(code: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text(code)
    before = set(sys.modules)
    for _ in range(2):
        with pytest.raises(SettingsError, match=words) as caught:
            load_plugin_file(path)
        assert "bad.py" in str(caught.value)
    assert not {name for name in set(sys.modules) - before if name.startswith("pneumobench_plugin")}
    written = path.stat()
    path.write_text(PLUGIN.format(name="repaired"))
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))  # in the same second
    load_plugin_file(path)
    assert "repaired" in ARCHITECTURES.loaded()


def test_a_missing_plugin_file_and_a_foreign_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.py does not exist \(architectures\.plugins\)"):
        load_plugin_file(tmp_path / "gone.py")
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(SettingsError, match=r"notes\.txt is not a Python file"):
        load_plugin_file(tmp_path / "notes.txt")


# names


def test_timm_names_tags_and_plugins_are_known() -> None:
    register_architecture("mine", source="x")(linear)
    check_names(dict.fromkeys(("resnet18", "resnet18.a1_in1k", "mine"), "none"))


def test_an_unknown_name_suggests_three() -> None:
    with pytest.raises(
        SettingsError, match=r"unknown architecture 'resnet19'; did you mean (\S+, \S+ or \S+)\?"
    ) as caught:
        check_names(dict.fromkeys(("resnet19",), "none"))
    assert "resnet18" in str(caught.value)


def test_all_unknown_names_are_listed_at_once() -> None:
    register_architecture("my_little_net", source="x")(linear)
    with pytest.raises(SettingsError) as caught:
        check_names(dict.fromkeys(("resnet19", "resnet18", "my_litle_net", "§§§§"), "none"))
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "my_little_net" in lines[1]
    assert lines[2] == "unknown architecture '§§§§'; `pneumobench architectures` lists the known ones."


def test_an_unknown_weight_tag_is_an_unknown_name() -> None:
    with pytest.raises(SettingsError, match=r"unknown architecture 'resnet18\.a9_in1k'; did you mean resnet18\.a"):
        check_names(dict.fromkeys(("resnet18.a9_in1k",), "none"))


def test_a_registered_name_goes_before_a_timm_name() -> None:
    register_architecture("resnet18", source="x")(linear)
    assert build("resnet18").parameter_count() == 65


# building


def test_the_seed_decides_the_weights() -> None:
    register_architecture("mine", source="x")(linear)
    for name in ("mine", "test_resnet"):
        states = []
        for seed, noise in ((1, 0), (1, 5), (2, 0)):
            torch.manual_seed(noise)
            torch.rand(noise + 1)
            built = build_architecture(name, in_channels=1, image_side_px=32 if name != "mine" else 8, seed=seed)
            states.append(torch.cat([p.detach().flatten() for p in built.module.parameters()]))
        assert torch.equal(states[0], states[1])
        assert not torch.equal(states[0], states[2])


def test_a_plugin_that_returns_a_bare_module_is_refused() -> None:
    @register_architecture("bare", source="x")
    def bare() -> Any:
        return nn.Linear(1, 1)

    with pytest.raises(SettingsError, match=r"test_registry\.py:\d+: 'bare' returned Linear; expected an Architecture"):
        build("bare")


def test_a_plugin_has_no_imagenet_weights() -> None:
    register_architecture("mine", source="x")(linear)
    with pytest.raises(SettingsError, match=r"'mine' \(.*test_registry.py:\d+\) has no weights from imagenet"):
        build("mine", weights="imagenet")


def test_a_plugin_loads_weights_from_a_folder(tmp_path: Path) -> None:
    register_architecture("mine", source="x")(linear)
    state = build("mine", seed=8).module.state_dict()
    save_file(state, tmp_path / "mine.safetensors")
    loaded = build("mine", weights=str(tmp_path))
    assert loaded.weights_origin == "file:mine.safetensors"
    assert all(torch.equal(value, state[key]) for key, value in loaded.module.state_dict().items())


def test_weights_that_do_not_fit_a_plugin_are_refused(tmp_path: Path) -> None:
    register_architecture("mine", source="x")(linear)
    with pytest.raises(SettingsError, match=r"mine\.safetensors: no such weights file"):
        build("mine", weights=str(tmp_path))
    save_file({"1.weight": torch.zeros(1, 4), "1.bias": torch.zeros(1)}, tmp_path / "mine.safetensors")
    with pytest.raises(SettingsError, match=r"mine\.safetensors: tensors do not fit architecture 'mine'"):
        build("mine", weights=str(tmp_path))
    (tmp_path / "mine.safetensors").write_bytes(b"cut")
    with pytest.raises(SettingsError, match=r"mine\.safetensors: not a readable safetensors file"):
        build("mine", weights=str(tmp_path))


# installed packages


def offer(monkeypatch: pytest.MonkeyPatch, folder: Path, **modules: str) -> None:
    """Pretend that an installed package offers architectures: entry point name -> code of its module."""
    monkeypatch.syspath_prepend(str(folder))
    entries = []
    for name, code in modules.items():
        (folder / f"offered_{name}.py").write_text(code)
        monkeypatch.delitem(sys.modules, f"offered_{name}", raising=False)
        entries.append(importlib.metadata.EntryPoint(name, f"offered_{name}", ARCHITECTURES.group))

    def entry_points(*, group: str) -> importlib.metadata.EntryPoints:
        assert group == ARCHITECTURES.group
        return importlib.metadata.EntryPoints(entries)

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


def test_an_installed_architecture_is_imported_only_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_registry: dict[str, Registration]
) -> None:
    offer(monkeypatch, tmp_path, wanted=PLUGIN.format(name="wanted"), other="raise RuntimeError('not asked for')")
    check_names(dict.fromkeys(("resnet18", "wanted"), "none"))
    assert set(own_registry) == {"wanted"}
    assert "offered_other" not in sys.modules


def test_listing_imports_all_and_names_the_one_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    offer(monkeypatch, tmp_path, first=PLUGIN.format(name="first"), second=PLUGIN.format(name="second"))
    ARCHITECTURES.import_installed()
    assert list(ARCHITECTURES.loaded()) == ["first", "second"]
    offer(monkeypatch, tmp_path, broken="raise RuntimeError('no GPU')")
    broken = ARCHITECTURES.import_installed()
    assert list(broken) == ["broken"]
    assert "architecture 'broken' failed: RuntimeError('no GPU')" in broken["broken"]
    with pytest.raises(SettingsError, match=r"architecture 'broken' failed: RuntimeError\('no GPU'\)"):
        check_names(dict.fromkeys(("broken",), "none"))


@pytest.mark.parametrize("name", ["ensemble-mean", "ensemble-weighted", "control-majority", "gallery", "index"])
def test_names_of_other_rows_and_folders_cannot_be_registered(name: str) -> None:
    with pytest.raises(SettingsError, match=f"architecture name '{name}' stands for something else"):
        register_architecture(name, source="x")(linear)


def test_what_building_changes_of_the_process_is_put_back() -> None:
    @register_architecture("meddles", source="x")
    def meddles() -> Architecture:
        torch.set_num_threads(5)
        torch.set_default_dtype(torch.float64)
        return linear()

    build("meddles")
    assert (torch.get_num_threads(), torch.get_default_dtype()) == (1, torch.float32)


# addresses, tags and pretrained weights


@pytest.mark.parametrize(
    "name", ["hf-hub:timm/resnet18.a1_in1k", "hf_hub:timm/resnet18.a1_in1k", "timm/resnet18.a1_in1k"]
)
def test_an_address_of_the_hub_names_the_same_network(name: str) -> None:
    with pytest.raises(SettingsError, match=r"is an address.*The same network is 'resnet18\.a1_in1k'"):
        check_names(dict.fromkeys((name,), "none"))


def test_an_address_of_somebody_elses_network_says_what_to_do() -> None:
    with pytest.raises(SettingsError, match=r"timm does not know 'pneumonia'.*put NAME\.safetensors into a folder"):
        check_names(dict.fromkeys(("hf-hub:someone/pneumonia",), "none"))


def test_capital_letters_are_a_misspelling() -> None:
    with pytest.raises(SettingsError, match="did you mean resnet18"):
        check_names(dict.fromkeys(("ResNet18",), "none"))


def test_a_network_without_pretrained_weights_is_found_before_anything_is_read() -> None:
    without = sorted(set(timm.list_models()) - {name.split(".")[0] for name in timm.list_models(pretrained=True)})[0]
    with pytest.raises(SettingsError, match=f"{without}: timm has no pretrained weights of it"):
        check_names({without: "imagenet"})


def test_weights_offline_fail_at_once_with_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "hub_answers", lambda: False)
    started = time.monotonic()
    with pytest.raises(
        SettingsError, match=r"does not answer, and they are not in its local cache\. Without internet, put"
    ):
        build_architecture("test_resnet", in_channels=1, image_side_px=64, weights="imagenet")
    assert time.monotonic() - started < 10


def test_a_hub_that_never_answers_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        def head(self, *_: object, **__: object) -> None:
            time.sleep(30)

    monkeypatch.setattr("huggingface_hub.get_session", Silent)
    started = time.monotonic()
    assert not hub.hub_answers(0.2)
    assert time.monotonic() - started < 5
