"""Pretrained weights of timm: from the hub, or at once from the local cache where the hub does not answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final
from unittest import mock

from pneumobench.errors import SettingsError, suggestion
from pneumobench.suite.weights import HUB

ANSWER_S: Final = 5.0  # how long the hub may take to answer at all; its own client tries for a minute and a half
ADDRESSES: Final = ("hf-hub:", "hf_hub:", "local-dir:", "hub:")  # what timm takes for a place in front of a name


@contextmanager
def quick_hub() -> Iterator[None]:
    """Download as usual where the hub answers within seconds; else use what the local cache has, without retries.

    Raises:
        SettingsError: the hub does not answer, and the cache has not what is asked for.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError

    if not constants.HF_HUB_OFFLINE and hub_answers():
        yield
        return
    with mock.patch.object(constants, "HF_HUB_OFFLINE", True):
        try:
            yield
        except LocalEntryNotFoundError as error:
            raise SettingsError(f"{constants.ENDPOINT} does not answer, and they are not in its local cache") from error


@cache
def hub_answers(seconds: float = ANSWER_S) -> bool:
    """Tell whether the hub answers, whatever it says, once for a process; proxies of the environment are used."""
    answered = threading.Event()

    def ask() -> None:
        from huggingface_hub import constants, get_session

        try:
            get_session().head(constants.ENDPOINT, timeout=seconds, follow_redirects=False)
        except Exception:  # noqa: BLE001 - no name server, no route, a wrong proxy: there is no hub
            return
        answered.set()

    # in a thread, because looking up a name has no time limit of its own
    threading.Thread(target=ask, daemon=True).start()
    return answered.wait(seconds)


def without_address(name: str) -> str | None:
    """Return the name that is meant by an address of timm's hub, such as `hf-hub:timm/resnet18.a1_in1k`, else None.

    >>> without_address("hf-hub:timm/resnet18.a1_in1k"), without_address("timm/resnet18"), without_address("resnet18")
    ('resnet18.a1_in1k', 'resnet18', None)
    """
    if "/" not in name and not name.startswith(ADDRESSES):
        return None
    return name.rpartition("/")[2].rpartition(":")[2]


def hub_config(name: str, source: str) -> Any:
    """Return what a repository of the hub says of its weights, as timm reads it.

    Args:
        name: the architecture that is wanted.
        source: `hf-hub:USER/NAME`.

    Raises:
        SettingsError: there is no such repository, it holds no timm model, or one of another architecture.
    """
    from timm.models import PretrainedCfg, load_model_config_from_hf

    try:
        with quick_hub():
            plain, architecture, _ = load_model_config_from_hf(source.removeprefix(HUB))
        config = PretrainedCfg(**plain)
    except Exception as error:  # no such repository, no network, no configuration, or one of something else
        text = " ".join(str(error).split())[:300].rstrip(".")
        raise SettingsError(f"{name}: {source} cannot be used as weights of a timm model: {text}.") from error
    if architecture.partition(".")[0] != name.partition(".")[0]:
        raise SettingsError(
            f"{name}: {source} holds weights of {architecture}; name a repository of this architecture."
        )
    return config


def require_pretrained(name: str, config: Any, known: list[str]) -> None:
    """Check that timm has pretrained weights of a network, before anything is read or built.

    Raises:
        SettingsError: it has none; the nearest that have some are suggested.
    """
    if config is not None and config.has_weights:
        return
    near = suggestion(name, known)
    raise SettingsError(
        f"{name}: timm has no pretrained weights of it. {near + ' These have some. ' if near else ''}"
        "Set architectures.weights to none, or to a folder with NAME.safetensors."
    )
