"""EVA-X: vision transformers (EVA-02, patches of 16 px, 224 px) trained on chest X-rays without labels.

python benchmark/weights/as_safetensors.py eva_x_small_patch16_merged520k_mim.pt eva_x/eva_x_small.safetensors
pneumobench run kermany --data DATA --plugin benchmark/plugins/eva_x.py --architectures eva_x_small \
    --architectures.weights eva_x --data.image_side_px 224 --training.fit frozen_logistic

The files eva_x_tiny_, eva_x_small_ and eva_x_base_patch16_merged520k_mim.pt are at https://huggingface.co/MapleF/eva_x.
Their tensors have the names of EVA-02, which timm translates itself.

Source: Yao et al. 2024, EVA-X: a foundation model for general chest X-ray analysis with self-supervised learning,
arXiv 2405.05237.
"""

from collections.abc import Callable, Mapping
from typing import Final

from torch import Tensor

from pneumobench import Architecture, register_architecture
from pneumobench.architectures.published import PublishedWeights, require_tensors
from pneumobench.architectures.timm_backbone import build_timm_backbone
from pneumobench.suite.weights import WeightsCard

SOURCE: Final = "https://github.com/hustvl/EVA-X, https://huggingface.co/MapleF/eva_x, arXiv 2405.05237"
PATCH: Final = 16
CARD: Final = WeightsCard(
    source=SOURCE,
    licence="MIT",
    pixel_mean=0.49185243,
    pixel_std=0.28509309,
    # the images of their official test parts were left out, those of RSNA, which come from NIH, were not
    trained_on=("nih", "rsna", "chexpert", "mimic_cxr"),
)


def published(size: str, width: int) -> PublishedWeights:
    """Return how the weights of one size are read.

    Args:
        size: tiny, small or base.
        width: of its tokens.
    """

    def checked(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        patches = {"patch_embed.proj.weight": (width, 3, PATCH, PATCH), "cls_token": (1, 1, width)}
        require_tensors(found, {**patches, "pos_embed": (1, 0, width), "blocks.11.norm1.weight": (width,)})
        return dict(found)

    options = {"patch_size": PATCH, "ref_feat_shape": (14, 14)}  # the grid that rotary positions are of: 224 / 16
    return PublishedWeights(name=f"eva_x_{size}", card=CARD, tensors=checked, options=options)


def _registered(size: str, width: int) -> Callable[..., Architecture]:
    weights_of = published(size, width)

    @register_architecture(weights_of.name, source=SOURCE)
    def eva_x(*, in_channels: int, image_side_px: int, weights: str) -> Architecture:
        return build_timm_backbone(
            f"eva02_{size}_patch14_224", in_channels=in_channels, image_side_px=image_side_px, weights=weights,
            published=weights_of,
        )  # fmt: skip

    return eva_x


eva_x_tiny = _registered("tiny", 192)
eva_x_small = _registered("small", 384)
eva_x_base = _registered("base", 768)
