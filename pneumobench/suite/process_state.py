"""What all code of a process shares, put back after foreign code ran: no plugin changes what the others meet."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from pneumobench.errors import SettingsError

Setting = tuple[Callable[[], Any], Callable[[Any], object]]  # how a setting is read, and how it is set

_log = logging.getLogger(__name__)
_END: Final = ("_exit", "abort", "execv", "execve")  # of `os`: they end a process past every handler


@contextmanager
def unchanged_process(whose: str) -> Iterator[None]:
    """Run foreign code, and put back what it changed of the process; what that was is said in a warning.

    Put back are the settings of `_settings`, warning filters and the states of random generators. Code that ends the
    process at once, past all handlers, is refused: a run would end there with the exit code of success.

    Args:
        whose: what is run, for messages, such as `plugin file net.py`.

    Raises:
        SettingsError: the code tried to end the process.
    """
    random_states = _random_states()
    settings = _settings()
    before = {name: read() for name, (read, _) in settings.items()}
    try:
        with warnings.catch_warnings(), no_sudden_end(whose):
            yield
    finally:
        changed = []
        for name, (read, write) in settings.items():
            if read() != before[name]:
                write(before[name])
                changed.append(name)
        for restore in random_states:
            restore()
        if changed:
            _log.warning("%s changed %s; this was put back, so that no other meets it.", whose, ", ".join(changed))


def _settings() -> dict[str, Setting]:
    """Return what is put back, by its name in messages: how it is read, and how it is set."""
    return {
        "the working folder": (os.getcwd, os.chdir),
        "environment variables": (lambda: dict(os.environ), _set_environment),
        "signal handlers": (_signal_handlers, _set_signal_handlers),
        "the standard streams": _attributes(sys, "stdout", "stderr"),
        "the exception hook": _attributes(sys, "excepthook"),
        "the recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit),
        "garbage collection": (gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
        "how processes start": (
            lambda: multiprocessing.get_start_method(allow_none=True),
            lambda method: multiprocessing.set_start_method(method, force=True),
        ),
        "logging": _attributes(logging.root, "level", "handlers", "disabled"),
        **_settings_of_libraries(),
    }


def _settings_of_libraries() -> dict[str, Setting]:
    # here, because suites are read where PyTorch is not needed
    import cv2
    import numpy as np
    import torch
    from PIL import Image, ImageFile

    cuda, kernels = torch.backends.cuda, ("flash", "mem_efficient", "math")
    return {
        "the largest image to decode": _attributes(Image, "MAX_IMAGE_PIXELS"),
        "whether cut images are decoded": _attributes(ImageFile, "LOAD_TRUNCATED_IMAGES"),
        "the threads of OpenCV": (cv2.getNumThreads, cv2.setNumThreads),
        "NumPy's floating-point errors": (np.geterr, lambda kinds: np.seterr(**kinds)),
        "the default dtype": (torch.get_default_dtype, torch.set_default_dtype),
        "the default device": (torch.get_default_device, torch.set_default_device),
        "the number of threads": (torch.get_num_threads, torch.set_num_threads),
        "gradients": (torch.is_grad_enabled, torch.set_grad_enabled),
        "denormal numbers": (
            lambda: bool(torch.tensor(1e-310, dtype=torch.float64) * 0.5 == 0), torch.set_flush_denormal,
        ),
        "deterministic algorithms": (
            lambda: (
                torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
            ),
            lambda both: torch.use_deterministic_algorithms(both[0], warn_only=both[1]),
        ),
        "the precision of products": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        "anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
        "mkldnn flags": _attributes(torch.backends.mkldnn, "enabled", "deterministic"),
        "cudnn flags": _attributes(torch.backends.cudnn, "enabled", "benchmark", "deterministic", "allow_tf32"),
        "attention kernels": (
            lambda: [getattr(cuda, f"{kind}_sdp_enabled")() for kind in kernels],
            lambda on: [getattr(cuda, f"enable_{kind}_sdp")(one) for kind, one in zip(kernels, on, strict=True)],
        ),
    }  # fmt: skip


def _attributes(owner: Any, *names: str) -> Setting:
    """Return how attributes are read and set; lists are copied, since they change in place."""

    def read() -> tuple[Any, ...]:
        values = (getattr(owner, name) for name in names)
        return tuple(list(value) if isinstance(value, list) else value for value in values)

    def write(values: tuple[Any, ...]) -> None:
        for name, value in zip(names, values, strict=True):
            setattr(owner, name, value)

    return read, write


def _random_states() -> list[Callable[[], object]]:
    """Return what puts the random generators of Python, NumPy and PyTorch back as they are now."""
    import numpy as np
    import torch

    python_state, numpy_state, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    restores: list[Callable[[], object]] = [
        lambda: random.setstate(python_state),
        lambda: np.random.set_state(numpy_state),
        lambda: torch.set_rng_state(torch_state),
    ]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        cuda_states = torch.cuda.get_rng_state_all()
        restores.append(lambda: torch.cuda.set_rng_state_all(cuda_states))
    return restores


def _set_environment(variables: dict[str, str]) -> None:
    for name in set(os.environ) - set(variables):
        del os.environ[name]
    os.environ.update(variables)


def _signal_handlers() -> dict[signal.Signals, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals() if isinstance(number, signal.Signals)}


def _set_signal_handlers(handlers: dict[signal.Signals, Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # Python sets handlers in the main thread only, and so did the foreign code
    for number, handler in handlers.items():
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)


@contextmanager
def no_sudden_end(whose: str) -> Iterator[None]:
    """Turn calls that would end this process at once into an error; processes that it forks may end so.

    Args:
        whose: what is run, for messages.

    Raises:
        SettingsError: the code tried to.
    """
    here = os.getpid()
    real = {name: getattr(os, name) for name in _END}

    def instead(name: str) -> Callable[..., NoReturn]:
        def refused(*arguments: Any) -> NoReturn:
            if os.getpid() != here:
                real[name](*arguments)
            raise SettingsError(
                f"{whose} called os.{name}, which would end the run without a word; take the call out of it."
            )

        return refused

    for name in _END:
        setattr(os, name, instead(name))
    try:
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)
