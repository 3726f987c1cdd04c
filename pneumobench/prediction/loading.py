"""A bundle -> what answers with it: PyTorch, or ONNX Runtime for an exported one, where PyTorch is never imported."""

from __future__ import annotations

from pathlib import Path

from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.bundle import OpenedBundle, open_bundle


def load(path: str | Path, *, device: str = "cpu") -> AskedBundle:
    """Open a bundle, exported or not, and return what answers with its networks.

    Args:
        path: folder or ZIP file that `pneumobench bundle` or `pneumobench export` wrote.
        device: what computes: cpu, cuda, or another word of PyTorch where that runs it.

    Raises:
        SettingsError: nothing that could be a bundle is there, the device is not, or onnxruntime is not installed.
        RecordError: a file of it is missing or was changed.

    Example:
        >>> import pneumobench as pb
        >>> try:
        ...     pb.load("bundles/nowhere")
        ... except pb.SettingsError as error:
        ...     print(error)
        bundles/nowhere: no such file or folder; expected a bundle, or the folder of a run.
    """
    return asked_bundle(open_bundle(Path(path)), device=device)


def asked_bundle(opened: OpenedBundle, *, device: str = "cpu") -> AskedBundle:
    """Return what answers with the networks of an opened bundle; see `load`."""
    if opened.bundle.exported is not None:
        from pneumobench.prediction.onnx_predictor import OnnxPredictor

        return OnnxPredictor(opened, device=device)
    from pneumobench.prediction.predictor import Predictor

    return Predictor(opened, device=device)
