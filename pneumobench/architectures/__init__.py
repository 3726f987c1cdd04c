"""NAME -> MODEL: the registry of architectures, timm backbones and plugins."""

from pneumobench.architectures.architecture import Architecture, HeatMapLayer
from pneumobench.architectures.registry import build_architecture, register_architecture

__all__ = ["Architecture", "HeatMapLayer", "build_architecture", "register_architecture"]
