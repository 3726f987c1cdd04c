from __future__ import annotations

import pytest

from pneumobench.architectures.registry import ARCHITECTURES, Registration


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Registration]:
    """An empty registry of architectures for each test, so that none sees another's."""
    registrations: dict[str, Registration] = {}
    monkeypatch.setattr(ARCHITECTURES, "_items", registrations)
    return registrations
