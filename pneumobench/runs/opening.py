"""A run that lies on disk, opened to be asked further."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pneumobench.records.loaded_run import open_suite
from pneumobench.runs.finished import Run
from pneumobench.suite.registry import load_plugin_file


def open_run(
    path: str | Path,
    *,
    data: str | None = None,
    plugins: Sequence[str | Path] = (),
    trust_plugins: bool = False,
    console: Console | None = None,
) -> Run:
    """Open a run that lies on disk; nothing is read but its settings until it is asked for.

    Plugin files that its suite lists are programs. They are executed, when a question needs them, if this machine has
    run a file of the same content before, or with consent.

    Args:
        path: folder of the run, such as `runs/quickstart`.
        data: folder of the radiographs, needed to explain; None = the variable PNEUMOBENCH_DATA.
        plugins: files that register architectures or methods; one stands for a file of its name in the suite.
        trust_plugins: execute the plugin files that the suite lists, whatever they are.
        console: where progress is shown; None = the terminal or notebook.

    Raises:
        SettingsError: the folder is not a run, or a plugin fails.

    Example:
        >>> import pneumobench as pb
        >>> try:
        ...     pb.open_run("runs/nowhere")
        ... except pb.SettingsError as error:
        ...     print(error)
        runs/nowhere: found no suite.yaml; expected the folder of a run, e.g. runs/quickstart.
    """
    for plugin in plugins:
        load_plugin_file(Path(plugin))
    _, suite = open_suite(Path(path))
    return Run(Path(path), suite, data=data, plugins=plugins, trust_plugins=trust_plugins, console=console)
