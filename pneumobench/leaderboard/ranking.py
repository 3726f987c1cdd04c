"""Run folder -> leaderboard: every displayed number recomputed from records and predictions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from pneumobench.leaderboard.board import STATE_ORDER, Ensemble, FailedJob, Leaderboard, Provenance, Row
from pneumobench.leaderboard.checks import ablation_scores, method_summaries
from pneumobench.leaderboard.ensembles import cross_fitted_weights, ensemble_predictions
from pneumobench.leaderboard.lung_attention import attention_with_outcomes, summaries
from pneumobench.leaderboard.rows import cost_together, job_state, scored_row, summed_cost
from pneumobench.leaderboard.scores import fold_model
from pneumobench.metrics.comparison import AucDifference, paired_auc_differences, top_group
from pneumobench.records.job_record import JobRecord
from pneumobench.records.loaded_run import GatheredRun, gather
from pneumobench.suite.names import MEAN_ENSEMBLE, WEIGHTED_ENSEMBLE


def rank_run(path: Path) -> Leaderboard:
    """Compute the leaderboard of a run folder; the same files give the same leaderboard, bit for bit.

    Raises:
        RecordError: the folder is not one whole run (see `gather`).
        LeakError: a patient is on two sides of a fold.
    """
    run = gather(path)
    rows = _with_attention(run, [_network_row(run, name) for name in run.architectures])
    complete = [row for row in rows if row.state == "complete" and row.kind == "network"]
    differences, top = _compared(complete, run.index["group"])
    ensemble_rows, ensembles = _ensembles(run, complete)
    rows += ensemble_rows
    ordered = sorted(rows, key=_order)
    names = [row.architecture for row in ordered if row.state == "complete" and row.kind == "network"]
    place = {name: number for number, name in enumerate(names, start=1)}
    best_control = max((auc for row in rows if row.is_control if (auc := _complete_auc(row)) is not None), default=None)
    ranked = tuple(
        replace(
            row,
            rank=place.get(row.architecture),
            in_top_group=row.architecture in top,
            clears_controls=_clears(row, best_control),
        )
        for row in ordered
    )
    tested = run.index.loc[run.folds.tested()]
    official = run.index.loc[list(run.folds.official_test)]
    # of protocol `official` the folder itself is what is tested; else all images of the folds were trained on
    apart = tested if run.folds.protocol == "official" else official
    trained = run.index.loc[[image for image in run.folds.test_fold if image not in apart.index]]
    return Leaderboard(
        suite=run.records[0].suite,
        task=run.suite.task,
        source=run.suite.data.source,
        patient_rule=run.suite.data.patient_rule,
        seed=run.records[0].seed,
        protocol=run.folds.protocol,
        folds=run.folds.count,
        epochs=run.suite.training.epochs,
        image_side_px=run.suite.data.image_side_px,
        channels=run.suite.data.channels,
        images=len(tested),
        pneumonia_images=int(tested["label"].sum()),
        patients=int(tested["patient"].nunique()),
        groups=int(tested["group"].nunique()),
        official_images=len(official),
        official_pneumonia_images=int(official["label"].sum()),
        official_patients=int(official["patient"].nunique()),
        official_patients_trained_on=len(set(apart["patient"]) & set(trained["patient"])),
        held_out=run.suite.folds.held_out_fraction > 0,
        rows=ranked,
        ensembles=tuple(ensembles),
        differences=differences,
        failures=tuple(
            FailedJob(architecture=r.architecture, fold=r.fold, status=r.status, reason=r.reason or "")
            for r in run.records
            if not r.completed
        ),
        provenance=_provenance(run.records),
    )


def _complete_auc(row: Row) -> float | None:
    return row.pooled.auc if row.pooled is not None and row.state == "complete" else None


def _clears(row: Row, best_control: float | None) -> bool | None:
    if row.is_control or row.state != "complete" or best_control is None or row.pooled is None:
        return None
    interval = row.pooled.auc_interval
    return interval is not None and interval.low > best_control


def _order(row: Row) -> tuple[int, float, str]:
    auc = row.pooled.auc if row.pooled is not None and not np.isnan(row.pooled.auc) else -1.0
    return STATE_ORDER.index(row.state), -auc, row.architecture


def _network_row(run: GatheredRun, architecture: str) -> Row:
    """Return the row of a network or a control, without rank, top group and attention."""
    records = run.records_of(architecture)
    done = [record for record in records if record.completed]
    models = [fold_model(record.fold, run.predictions[architecture, record.fold]) for record in done]
    state, status = job_state(records, run.folds.count)
    group = run.index["group"]
    explained = next((record.explanation for record in done if record.explanation is not None), None)
    asked = [found for record in done if (found := run.explanations.get((architecture, record.fold))) is not None]
    row = scored_row(
        architecture,
        models,
        group,
        kind="control" if done and done[0].is_control else "network",
        state=state,
        status=status,
        weights_origin=(done or records)[0].weights_origin if records else "",
        cost=summed_cost(done),
    )
    return replace(
        row,
        plugin=records[0].plugin if records else None,
        ablation=ablation_scores(asked, group),
        methods=method_summaries(asked, row.predictions, group),
        layer=explained.layer if explained else None,
        grid=explained.grid if explained else None,
    )


def _ensembles(run: GatheredRun, complete: list[Row]) -> tuple[list[Row], list[Ensemble]]:
    """Return the rows of the ensembles of all complete networks, and what they are made of; none of one network."""
    if len(complete) < 2:
        return [], []
    names = sorted(row.architecture for row in complete)
    members = {name: {fold: run.predictions[name, fold] for fold in range(run.folds.count)} for name in names}
    best = min(complete, key=_order)
    alike = np.full(len(names), 1 / len(names))
    kinds = {
        MEAN_ENSEMBLE: (f"mean of {len(names)} networks", dict.fromkeys(range(run.folds.count), alike)),
        WEIGHTED_ENSEMBLE: (f"weighted mean of {len(names)} networks", cross_fitted_weights(members)),
    }
    rows, ensembles = [], []
    for name, (origin, weights) in kinds.items():
        models = [fold_model(fold, table) for fold, table in ensemble_predictions(members, weights).items()]
        row = scored_row(
            name,
            models,
            run.index["group"],
            kind="ensemble",
            state="complete",
            status=complete[0].status,
            weights_origin=origin,
            cost=cost_together([row.cost for row in complete]),
        )
        mean = np.mean(list(weights.values()), axis=0)
        against = _compared([row, best], run.index["group"])[0][0]
        assert row.pooled is not None
        assert best.pooled is not None
        rows.append(row)
        ensembles.append(
            Ensemble(
                name=name,
                weights={names[i]: float(mean[i]) for i in np.argsort(-mean, kind="stable")},
                against_best=against,
                gain=row.pooled.auc - best.pooled.auc,
            )
        )
    return rows, ensembles


def _with_attention(run: GatheredRun, rows: list[Row]) -> list[Row]:
    """Add lung attention; complete architectures are compared on the images that all of them explained."""
    explained: dict[str, pd.DataFrame] = {}
    for row in rows:
        tables = [run.attention[row.architecture, fold] for fold in row.folds]
        tables = [table for table in tables if len(table)]
        if tables:
            explained[row.architecture] = attention_with_outcomes(pd.concat(tables), row.predictions)
    keys = {name: set(_image_keys(table)) for name, table in explained.items()}
    complete = [keys[row.architecture] for row in rows if row.state == "complete" and row.architecture in keys]
    common = set.intersection(*complete) if complete else set()
    filled = []
    for row in rows:
        table = explained.get(row.architecture)
        if table is not None and row.state == "complete":
            table = table[[key in common for key in _image_keys(table)]]
        summed = () if table is None else summaries(table, run.index["group"])
        filled.append(replace(row, attention=summed))
    return filled


def _image_keys(table: pd.DataFrame) -> Iterable[tuple[str, str, str]]:
    return zip(table["image_id"], table["method"], table["mask_tier"], strict=True)


def _compared(complete: list[Row], group: pd.Series[int]) -> tuple[tuple[AucDifference, ...], frozenset[str]]:
    """Compare all pairs of complete architectures; one architecture alone is its own top group."""
    if not complete:
        return (), frozenset()
    first = complete[0].predictions  # sorted by image_id, as the others
    comparison = paired_auc_differences(
        {row.architecture: row.predictions["probability"].to_numpy(np.float64) for row in complete},
        first["label"].to_numpy() == 1,
        group.loc[first["image_id"]].to_numpy(),
    )
    return comparison.differences, frozenset(top_group(comparison))


def _provenance(records: tuple[JobRecord, ...]) -> Provenance:
    def values(tables: Iterable[dict[str, str] | dict[str, str | int | float]]) -> dict[str, tuple[str, ...]]:
        seen: dict[str, set[str]] = {}
        for table in tables:
            for key, value in table.items():
                seen.setdefault(key, set()).add(str(value))
        return {key: tuple(sorted(found)) for key, found in sorted(seen.items())}

    return Provenance(
        hashes={key: records[0].hashes[key] for key in ("suite", "index", "folds")},
        software=values(record.software for record in records),
        hardware=values(record.hardware for record in records),
        first_record=min(record.created for record in records),
        last_record=max(record.created for record in records),
    )
