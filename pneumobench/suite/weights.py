"""Where initial weights come from, as a suite writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pneumobench.errors import SettingsError

NONE: Final = "none"
IMAGENET: Final = "imagenet"
HUB: Final = "hf-hub:"
PACKAGE: Final = "package:"


def is_folder(source: str) -> bool:
    """Tell whether a source is a folder of this machine, which nobody else has under this name."""
    return source not in (NONE, IMAGENET) and not source.startswith((HUB, PACKAGE))


def public_source(source: str) -> str:
    """Return a source without the folders of this machine.

    >>> public_source("/home/me/lite"), public_source("hf-hub:timm/resnet18.a1_in1k")
    ('lite', 'hf-hub:timm/resnet18.a1_in1k')
    """
    return Path(source).name if is_folder(source) else source


def sources_by_name(entries: Sequence[str]) -> dict[str, str]:
    """Return the source of each architecture that entries NAME=SOURCE name.

    >>> sources_by_name(["resnet18=imagenet", "vit_tiny_patch16_224 = package:my_weights"])
    {'resnet18': 'imagenet', 'vit_tiny_patch16_224': 'package:my_weights'}

    Raises:
        SettingsError: an entry is not NAME=SOURCE, or names an architecture again.
    """
    found: dict[str, str] = {}
    for entry in entries:
        name, equals, source = (part.strip() for part in entry.partition("="))
        if not (name and equals and source):
            raise SettingsError(f"{entry!r}: expected NAME=SOURCE, e.g. resnet18=imagenet.")
        if name in found:
            raise SettingsError(f"{entry!r}: {name} stands there already, with {found[name]}.")
        found[name] = source
    return found
