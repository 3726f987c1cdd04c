"""The networks of an exported bundle in ONNX Runtime: prepared images -> what they say. No PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumobench.errors import RecordError, SettingsError, install_words
from pneumobench.lungs.lung_parts import masks_of_logits
from pneumobench.prediction.answers import Said
from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.bundle import BundledFold, OpenedBundle

PROVIDERS: Final = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
GRAY, FOLDS, MEAN, CLASSES = "gray", "fold_probability", "probability", "class_probability"  # names in the graph
IMAGES, LOGITS = "images", "logits"  # names in that of the segmenter
ERRORS_ONLY: Final = 3  # of what ONNX Runtime logs


class OnnxPredictor(AskedBundle):
    """The networks of an exported bundle, run by ONNX Runtime.

    Args:
        opened: the exported bundle.
        device: `cpu`, or `cuda` where the installed ONNX Runtime has it; the lungs are always found on the CPU.
        threads: of ONNX Runtime; 0 = one a core.

    Raises:
        RecordError: a graph cannot be read, or the bundle was made by a version that prepares images otherwise.
        SettingsError: onnxruntime is not installed, or does not have the device.
    """

    def __init__(self, opened: OpenedBundle, *, device: str = "cpu", threads: int = 0) -> None:
        exported = opened.bundle.exported
        assert exported is not None
        self._features, self.precision = exported.features, exported.precision
        self._session = _session(opened, exported.file, device, threads)
        self._segmenter = _session(opened, exported.lungs, "cpu", threads)
        super().__init__(opened, find_lungs=self._find_lungs)

    def say(self, radiographs: NDArray[np.uint8], folds: Sequence[BundledFold] | None = None) -> Said:
        """Return what the networks say of prepared images; see `AskedBundle.say`."""
        names = [one.name for one in self._session.get_outputs()]
        found = dict(zip(names, self._session.run(names, {GRAY: radiographs}), strict=True))
        chosen = self.bundle.folds if folds is None else folds
        places = [self.bundle.folds.index(fold) for fold in chosen]
        features = {file: found[output] for file, output in self._features.items()}
        return Said(probability=found[FOLDS][:, places], features=features, classes=found.get(CLASSES))

    def calibrated(self, grays: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the calibrated probability (N,) of whole images (N, H, W) that the graph prepares itself."""
        return np.asarray(self._session.run([MEAN], {GRAY: grays})[0], dtype=np.float32)

    def _find_lungs(self, wholes: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return masks_of_logits(self._segmenter.run([LOGITS], {IMAGES: wholes})[0])


def _session(opened: OpenedBundle, file: str, device: str, threads: int) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise SettingsError(
            f"{opened.path}: is an exported bundle, and onnxruntime, which runs it, is not installed: "
            f"{install_words('onnx')}."
        ) from None
    there = onnxruntime.get_available_providers()
    if PROVIDERS.get(device) not in there:
        known = [name for name, provider in PROVIDERS.items() if provider in there]
        raise SettingsError(f"device {device!r} cannot be used by the ONNX Runtime here; it has {', '.join(known)}.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = ERRORS_ONLY
    # kernels that are stored in eight bits become float32 once, not in every pass
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return onnxruntime.InferenceSession(opened.read(file), options, providers=[PROVIDERS[device]])
    except Exception as error:  # its errors share no class but this
        words = " ".join(str(error).split())[:200]
        raise RecordError(
            f"{opened.path}: {file} cannot be run by ONNX Runtime {onnxruntime.__version__} ({words})"
        ) from error
