"""pneumobench: compare deep networks for pneumonia detection on chest X-rays of children.

Public names are loaded when they are first used, so that importing the package imports no PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pneumobench.architectures import (
        Architecture,
        HeatMapLayer,
        build_architecture,
        register_architecture,
    )
    from pneumobench.attributions.methods import register_method
    from pneumobench.datasets.layouts import register_layout
    from pneumobench.runs.run import run
    from pneumobench.suite.reader import load_suite
    from pneumobench.suite.spec import Suite
    from pneumobench.training.controls import register_control

_HOMES = {
    "Architecture": "pneumobench.architectures",
    "HeatMapLayer": "pneumobench.architectures",
    "build_architecture": "pneumobench.architectures",
    "register_architecture": "pneumobench.architectures",
    "register_control": "pneumobench.training.controls",
    "register_layout": "pneumobench.datasets.layouts",
    "register_method": "pneumobench.attributions.methods",
    "Suite": "pneumobench.suite.spec",
    "load_suite": "pneumobench.suite.reader",
    "run": "pneumobench.runs.run",
}

__all__ = [
    "Architecture",
    "HeatMapLayer",
    "Suite",
    "build_architecture",
    "load_suite",
    "register_architecture",
    "register_control",
    "register_layout",
    "register_method",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pneumobench' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
