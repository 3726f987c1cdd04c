"""An exported graph -> the same in eight bits: linear layers compute in whole numbers, kernels are stored in them.

Linear layers are those of transformers, quantized dynamically by ONNX Runtime: what they read gets its range image by
image. Kernels of convolutions are stored in eight bits, each output channel with a scale of its own, and computed with
in float32: whole-number convolutions of ONNX Runtime have one scale for all channels, which costs networks with
depthwise kernels more than a thousandth of AUC, and several times the seconds.

Source: Jacob et al. 2018, Quantization and training of neural networks for efficient integer-arithmetic-only inference,
arXiv:1712.05877.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LEVELS: Final = 127  # on either side of 0
LINEAR: Final = ["MatMul"]
SMALLEST_SCALE: Final = 1e-30  # of a channel that is all 0


def in_eight_bits(graph: bytes) -> bytes:
    """Return a graph with linear layers and kernels of eight bits; its inputs and outputs stay as they are."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "linear.onnx"
        quantize_dynamic(
            onnx.load_from_string(graph), written, op_types_to_quantize=LINEAR, per_channel=True,
            weight_type=QuantType.QInt8,
        )  # fmt: skip
        model = onnx.load(written)
    _store_kernels(model)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def whole_numbers(kernel: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a kernel (out, in, h, w) in whole numbers -127 to 127, and the scale (out,) of each output channel."""
    scale = np.abs(kernel).reshape(len(kernel), -1).max(axis=1) / LEVELS
    scale = np.maximum(scale, SMALLEST_SCALE).astype(np.float32)
    return np.rint(kernel / scale[:, None, None, None]).astype(np.int8), scale


def _store_kernels(model: Any) -> None:
    """Replace float kernels of convolutions by whole numbers and what turns them back, in place."""
    from onnx import helper, numpy_helper

    stored = {one.name: one for one in model.graph.initializer}
    turned: dict[str, Any] = {}
    for node in model.graph.node:
        if node.op_type != "Conv" or node.input[1] not in stored:
            continue
        name = node.input[1]
        if name not in turned:
            kernel = numpy_helper.to_array(stored[name])
            if kernel.dtype != np.float32 or kernel.ndim != 4:
                continue
            whole, scale = whole_numbers(kernel)
            model.graph.initializer.remove(stored[name])
            model.graph.initializer.extend(
                [numpy_helper.from_array(whole, f"{name}_whole"), numpy_helper.from_array(scale, f"{name}_scale")]
            )
            turned[name] = helper.make_node(
                "DequantizeLinear", [f"{name}_whole", f"{name}_scale"], [f"{name}_float"], axis=0, name=f"{name}_turned"
            )
        node.input[1] = f"{name}_float"
    for node in reversed(turned.values()):  # before all that reads them
        model.graph.node.insert(0, node)
