"""RAD-DINO: a vision transformer trained on 882,775 chest X-rays without labels (DINOv2, ViT-B/14, 518 px).

pneumobench run kermany --data DATA --plugin benchmark/plugins/rad_dino.py --architectures rad_dino \
    --architectures.weights hf-hub:microsoft/rad-dino --data.image_side_px 224 --training.fit frozen_logistic

Without internet copy model.safetensors or backbone_compatible.safetensors of that repository into a folder as
rad_dino.safetensors, and name the folder. The side of the images has to be a multiple of 14.

Source: Perez-Garcia et al. 2025, Exploring scalable medical image encoders beyond text supervision, arXiv 2401.10815.
"""

import re
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from pneumobench import Architecture, register_architecture
from pneumobench.architectures.published import PublishedWeights, require_tensors
from pneumobench.architectures.timm_backbone import build_timm_backbone
from pneumobench.suite.weights import WeightsCard

NAME: Final = "rad_dino"
SOURCE: Final = "https://huggingface.co/microsoft/rad-dino, arXiv 2401.10815"
WIDTH: Final = 768
# names of Hugging Face's Dinov2Model and those of timm
RENAMED: Final = (
    (re.compile(r"embeddings\.cls_token"), "cls_token"),
    (re.compile(r"embeddings\.position_embeddings"), "pos_embed"),
    (re.compile(r"embeddings\.patch_embeddings\.projection\.(\w+)"), r"patch_embed.proj.\1"),
    (re.compile(r"encoder\.layer\.(\d+)\.(norm1|norm2|mlp\.fc1|mlp\.fc2)\.(\w+)"), r"blocks.\1.\2.\3"),
    (re.compile(r"encoder\.layer\.(\d+)\.layer_scale([12])\.lambda1"), r"blocks.\1.ls\2.gamma"),
    (re.compile(r"encoder\.layer\.(\d+)\.attention\.output\.dense\.(\w+)"), r"blocks.\1.attn.proj.\2"),
    (re.compile(r"layernorm\.(\w+)"), r"norm.\1"),
)
ATTENTION: Final = re.compile(r"encoder\.layer\.(\d+)\.attention\.attention\.(query|key|value)\.(\w+)")
MASK: Final = ("mask_token", "embeddings.mask_token")  # of the pretraining alone


def tensors_of_timm(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of timm's vit_base_patch14_dinov2, from either form in which they are published."""
    kept = {name: one for name, one in found.items() if name not in MASK}
    if not any(name.startswith("embeddings.") for name in kept):  # backbone_compatible.safetensors: DINOv2's own names
        require_tensors(kept, {"pos_embed": (1, 0, WIDTH), "blocks.0.ls1.gamma": (WIDTH,), "norm.weight": (WIDTH,)})
        return kept
    require_tensors(
        kept,
        {
            "embeddings.position_embeddings": (1, 0, WIDTH),
            "encoder.layer.0.layer_scale1.lambda1": (WIDTH,),
            "encoder.layer.0.attention.attention.query.weight": (WIDTH, WIDTH),
        },
    )
    tensors: dict[str, Tensor] = {}
    for name, one in kept.items():
        if (part := ATTENTION.fullmatch(name)) is None:
            tensors[_renamed(name)] = one
        elif part[2] == "query":  # timm has the three together, in this order
            together = [name.replace(".query.", f".{which}.") for which in ("query", "key", "value")]
            if missing := [which for which in together if which not in kept]:
                raise ValueError(f"it has no tensor {missing[0]}")
            tensors[f"blocks.{part[1]}.attn.qkv.{part[3]}"] = torch.cat([kept[which] for which in together])
    return tensors


def _renamed(name: str) -> str:
    for pattern, timms in RENAMED:
        if (match := pattern.fullmatch(name)) is not None:
            return match.expand(timms)
    raise ValueError(f"its tensor {name} is none of a Dinov2Model")


WEIGHTS: Final = PublishedWeights(
    name=NAME,
    card=WeightsCard(
        source=SOURCE,
        licence="MIT (file LICENSE of the repository; the Microsoft Research License Agreement before)",
        pixel_mean=0.5307,
        pixel_std=0.2583,
        trained_on=("nih", "rsna", "chexpert", "padchest", "mimic_cxr", "brax"),  # RSNA's images are from NIH
    ),
    tensors=tensors_of_timm,
    hub_file="model.safetensors",
)


@register_architecture(NAME, source=SOURCE)
def rad_dino(*, in_channels: int, image_side_px: int, weights: str) -> Architecture:
    """Return timm's vit_base_patch14_dinov2, for these weights; its class token is what the last layer reads."""
    return build_timm_backbone(
        "vit_base_patch14_dinov2", in_channels=in_channels, image_side_px=image_side_px, weights=weights,
        published=WEIGHTS,
    )  # fmt: skip
