"""What gray levels alone say of the label in two sources: leaderboard/external-facts/README.md.

python -m benchmark.baselines.external_facts DATA TABLE [CACHE]

DATA holds the images of Kermany et al., the folder of TABLE those that the published networks were asked about in
leaderboard/kermany-cpu/external/nih. Folds, settings and predictions are those of leaderboard/kermany-cpu.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pandas as pd

from pneumobench.datasets.index import Index, read_index_table
from pneumobench.datasets.pixel_cache import cached_images
from pneumobench.files import write_text
from pneumobench.leaderboard.external_variants import mean_probability
from pneumobench.metrics import area_estimate
from pneumobench.records.external_record import external_facts, external_table
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.external_table import INVERTED_WORDS, external_auc
from pneumobench.reporting.external_variants_table import facts_lines, strata_lines
from pneumobench.runs.external_variants import facts_of_both, strata_scores
from pneumobench.suite.reader import load_suite

REPOSITORY = Path(__file__).resolve().parents[2]
TABLE = REPOSITORY / "leaderboard/external-facts/README.md"
HEAD = """\
# Coarse facts without structure, here and in another hospital

Own: {own:,} images of [kermany-cpu](../kermany-cpu/leaderboard/README.md), tested within folds. External: {external:,}
images of adults ([its networks on them](../kermany-cpu/external/nih/README.md)). Both at {side} x {side} px, as the
networks see them. AUC with its 95 % interval over patients; it is called {inverted}.

`python -m benchmark.baselines.external_facts DATA TABLE`

| architecture | AUC [95 %], all external images |
| --- | ---: |
{areas}

"""


def main(data: Path, table: Path, cache: Path) -> None:
    """Compute and write the table."""
    run = RunFolder(REPOSITORY / "leaderboard/kermany-cpu")
    suite, (kept, folds) = load_suite(run.suite_yaml), run.index_and_folds()
    folder, side = run.external / "nih", suite.data.image_side_px
    own = Index(root=data, table=kept.table)
    index = Index(root=table.parent, table=read_index_table(folder / "index.csv"))
    facts, values = facts_of_both(
        own, folds, cached_images(own, side, cache), index, cached_images(index, side, cache),
        asked=range(folds.count), seed=suite.seed,
    )  # fmt: skip
    group = index.table.set_index("image_id")["group"]
    read = {name: external_table(folder, name, sha) for name, sha in external_facts(folder)["predictions"].items()}
    predictions = pd.concat(
        pd.read_csv(io.BytesIO(text), dtype={"image_id": str}).assign(architecture=name)
        for name, (_, text) in read.items()
    )
    lines = []
    for name, part in predictions.groupby("architecture"):
        estimate = area_estimate(*mean_probability(part, group))
        lines.append(f"| {name} | {external_auc(estimate.value, estimate.area_interval())} |")
    head = HEAD.format(
        own=len(folds.tested()), external=len(index.table), side=side, inverted=INVERTED_WORDS, areas="\n".join(lines)
    )
    strata = strata_lines(strata_scores(predictions, values, group))
    write_text(TABLE, head + "\n".join([*facts_lines(facts), "", *strata]) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3] if len(sys.argv) > 3 else "runs/.cache"))
