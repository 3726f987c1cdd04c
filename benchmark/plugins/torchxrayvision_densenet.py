"""DenseNet-121 of TorchXRayVision: trained on labels of chest X-rays of adults, 18 findings at 224 px.

uv run --with torchxrayvision python benchmark/weights/torchxrayvision_densenet.py xrv
pneumobench run kermany --data DATA --plugin benchmark/plugins/torchxrayvision_densenet.py \
    --architectures torchxrayvision_densenet121 --architectures.weights xrv --data.image_side_px 224

Source: Cohen et al. 2022, TorchXRayVision: a library of chest X-ray datasets and models, arXiv 2111.00595; Cohen et al.
2020, On the limits of cross-domain generalization in automated X-ray prediction, arXiv 2002.02497.
"""

from collections.abc import Mapping
from typing import Final

from torch import Tensor

from pneumobench import Architecture, register_architecture
from pneumobench.architectures.published import PublishedWeights, require_tensors
from pneumobench.architectures.timm_backbone import build_timm_backbone
from pneumobench.suite.weights import WeightsCard

NAME: Final = "torchxrayvision_densenet121"
SOURCE: Final = "https://github.com/mlmed/torchxrayvision, arXiv 2111.00595"
LARGEST: Final = 1024  # gray levels [0, 1] become [-1024, 1024]
FIRST: Final = "features.conv0.weight"


def tensors_of_timm(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of timm's densenet121: the names are the same, the first convolution reads one channel."""
    require_tensors(found, {FIRST: (64, 1, 7, 7), "features.norm5.weight": (1024,), "classifier.weight": (0, 1024)})
    tensors = {name: one for name, one in found.items() if name != "op_threshs"}  # operating points, no weights
    tensors[FIRST] = tensors[FIRST].expand(-1, 3, -1, -1) / 3  # the same gray image three times
    return tensors


WEIGHTS: Final = PublishedWeights(
    name=NAME,
    card=WeightsCard(
        source=SOURCE,
        licence="Apache-2.0",
        pixel_mean=0.5,
        pixel_std=1 / (2 * LARGEST),
        # of densenet121-res224-all; RSNA's images are from NIH. Files of other sets have a card of their own
        trained_on=("nih", "rsna", "chexpert", "padchest", "mimic_cxr", "openi"),
    ),
    tensors=tensors_of_timm,
)


@register_architecture(NAME, source=SOURCE)
def torchxrayvision_densenet121(*, in_channels: int, image_side_px: int, weights: str) -> Architecture:
    """Return timm's densenet121, for these weights."""
    return build_timm_backbone(
        "densenet121", in_channels=in_channels, image_side_px=image_side_px, weights=weights, published=WEIGHTS
    )
