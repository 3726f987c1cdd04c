"""One finished smoke run, shared by the tests that only look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pneumobench.architectures.registry import ARCHITECTURES
from pneumobench.records.run_folder import RunFolder
from tests.end_to_end.commands import typed
from tests.registrations import registrations_forgotten

TEN_LINE_PLUGIN = """\
from torch import nn
from pneumobench import Architecture, HeatMapLayer, register_architecture


@register_architecture("ten_lines", source="a test")
def ten_lines(*, in_channels: int) -> Architecture:
    conv = nn.Conv2d(in_channels, 8, 3, stride=4)
    head = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1))
    layers = (HeatMapLayer(name="0"),)
    return Architecture(module=nn.Sequential(conv, head), in_channels=in_channels, heatmap_layers=layers)
"""

BROKEN_PLUGIN = """\
from torch import nn
from pneumobench import Architecture, register_architecture


class Broken(nn.Module):
    def __init__(self, message):
        super().__init__()
        self.linear, self.message = nn.Linear(1, 1), message

    def forward(self, x):
        if self.message == "nan":
            return self.linear(x.mean((1, 2, 3))[:, None]) * float("nan")
        if self.training:
            raise RuntimeError(self.message)
        return self.linear(x.mean((1, 2, 3))[:, None])


@register_architecture("too_large", source="a test")
def too_large():
    return Architecture(module=Broken("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"))


@register_architecture("crashes", source="a test")
def crashes():
    return Architecture(module=Broken("shape mismatch"))


@register_architecture("diverges", source="a test")
def diverges():
    return Architecture(module=Broken("nan"))
"""


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CompletedProcess[str]]:
    """Return the folder that holds runs/smoke, and the finished command: two networks, a plugin, three broken ones."""
    folder = tmp_path_factory.mktemp("smoke")
    (folder / "ten.py").write_text(TEN_LINE_PLUGIN)
    (folder / "broken.py").write_text(BROKEN_PLUGIN)
    names = "test_resnet,test_vit,ten_lines,too_large,crashes,diverges"
    done = typed("run", "smoke", "--architectures", names, "--plugin", "ten.py", "--plugin", "broken.py", cwd=folder)
    return folder, done


@pytest.fixture(scope="module")
def copied(smoke: tuple[Path, CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a copy of the smoke run's folder; its plugin is forgotten afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ARCHITECTURES, "_items", dict(ARCHITECTURES.loaded()))
        yield shutil.copytree(smoke[0], tmp_path_factory.mktemp("copy") / "smoke")


@pytest.fixture
def run(copied: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """Return the smoke run as it was when it finished; its plugin and data are named from the working folder."""
    monkeypatch.chdir(copied)
    for folder in ("gallery", "external", "confounds", "labels", "reader-study"):
        shutil.rmtree(Path("runs/smoke") / folder, ignore_errors=True)
    return RunFolder(Path("runs/smoke"))


@pytest.fixture(scope="module")
def beside_plugins(copied: Path) -> Iterator[None]:
    """The folder is that of the plugins which the smoke run's suite lists; they are forgotten with the file."""
    with registrations_forgotten(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(copied)
        yield
