"""The packages that write and send DICOM, which not everybody installs."""

from __future__ import annotations

import importlib.util
import logging
from typing import Final

from pneumobench.errors import SettingsError

INSTALL: Final = 'pip install "pneumobench[pacs]" (in a clone: uv run --extra pacs pneumobench ...)'
PACKAGES: Final = ("highdicom", "pynetdicom")
ABOVE_ALL: Final = logging.CRITICAL + 1


def required(option: str) -> None:
    """Check that the packages are there, and keep them from logging: what they log may quote a tag of a patient.

    Args:
        option: what asks for them, for the message.

    Raises:
        SettingsError: one is missing; says how to install it.
    """
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise SettingsError(f"{option}: the package {package} is not installed: {INSTALL}.")
        logging.getLogger(package).setLevel(ABOVE_ALL)
