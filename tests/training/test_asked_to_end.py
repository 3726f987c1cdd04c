"""A training in somebody's own program that is asked to end, where no command listens."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import Callback

from pneumobench.errors import TERMINATED
from pneumobench.files import sha256_of_file
from pneumobench.training.fit import fit
from tests.training.tiny_fold import tiny_architecture, tiny_data, tiny_images, tiny_spec


class _Asks(Callback):
    def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
        if trainer.global_step == 7:  # in the second of three epochs
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_training_that_is_asked_to_end_is_not_taken_for_finished_and_goes_on(tmp_path: Path) -> None:
    images, spec = tiny_images(), tiny_spec()
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path / "cut", seed=0, callbacks=(_Asks(),))
    assert ended.value.code == TERMINATED
    assert signal.getsignal(signal.SIGTERM) == handler
    assert not (tmp_path / "cut/weights.safetensors").exists()
    fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path / "cut", seed=0)
    fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path / "whole", seed=0)
    one, two = (sha256_of_file(tmp_path / name / "weights.safetensors") for name in ("cut", "whole"))
    assert one == two
