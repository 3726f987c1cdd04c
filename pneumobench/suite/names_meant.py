"""Which key somebody meant who wrote one that does not exist."""

from __future__ import annotations

from collections.abc import Iterable

from pneumobench.errors import nearest_names


def meant_keys(key: str, known: Iterable[str]) -> list[str]:
    """Return the known dotted keys that a wrong one may stand for, the likeliest first.

    In this order: the right word in another group, the first letters of its words, a key that goes on from it, and what
    is spelt most alike.

    >>> keys = ["seed", "training.epochs", "training.learning_rate", "training.loss", "data.limit_images"]
    >>> meant_keys("training.lr", keys)[0], meant_keys("epochs", keys)[0], meant_keys("trainig.epoch", keys)[0]
    ('training.learning_rate', 'training.epochs', 'training.epochs')
    """
    names = list(known)
    word, group = _leaf(key), key.rpartition(".")[0]
    exact = [name for name in names if _leaf(name) == word] or [name for name in names if _initials(name) == word]
    if exact:
        near = nearest_names(group, {name.rpartition(".")[0] for name in exact}, count=1)
        return sorted(exact, key=lambda name: name.rpartition(".")[0] not in near)
    begun = [name for name in names if name.startswith(f"{key}_")]
    parts = [name for name in names if len(word) > 3 and word in (_leaf(name)[: len(word)], _leaf(name)[-len(word) :])]
    same_word = nearest_names(word, {_leaf(name) for name in names}, count=1)
    by_word = [*parts, *(name for name in names if _leaf(name) in same_word)]
    alike = nearest_names(key, names)
    return list(dict.fromkeys([*begun, *alike, *by_word] if group else [*by_word, *alike]))


def _leaf(key: str) -> str:
    return key.rsplit(".", 1)[-1].replace("-", "_").lower()


def _initials(key: str) -> str:
    return "".join(part[0] for part in _leaf(key).split("_") if part) if "_" in _leaf(key) else ""
