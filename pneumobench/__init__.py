"""pneumobench: compare deep networks for pneumonia detection on chest X-rays of children.

The names below are the public interface. Each is loaded when it is first used, so that importing the package imports
no PyTorch.

Example:
    >>> import pneumobench as pb
    >>> suite = pb.load_suite("quickstart", training={"epochs": 3}, architectures=["resnet18"])
    >>> suite.training.epochs
    3
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
    from pneumobench.errors import (
        DataError,
        DivergedError,
        LeakError,
        NotAvailableError,
        PneumobenchError,
        RecordError,
        SettingsError,
        UnreadableImageError,
    )
    from pneumobench.prediction.answers import Prediction
    from pneumobench.prediction.loading import load
    from pneumobench.prediction.predictor import Predictor
    from pneumobench.runs.comparison import Comparison, compare
    from pneumobench.runs.execution import Execution
    from pneumobench.runs.finished import Run
    from pneumobench.runs.lightning_parts import FoldDataModule, PneumoniaClassifier
    from pneumobench.runs.opening import open_run
    from pneumobench.runs.results import Evaluation, ImageAnswers, Leaderboard
    from pneumobench.runs.run import run
    from pneumobench.suite.architectures import ArchitectureSpec
    from pneumobench.suite.phantoms import PhantomSpec
    from pneumobench.suite.reader import load_suite
    from pneumobench.suite.shipped import suite_names
    from pneumobench.suite.spec import (
        ControlSpec,
        DataSpec,
        ExplanationSpec,
        FoldSpec,
        LoggingSpec,
        SearchSpec,
        Suite,
    )
    from pneumobench.suite.training import AugmentationSpec, FineTuningSpec, TrainingSpec
    from pneumobench.suite.variants import Variants, variants_of
    from pneumobench.training.controls import register_control

    __version__: str

_NAMES_OF = {
    "pneumobench.architectures": ("Architecture", "HeatMapLayer", "build_architecture", "register_architecture"),
    "pneumobench.attributions.methods": ("register_method",),
    "pneumobench.datasets.layouts": ("register_layout",),
    "pneumobench.errors": (
        "DataError", "DivergedError", "LeakError", "NotAvailableError", "PneumobenchError", "RecordError",
        "SettingsError", "UnreadableImageError",
    ),
    "pneumobench.prediction.answers": ("Prediction",),
    "pneumobench.prediction.loading": ("load",),
    "pneumobench.prediction.predictor": ("Predictor",),
    "pneumobench.runs.comparison": ("Comparison", "compare"),
    "pneumobench.runs.execution": ("Execution",),
    "pneumobench.runs.finished": ("Run",),
    "pneumobench.runs.lightning_parts": ("FoldDataModule", "PneumoniaClassifier"),
    "pneumobench.runs.opening": ("open_run",),
    "pneumobench.runs.results": ("Evaluation", "ImageAnswers", "Leaderboard"),
    "pneumobench.runs.run": ("run",),
    "pneumobench.suite.reader": ("load_suite",),
    "pneumobench.suite.phantoms": ("PhantomSpec",),
    "pneumobench.suite.shipped": ("suite_names",),
    "pneumobench.suite.architectures": ("ArchitectureSpec",),
    "pneumobench.suite.spec": (
        "ControlSpec", "DataSpec", "ExplanationSpec", "FoldSpec", "LoggingSpec",
        "SearchSpec", "Suite",
    ),
    "pneumobench.suite.variants": ("Variants", "variants_of"),
    "pneumobench.training.controls": ("register_control",),
    "pneumobench.suite.training": ("AugmentationSpec", "FineTuningSpec", "TrainingSpec"),
}  # fmt: skip
_HOMES = {name: home for home, names in _NAMES_OF.items() for name in names}

__all__ = [
    "Architecture",
    "ArchitectureSpec",
    "AugmentationSpec",
    "Comparison",
    "ControlSpec",
    "DataError",
    "DataSpec",
    "DivergedError",
    "Evaluation",
    "Execution",
    "ExplanationSpec",
    "FineTuningSpec",
    "FoldDataModule",
    "FoldSpec",
    "HeatMapLayer",
    "ImageAnswers",
    "Leaderboard",
    "LeakError",
    "LoggingSpec",
    "NotAvailableError",
    "PhantomSpec",
    "PneumobenchError",
    "PneumoniaClassifier",
    "Prediction",
    "Predictor",
    "RecordError",
    "Run",
    "SearchSpec",
    "SettingsError",
    "Suite",
    "TrainingSpec",
    "UnreadableImageError",
    "Variants",
    "__version__",
    "build_architecture",
    "compare",
    "load",
    "load_suite",
    "open_run",
    "register_architecture",
    "register_control",
    "register_layout",
    "register_method",
    "run",
    "suite_names",
    "variants_of",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("pneumobench")
    if name not in _HOMES:
        raise AttributeError(f"module 'pneumobench' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
