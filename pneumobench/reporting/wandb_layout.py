"""How Weights & Biases is to show a run or a search: a saved workspace and a report, as code.

Which panels there are stands here alone; saving them again changes the same workspace and the same report.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pneumobench.errors import SettingsError
from pneumobench.files import write_json
from pneumobench.metrics.table import METRICS
from pneumobench.reporting.wandb_runs import EPOCH, LEADERBOARD, WandbRuns
from pneumobench.reporting.wandb_search import TRIAL, TRIAL_VALUE

SAVED: Final = "wandb-layout.json"  # in the folder of a run: which workspace and which report are its own
ARCHITECTURE: Final = "job.architecture"
CURVES: Final = {
    "Loss of the training part": "train_loss",
    "Loss of the validation part": "tune_loss",
    "AUC of the validation part": "tune_auc",
    "Learning rate": "learning_rate",
}
COSTS: Final = {"Median training step (s)": "cost_step_seconds", "Training (s)": "cost_training_seconds"}


def save_layout(folder: Path, runs: WandbRuns, *, group: str, settings: Sequence[str] = ()) -> tuple[str, ...]:
    """Save the workspace and the report of what was sent, and return their addresses.

    Args:
        folder: of the run or the search.
        runs: as which it was sent, online.
        group: group of its W&B runs.
        settings: what a search tried; empty = a run.

    Raises:
        SettingsError: the package wandb-workspaces is not installed, or W&B does not answer.
    """
    try:
        import wandb_workspaces.reports.v2 as reports
        import wandb_workspaces.workspaces as workspaces
    except ImportError as error:
        raise SettingsError(
            "--layout: the package wandb-workspaces is not installed; install it with: uv sync --extra layout"
        ) from error
    saved = _saved(folder / SAVED)
    try:
        entity = runs.package.Api().default_entity
        if not entity:
            raise SettingsError("--layout: W&B names no user or team for this key; set WANDB_ENTITY.")
        if settings:
            workspace = search_workspace(workspaces, reports, entity, runs.project, group, settings)
        else:
            workspace = run_workspace(workspaces, reports, entity=entity, project=runs.project, group=group)
        report = report_of(reports, workspace, group)
        workspace._internal_name, workspace._internal_id, report.id = (
            saved.get(key, "") for key in ("workspace_name", "workspace_id", "report_id")
        )
        workspace.save()
        report.save()
    except SettingsError:
        raise
    except Exception as error:  # it answers with errors of several packages
        raise SettingsError(f"{folder}: the layout was not saved: {' '.join(str(error).split())}.") from error
    write_json(
        folder / SAVED,
        {
            "workspace_name": workspace._internal_name,
            "workspace_id": workspace._internal_id,
            "report_id": report.id,
        },
    )
    return str(workspace.url), str(report.url)


def run_workspace(workspaces: Any, reports: Any, *, entity: str, project: str, group: str) -> Any:
    """Return the workspace of a run: curves by epoch, scores of the test parts, cost, the leaderboard.

    Args:
        workspaces: the module wandb_workspaces.workspaces.
        reports: the module wandb_workspaces.reports.v2.
        entity: user or team.
        project: W&B project.
        group: group of the runs.
    """
    by_architecture = {"groupby": reports.Config(ARCHITECTURE), "groupby_aggfunc": "mean"}
    curves = [
        reports.LinePlot(title=title, x=EPOCH, y=[key], title_x=EPOCH, groupby_rangefunc="minmax", **by_architecture)
        for title, key in CURVES.items()
    ]
    scores = [_bars(reports, metric.heading, f"test_{name}") for name, metric in METRICS.items() if metric.in_short]
    costs = [_bars(reports, title, key) for title, key in COSTS.items()]
    board = reports.WeavePanelSummaryTable(table_name=LEADERBOARD)
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=f"pneumobench: {group}",
        sections=[
            workspaces.Section(name="Leaderboard", panels=[board], is_open=True),
            workspaces.Section(name="Test part, mean of the folds", panels=scores, is_open=True),
            workspaces.Section(name="By epoch", panels=curves, is_open=True),
            workspaces.Section(name="Cost", panels=costs),
        ],
        settings=workspaces.WorkspaceSettings(x_axis=EPOCH, smoothing_type="none", max_runs=100),
        runset_settings=workspaces.RunsetSettings(filters=f"Metric('Group') = '{_quoted(group)}'"),
    )


def search_workspace(
    workspaces: Any, reports: Any, entity: str, project: str, group: str, settings: Sequence[str]
) -> Any:
    """Return the workspace of a search: its trials as parallel coordinates, from settings to what came of them."""
    columns = [
        *(reports.ParallelCoordinatesPlotColumn(metric=reports.Config(key), display_name=key) for key in settings),
        reports.ParallelCoordinatesPlotColumn(metric=reports.SummaryMetric(TRIAL_VALUE), display_name=TRIAL_VALUE),
    ]
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=f"pneumobench: {group}",
        sections=[
            workspaces.Section(
                name="Trials",
                panels=[reports.ParallelCoordinatesPlot(title="Settings and what came of them", columns=columns)],
                is_open=True,
            )
        ],
        runset_settings=workspaces.RunsetSettings(
            filters=f"Metric('Group') = '{_quoted(group)}' and Metric('JobType') = '{TRIAL}'"
        ),
    )


def report_of(reports: Any, workspace: Any, group: str) -> Any:
    """Return a report with the panels of a workspace, section by section."""
    runset = reports.Runset(
        entity=workspace.entity, project=workspace.project, filters=workspace.runset_settings.filters
    )
    blocks = [reports.TableOfContents()]
    for section in workspace.sections:
        blocks += [reports.H2(section.name), reports.PanelGrid(runsets=[runset], panels=list(section.panels))]
    blocks.append(
        reports.P(
            "Intervals, paired tests and shortcut baselines are in the leaderboard that pneumobench writes: a mean of "
            "folds alone tells no two networks apart. For research; not a medical device."
        )
    )
    return reports.Report(
        entity=workspace.entity, project=workspace.project, title=f"pneumobench: {group}", blocks=blocks
    )


def _bars(reports: Any, title: str, key: str) -> Any:
    return reports.BarPlot(
        title=title,
        metrics=[reports.SummaryMetric(key)],
        groupby=reports.Config(ARCHITECTURE),
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
    )


def _quoted(text: str) -> str:
    return text.replace("\\", "").replace("'", "")


def _saved(path: Path) -> dict[str, str]:
    """Return what an earlier call saved; nothing where there was none, or the file was damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
