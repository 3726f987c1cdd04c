"""Foreign code leaves the process as it was, and cannot end it without a word."""

from __future__ import annotations

import logging
import os
import random
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ImageFile

from pneumobench.errors import SettingsError
from pneumobench.suite.process_state import unchanged_process
from pneumobench.suite.registry import load_plugin_file

# what a plugin does, how it is read, and the word for it
CHANGES: dict[str, tuple[str, Callable[[], object], str]] = {
    "dtype": ("import torch; torch.set_default_dtype(torch.float64)", torch.get_default_dtype, "the default dtype"),
    "device": ("import torch; torch.set_default_device('meta')", torch.get_default_device, "the default device"),
    "threads": ("import torch; torch.set_num_threads(3)", torch.get_num_threads, "the number of threads"),
    "gradients": ("import torch; torch.set_grad_enabled(False)", torch.is_grad_enabled, "gradients"),
    "mkldnn": (
        "import torch; torch.backends.mkldnn.enabled = False",
        lambda: torch.backends.mkldnn.enabled,
        "mkldnn flags",
    ),
    "cudnn": (
        "import torch; torch.backends.cudnn.benchmark = True",
        lambda: torch.backends.cudnn.benchmark,
        "cudnn flags",
    ),
    "deterministic": (
        "import torch; torch.use_deterministic_algorithms(True)",
        torch.are_deterministic_algorithms_enabled,
        "deterministic algorithms",
    ),
    "precision": (
        "import torch; torch.set_float32_matmul_precision('medium')",
        torch.get_float32_matmul_precision,
        "the precision of products",
    ),
    "folder": ("import os; os.chdir('/')", os.getcwd, "the working folder"),
    "environment": ("import os; os.environ['X'] = '1'", lambda: dict(os.environ), "environment variables"),
    "signals": (
        "import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        lambda: signal.getsignal(signal.SIGUSR1),
        "signal handlers",
    ),
    "logging": ("import logging; logging.root.setLevel(10)", lambda: logging.root.level, "logging"),
    "images": (
        "from PIL import ImageFile; ImageFile.LOAD_TRUNCATED_IMAGES = True",
        lambda: ImageFile.LOAD_TRUNCATED_IMAGES,
        "whether cut images are decoded",
    ),
    "floats": ("import numpy; numpy.seterr(all='ignore')", np.geterr, "NumPy's floating-point errors"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_plugin_changes_of_the_process_is_put_back_and_named(
    change: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code, read, words = CHANGES[change]
    (tmp_path / "changes.py").write_text(code)
    before = read()
    load_plugin_file(tmp_path / "changes.py")
    assert read() == before
    # PyTorch sets a variable of the environment of its own when its compiler is first imported, which is told as well
    told = caplog.text.replace("changed environment variables, deterministic", "changed deterministic")
    assert f"changes.py changed {words}; this was put back" in told


def test_random_generators_and_warning_filters_are_put_back_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    filters = list(warnings.filters)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    with unchanged_process("code"):
        random.random(), np.random.rand(), torch.rand(3)
        warnings.simplefilter("ignore")
    now = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    assert states == now
    assert warnings.filters == filters
    assert caplog.text == ""


def test_an_error_passes_and_the_process_is_put_back_all_the_same() -> None:
    folder = Path.cwd()

    def moves_and_fails() -> None:
        with unchanged_process("code"):
            os.chdir("/")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        moves_and_fails()
    assert Path.cwd() == folder


@pytest.mark.parametrize("end", ["os._exit(0)", "os.abort()", "os.execv('/bin/true', ['true'])"])
def test_code_that_ends_the_process_at_once_is_refused(end: str, tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text(f"import os\n{end}\n")
    real = os._exit
    with pytest.raises(SettingsError, match=r"ends\.py called os\..*, which would end the run without a word"):
        load_plugin_file(tmp_path / "ends.py")
    assert os._exit is real


def test_a_forked_process_may_end_itself() -> None:
    with unchanged_process("code"):
        child = os.fork()
        if child == 0:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
