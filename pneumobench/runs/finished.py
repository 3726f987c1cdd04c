"""A run on disk as an object: its leaderboard, its predictions, and further questions to its networks."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd
from rich.console import Console

from pneumobench.attributions.lung_attention_maps import MAIN_METHOD
from pneumobench.attributions.methods import AttributionMethod, attribution_method
from pneumobench.datasets.layouts import LAYOUTS
from pneumobench.datasets.sources import recognised_data
from pneumobench.errors import SettingsError, suggestion
from pneumobench.records.external_record import VARIANTS
from pneumobench.records.job_record import JobRecord, read_record
from pneumobench.records.locks import claim_folder
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.external_table import write_external_table
from pneumobench.reporting.external_variants_table import write_variants
from pneumobench.reporting.leaderboard import command_of_run, write_leaderboard
from pneumobench.runs.context import Bench
from pneumobench.runs.context import open_run as open_bench
from pneumobench.runs.evaluate import evaluate_networks
from pneumobench.runs.explain_jobs import explain_jobs, without_maps
from pneumobench.runs.explained import Explained
from pneumobench.runs.folds_asked import folds_of
from pneumobench.runs.gallery import write_galleries
from pneumobench.runs.one_radiograph import explain_radiograph, image_file
from pneumobench.runs.results import Evaluation, ImageAnswers, Leaderboard
from pneumobench.suite.commands import DATA_WORD, data_options
from pneumobench.suite.plugin_trust import plugins_to_run
from pneumobench.suite.registry import load_plugin_file
from pneumobench.suite.spec import DataSpec, Suite
from pneumobench.training.cost import check_device
from pneumobench.training.keeping import quiet_lightning


class Run:
    """A run: what it found, and its trained networks, to be asked further.

    `pneumobench.run` returns one, `pneumobench.open_run` opens one that lies on disk.

    Args:
        path: folder of the run, such as `runs/quickstart`.
        suite: its settings.
        jobs: the (architecture, fold) pairs that were asked for; None = all that left a record.
        data: folder of the radiographs; None = the variable PNEUMOBENCH_DATA.
        plugins: plugin files that were named for it, beside those that its suite lists.
        trust_plugins: execute the plugin files that its suite lists, whatever they are.
        console: where progress is shown; None = the terminal or notebook.
        board: the leaderboard, where it was just computed.

    Example:
        >>> from pneumobench.runs.opening import open_run
        >>> from pneumobench.suite.shipped import declared_folder
        >>> published = declared_folder().parent / "leaderboard" / "kermany-cpu"  # of a clone of the repository
        >>> if published.is_dir():
        ...     assert len(open_run(published).predictions("resnet18")["fold"].unique()) == 5
    """

    def __init__(
        self,
        path: Path,
        suite: Suite,
        *,
        jobs: Sequence[tuple[str, int]] | None = None,
        data: str | None = None,
        plugins: Sequence[str | Path] = (),
        trust_plugins: bool = False,
        console: Console | None = None,
        board: Leaderboard | None = None,
    ) -> None:
        self.path, self.suite, self.data = path, suite, data
        self.plugins, self.trust_plugins = [Path(plugin) for plugin in plugins], trust_plugins
        self.folder = RunFolder(path)
        self.console = console or Console()
        self._jobs = jobs
        if board is not None:
            self.leaderboard = board

    @cached_property
    def leaderboard(self) -> Leaderboard:
        """The ranking, computed from the predictions of the run and written beside them.

        Raises:
            RecordError: records or predictions were changed or do not belong together.
            LeakError: a patient is on two sides of a fold.
        """
        return Leaderboard.written(write_leaderboard(self.path))

    @property
    def records(self) -> tuple[JobRecord, ...]:
        """The records of the jobs asked for, controls included where all were."""
        if self._jobs is None:
            return tuple(self.folder.records())
        return tuple(read_record(self.folder.record_path(*job)) for job in self._jobs)

    @property
    def failed(self) -> tuple[JobRecord, ...]:
        """The records of jobs that failed or diverged; `reason` says why."""
        return tuple(record for record in self.records if not record.completed)

    def predictions(self, architecture: str) -> pd.DataFrame:
        """Return the predictions of an architecture, all folds together.

        Args:
            architecture: its name; that of a control begins with `control-`.

        Returns:
            One row an image, part and fold: image_id, split (tune = validation part, test, official_test), fold, seed,
            label (1 = pneumonia), logit, and the probability of pneumonia in [0, 1].

        Raises:
            SettingsError: the run has no completed job of this name.
            RecordError: a table was changed after its job.
        """
        completed = [record for record in self.folder.records() if record.completed]
        names = sorted({record.architecture for record in completed})
        if architecture not in names:
            hint = suggestion(architecture, names) or f"it has {', '.join(names)}."
            raise SettingsError(f"{self.path} has no completed architecture {architecture!r}; {hint}")
        mine = [record for record in completed if record.architecture == architecture]
        return pd.concat([self.folder.predictions(record) for record in mine], ignore_index=True)

    def explain(
        self,
        *,
        methods: Sequence[str] | None = None,
        architectures: Sequence[str] | None = None,
        folds: Sequence[int] | None = None,
        images: int | None = None,
    ) -> Explained:
        """Explain the trained networks with further attribution methods, and compute the leaderboard again.

        Methods are compared on the same images: fewer are drawn from those of earlier methods, more are added.

        Args:
            methods: names, e.g. `["gradcam", "occlusion"]`; None = those of the suite.
            architectures: only these; None = all.
            folds: only these; None = all.
            images: images of each fold; None = as many as the suite says.

        Raises:
            SettingsError: a method, an architecture or a fold is not known, or `images` is below 1.
            DataError: radiographs are not those of the run, or weights are missing.
        """
        if images is not None and images < 1:
            raise SettingsError(f"--images {images}: expected 1 or more.")
        bench, jobs, asked = self._opened(methods, architectures, folds)
        with claim_folder(self.path):
            sample = bench.suite.explanation.checked_images_per_fold if images is None else images
            names = [method.name for method in asked] if sample else []
            explain_jobs(bench, jobs, names, sample, self.console, redo=images is not None)
            board = self._ranked_again()
        networks = self._networks(jobs)
        return Explained(
            board.board,
            board.page,
            methods=tuple(names),
            architectures=tuple({job.architecture for job in networks}),
            without_maps=tuple(without_maps(self.folder, networks, names)),
        )

    def explain_image(
        self,
        image: str | Path,
        *,
        methods: Sequence[str] | None = None,
        architectures: Sequence[str] | None = None,
        folds: Sequence[int] | None = None,
    ) -> ImageAnswers:
        """Put one image, of the run's data or new, to the trained networks that have not learnt from it.

        Args:
            image: JPEG, PNG or DICOM file, or the name of an image of the run (image_id of its index.csv).
            methods: attribution methods; None = those of the suite, or Grad-CAM.
            architectures: only these; None = all.
            folds: only these; None = all.

        Raises:
            UnreadableImageError: the file is not an image that can be read.
            NotAvailableError: every one of the networks learnt from this image.
            SettingsError: the image, a method, an architecture or a fold is not known.
        """
        bench, jobs, asked = self._opened(methods, architectures, folds)
        networks = self._networks(jobs)
        return ImageAnswers(
            explain_radiograph(bench, image_file(bench, image), networks, asked or [attribution_method(MAIN_METHOD)])
        )

    def gallery(
        self,
        *,
        methods: Sequence[str] | None = None, architectures: Sequence[str] | None = None,
        folds: Sequence[int] | None = None,
    ) -> Path:  # fmt: skip
        """Draw mean heat maps and every error of the trained networks, and return the page; arguments as `explain`."""
        bench, jobs, asked = self._opened(methods, architectures, folds)
        with claim_folder(self.path):
            networks = self._networks(jobs)
            page = write_galleries(bench, networks, asked or [attribution_method(MAIN_METHOD)], self.console)
            self._ranked_again()  # its page leads to the gallery now
        return page

    def evaluate(
        self,
        data: str | Path | DataSpec,
        *,
        name: str | None = None,
        architectures: Sequence[str] | None = None,
        folds: Sequence[int] | None = None,
        variants: Sequence[str] = (),
    ) -> Evaluation:
        """Score the trained networks on images of another source, without training.

        Args:
            data: a table image,label[,patient], paths relative to it, or a folder of a layout that is recognised; or
                settings that say how they are read, such as the headings of a table.
            name: what the data are called; None = the name of their folder.
            architectures: only these; None = all.
            folds: only these; None = all.
            variants: other ways to show the images, `histogram_matched`, `percentile_window`, `lung_crop`; these need
                the run's own images to compare with.

        Raises:
            DataError: images cannot be read, or show one class only.
            SettingsError: images are those of the run, or an architecture or a fold is not known.
        """
        spec = data if isinstance(data, DataSpec) else recognised_data(Path(data))
        table_name = f"/{spec.csv}" if LAYOUTS.get(spec.source).reads_table else ""
        found_spec = recognised_data(Path(f"{spec.root}{table_name}"))
        name = name or Path(spec.root).resolve().name.lower()
        networks = self._networks(self._asked(self.suite, architectures, folds))
        found = evaluate_networks(
            self.folder, self.suite, networks, spec, name=name, cache=self.path.parent / ".cache",
            console=self.console, variants=variants, bench=lambda: open_bench(self.path, self.data, self.console),
        )  # fmt: skip
        words = ["evaluate", str(Path(*self.path.parts[-2:])), "--data", f"{DATA_WORD}{table_name}", "--name", name]
        command = shlex.join(["pneumobench", *words, *data_options(found_spec, spec)])
        for note in found.notes:
            self.console.print(f"warning: {note}", style="yellow", highlight=False, markup=False)
        page = write_external_table(found.folder, name, found.words(), found.scores, command, found.notes)
        if found.variants is not None:
            for option, chosen in (("architectures", architectures), ("folds", folds), ("variants", variants)):
                command += f" --{option} {','.join(map(str, chosen))}" if chosen is not None else ""
            commands = (command_of_run(self.folder, self.suite.name), command)
            write_variants(found.folder / VARIANTS, found.variants, found.words(), commands)
        return Evaluation(found, page)

    def __repr__(self) -> str:
        records = self.records
        completed = sum(record.completed for record in records)
        failed = f", {len(self.failed)} failed" if self.failed else ""
        page = self.folder.leaderboard / "index.html"
        return f"Run {self.suite.name}: {completed} of {len(records)} jobs completed{failed}; page: {page}"

    def _ranked_again(self) -> Leaderboard:
        self.leaderboard = Leaderboard.written(write_leaderboard(self.path))
        return self.leaderboard

    def _opened(
        self, methods: Sequence[str] | None, architectures: Sequence[str] | None, folds: Sequence[int] | None
    ) -> tuple[Bench, list[tuple[str, int]], list[AttributionMethod]]:
        for method in methods or ():  # before the data are read, which takes a while
            attribution_method(method)
        self.load_plugins()  # the layout of the data may be one of theirs
        bench = open_bench(self.path, self.data, self.console)
        jobs = self._asked(bench.suite, architectures, folds)
        return bench, jobs, [attribution_method(name) for name in methods or bench.suite.explanation.methods]

    def _asked(
        self, suite: Suite, architectures: Sequence[str] | None, folds: Sequence[int] | None
    ) -> list[tuple[str, int]]:
        """Return the (architecture, fold) pairs asked about, after the run's plugins were loaded."""
        self.load_plugins()
        quiet_lightning()
        check_device(suite.training)
        chosen, known = folds_of(suite, folds), sorted({name for name, _ in self.folder.jobs()})
        for name in architectures or ():
            if name not in known:
                raise SettingsError(f"{self.path} has no architecture {name!r}. {suggestion(name, known)}".strip())
        wanted = architectures or known
        return [(name, fold) for name, fold in self.folder.jobs() if fold in chosen and name in wanted]

    def load_plugins(self) -> None:
        """Execute the plugin files that its suite lists, as far as they may be."""
        listed = self.suite.architectures.plugins
        for file in plugins_to_run(listed, self.path, named=self.plugins, trusted=self.trust_plugins):
            load_plugin_file(file)

    def _networks(self, jobs: Sequence[tuple[str, int]]) -> list[JobRecord]:
        records = [read_record(self.folder.record_path(*job)) for job in jobs]
        networks = [record for record in records if record.completed and not record.is_control]
        if not networks:
            raise SettingsError(f"{self.path}: found no trained network among those asked for.")
        return networks
