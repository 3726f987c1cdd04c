"""All that can be wrong with a suite, found before its data are read."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from pneumobench.architectures.head import check_head
from pneumobench.architectures.registry import check_names
from pneumobench.attributions.methods import attribution_method
from pneumobench.datasets.layouts import check_data_settings
from pneumobench.runs.networks import check_plugins
from pneumobench.suite.registry import load_plugin_file
from pneumobench.suite.spec import Suite
from pneumobench.training.controls import controls_of
from pneumobench.training.cost import check_device


def check_suite(suite: Suite, console: Console) -> None:
    """Load the plugins of a suite and check that everything it names is there.

    Raises:
        SettingsError: a name, device, head or method is not known.
        NotAvailableError: a plugin does not end with a linear layer, which three classes need.
    """
    for plugin in suite.architectures.plugins:
        load_plugin_file(Path(plugin))
    check_data_settings(suite.data)
    controls_of(suite)
    check_names({name: suite.architectures.weights_source(name) for name in suite.architectures.names})
    check_device(suite.training)
    check_head(suite.training.head)
    check_plugins(suite)
    if suite.training.corrects_twice():
        console.print(
            "warning: the imbalance of the classes is corrected twice (balanced sampler, class weights, focal alpha)",
            style="yellow",
        )
    for method in suite.explanation.methods:
        attribution_method(method)
