"""Questions to a finished run: explain its networks further, draw its gallery, put other images to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from pneumobench.architectures.registry import load_plugin_file
from pneumobench.attributions.lung_attention_maps import MAIN_METHOD
from pneumobench.attributions.methods import AttributionMethod, attribution_method
from pneumobench.runs.context import Bench, open_run, open_suite
from pneumobench.errors import SettingsError, suggestion
from pneumobench.runs.evaluate import ExternalEvaluation, evaluate_networks
from pneumobench.runs.explain_jobs import explain_jobs
from pneumobench.runs.gallery import write_galleries
from pneumobench.runs.one_radiograph import explain_radiograph
from pneumobench.reporting.image_answers import ImageExplanation
from pneumobench.reporting.leaderboard import LeaderboardPaths, write_leaderboard
from pneumobench.records.job_record import JobRecord, read_record
from pneumobench.records.run_state import claim_folder
from pneumobench.records.run_folder import RunFolder
from pneumobench.runs.run import check_folds_asked
from pneumobench.suite.spec import Suite
from pneumobench.training.cost import check_device
from pneumobench.training.fit import quiet_lightning


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Which trained networks of a run are asked, and by which methods.

    Args:
        data: data folder; None = the variable PNEUMOBENCH_DATA.
        methods: attribution methods; None = those of the suite.
        folds: only these folds; None = all.
        architectures: only these; None = all.
        plugins: files that register architectures or methods.
    """

    data: str | None = None
    methods: Sequence[str] | None = None
    folds: Sequence[int] | None = None
    architectures: Sequence[str] | None = None
    plugins: Sequence[str] = ()


def explain(path: Path, asked: Questions, *, images: int | None = None, console: Console) -> LeaderboardPaths:
    """Explain the trained networks of a run folder with further methods, then write its leaderboard again.

    Args:
        path: run folder; its weights must be there.
        asked: which networks and methods.
        images: images of each fold; None = as many as the suite says.
        console: where progress is shown.

    Raises:
        SettingsError: a method, an architecture or a fold is not known.
        DataError: radiographs are not those of the run, or weights are missing.
    """
    bench, jobs, methods = _open_questions(path, asked, console)
    with claim_folder(path):
        sample = bench.suite.explanation.checked_images_per_fold if images is None else images
        names = [method.name for method in methods]
        explain_jobs(bench, jobs, names, sample, console, redo=images is not None)
        return write_leaderboard(path)


def explain_image(path: Path, image: Path, asked: Questions, *, console: Console) -> ImageExplanation:
    """Put one image, of the run's data or new, to the trained networks of a run folder; see `explain_radiograph`."""
    bench, jobs, methods = _open_questions(path, asked, console)
    return explain_radiograph(
        bench, image, _completed_networks(bench.folder, jobs), methods or [attribution_method(MAIN_METHOD)]
    )


def draw_gallery(path: Path, asked: Questions, *, console: Console) -> Path:
    """Draw mean maps and every error of the trained networks of a run folder; return the page. See `explain`."""
    bench, jobs, methods = _open_questions(path, asked, console)
    with claim_folder(path):
        networks = _completed_networks(bench.folder, jobs)
        page = write_galleries(bench, networks, methods or [attribution_method(MAIN_METHOD)], console)
        write_leaderboard(path)  # its page leads to the gallery now
    return page


def evaluate(path: Path, data: Path, asked: Questions, *, name: str, console: Console) -> ExternalEvaluation:
    """Score the trained networks of a run folder on other images, of a table or a folder; see `evaluate_networks`.

    The run's own images are not needed.

    Raises:
        SettingsError: the folder is not a run, or an architecture or a fold is not known.
    """
    for plugin in asked.plugins:
        load_plugin_file(Path(plugin))
    folder, suite = open_suite(path)
    jobs = _asked_jobs(folder, suite, asked)
    return evaluate_networks(
        folder,
        suite,
        _completed_networks(folder, jobs),
        data,
        name=name,
        cache=path.parent / ".cache",
        console=console,
    )


def _asked_jobs(folder: RunFolder, suite: Suite, asked: Questions) -> list[tuple[str, int]]:
    """Return the (architecture, fold) pairs that are asked, after the run's plugins were loaded."""
    for plugin in suite.architectures.plugins:
        load_plugin_file(Path(plugin))
    quiet_lightning()
    check_device(suite.training)
    chosen, known = check_folds_asked(suite, asked.folds), sorted({name for name, _ in folder.jobs()})
    for name in asked.architectures or ():
        if name not in known:
            raise SettingsError(f"{folder.path} has no architecture {name!r}. {suggestion(name, known)}".strip())
    wanted = asked.architectures or known
    return [(name, fold) for name, fold in folder.jobs() if fold in chosen and name in wanted]


def _open_questions(
    path: Path, asked: Questions, console: Console
) -> tuple[Bench, list[tuple[str, int]], list[AttributionMethod]]:
    for plugin in asked.plugins:
        load_plugin_file(Path(plugin))
    for method in asked.methods or ():  # before the data are read, which takes a while
        attribution_method(method)
    bench = open_run(path, asked.data, console)
    jobs = _asked_jobs(bench.folder, bench.suite, asked)
    methods = bench.suite.explanation.methods if asked.methods is None else asked.methods
    return bench, jobs, [attribution_method(method) for method in methods]


def _completed_networks(folder: RunFolder, jobs: Sequence[tuple[str, int]]) -> list[JobRecord]:
    records = [read_record(folder.record_path(*job)) for job in jobs]
    networks = [record for record in records if record.completed and not record.is_control]
    if not networks:
        raise SettingsError(f"{folder.path}: found no trained network among those asked for.")
    return networks
