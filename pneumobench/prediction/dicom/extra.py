"""The packages that write and send DICOM, which not everybody installs."""

from __future__ import annotations

import logging
from typing import Final

from pneumobench.errors import require_packages

PACKAGES: Final = ("highdicom", "pynetdicom")
ABOVE_ALL: Final = logging.CRITICAL + 1


def required(option: str) -> None:
    """Check that the packages are there, and keep them from logging: what they log may quote a tag of a patient.

    Args:
        option: what asks for them, for the message.

    Raises:
        SettingsError: one is missing; says how to install it.
    """
    require_packages("pacs", *PACKAGES, why=option)
    for package in PACKAGES:
        logging.getLogger(package).setLevel(ABOVE_ALL)
