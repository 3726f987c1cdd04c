"""The packages that a server needs and nothing else does."""

from __future__ import annotations

import importlib.util
from typing import Final

from pneumobench.errors import SettingsError

INSTALL: Final = 'pip install "pneumobench[serve]" (in a clone: uv run --extra serve pneumobench ...)'
NEEDED: Final = {"fastapi": "fastapi", "uvicorn": "uvicorn", "python_multipart": "python-multipart"}


def require_packages() -> None:
    """Refuse to go on where a package of the extra `serve` is missing.

    Raises:
        SettingsError: naming the first that is missing, and how it is installed.
    """
    for module, package in NEEDED.items():
        if importlib.util.find_spec(module) is None:
            raise SettingsError(f"found no package {package}, which a server needs; install it with: {INSTALL}")
