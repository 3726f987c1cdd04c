"""BEFORE THE FIRST EPOCH: does a network do all that its job will ask of it? Found now, not after the training."""

from __future__ import annotations

from pneumobench.architectures.contract import random_radiographs, try_training
from pneumobench.attributions.lung_attention_maps import MAIN_METHOD
from pneumobench.attributions.methods import attribution_method
from pneumobench.runs.networks import build_network
from pneumobench.suite.process_state import unchanged_process
from pneumobench.suite.spec import Suite


def try_network(suite: Suite, name: str) -> None:
    """Build a network of a suite with random weights and try it on random images: training, saving, heat map.

    The process is left as it was, random generators included, so that a job gives the same numbers with and without.

    Raises:
        PneumobenchError: naming what the network cannot do. Errors of the network itself come as they are.
    """
    with unchanged_process(f"architecture {name!r}"):
        trial = build_network(suite, name, weights="none")
        try_training(trial, suite.data.image_side_px)
        if trial.heatmap_layers:
            attribution_method(MAIN_METHOD).attribute(trial, random_radiographs(1, suite.data.image_side_px))
