"""How often does a bundle ask for a person to look: at usual images, and at what no network should answer about?

python -m benchmark.evidence.review_flags BUNDLE --data DATA --other NIH=FOLDER --write

Usual are images of the run that the bundle was made of: out of fold, each put to the networks of its fold alone, and
the official test folder, put to all. Foreign ones are made of the latter (turned, inverted, cut), are no radiographs at
all (noise, photographs that come with scikit-image), or come from elsewhere.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from skimage import color, data

from benchmark.performance.measuring import markdown_table
from pneumobench.files import write_text
from pneumobench.metrics.decision_intervals import share_interval
from pneumobench.prediction.answers import REASONS, Prediction
from pneumobench.prediction.asked import Image
from pneumobench.prediction.bundle import open_bundle
from pneumobench.prediction.predictor import Predictor
from pneumobench.prediction.sources import image_files
from pneumobench.radiographs.formats import read_gray
from pneumobench.runs.bundle_checking import data_of_bundle
from pneumobench.runs.context import Bench

HOME: Final = Path(__file__).resolve().parent
MADE_OF: Final = 200  # images of the official test folder that foreign ones are made of
BAR: Final = 0.95  # of what nobody should be told a probability of that has to be flagged
PHOTOGRAPHS: Final = (
    "astronaut", "camera", "cat", "chelsea", "clock", "coffee", "coins", "colorwheel", "grass", "gravel", "horse",
    "hubble_deep_field", "immunohistochemistry", "logo", "moon", "page", "rocket", "text",
)  # fmt: skip
Picture = NDArray[np.uint8]
Change = Callable[[Picture, np.random.Generator], Picture]


def middle(gray: Picture, share: float) -> Picture:
    """Return the middle of an image, `share` of its height and width."""
    height, width = (round(share * side) for side in gray.shape)
    top, left = (gray.shape[0] - height) // 2, (gray.shape[1] - width) // 2
    return gray[top : top + height, left : left + width]


def noise(gray: Picture, rng: np.random.Generator) -> Picture:
    """Return uniform noise of the shape of an image."""
    return rng.integers(0, 256, gray.shape, dtype=np.uint8)


def blank(gray: Picture, rng: np.random.Generator) -> Picture:
    """Return one gray level with the least grain, of the shape of an image: of one level alone it is refused."""
    return (rng.integers(20, 235) + rng.integers(0, 3, gray.shape)).astype(np.uint8)


# what is done to an image, and whether no network should be believed about what comes of it
CHANGES: Final[dict[str, tuple[Change, bool]]] = {
    "uniform noise": (noise, True),
    "blank": (blank, True),
    "inverted": (lambda gray, _: 255 - gray, True),
    "turned by 90 degrees": (lambda gray, _: np.rot90(gray, 1).copy(), True),
    "turned by 180 degrees": (lambda gray, _: np.rot90(gray, 2).copy(), True),
    "turned by 270 degrees": (lambda gray, _: np.rot90(gray, 3).copy(), True),
    "cut to its middle half": (lambda gray, _: middle(gray, 0.5).copy(), True),
    "cut to its left half": (lambda gray, _: gray[:, : gray.shape[1] // 2].copy(), True),
    "cut to its upper half": (lambda gray, _: gray[: gray.shape[0] // 2].copy(), True),
    "cut to its middle three quarters": (lambda gray, _: middle(gray, 0.75).copy(), True),
    "left and right exchanged": (lambda gray, _: gray[:, ::-1].copy(), False),
}


def photographs() -> Iterator[Picture]:
    """Yield the photographs and drawings that come with scikit-image, as gray levels."""
    for name in PHOTOGRAPHS:
        try:
            picture = np.asarray(getattr(data, name)())
        except (AttributeError, OSError):  # not in this version, or only to be downloaded
            continue
        if picture.ndim == 3:
            picture = np.round(255 * color.rgb2gray(picture[..., :3]))
        scale = 255 if picture.dtype == bool else 1
        yield (picture * scale).astype(np.uint8)


def asked(predictor: Predictor, images: Iterable[Image], kind: str, *, foreign: bool) -> dict[str, Any]:
    """Return how many images are flagged, and for what."""
    answers = list(predictor.stream(images))
    row: dict[str, Any] = {"kind": kind, "foreign": foreign, **counted(answers)}
    print(row, flush=True)
    return row


def counted(answers: Sequence[Prediction]) -> dict[str, int]:
    """Return counts of answers: all, refused, flagged, called pneumonia, and by reason, those that flag none too."""
    given = [{**one.reasons, **{name: "" for name in REASONS if name in _noted(one)}} for one in answers]
    return {
        "images": len(answers),
        "refused": sum(bool(one.problem) for one in answers),
        "flagged": sum(bool(one.review) for one in answers),
        "called_pneumonia": sum(bool(one.pneumonia) for one in answers),
        **{name: sum(name in one for one in given) for name in REASONS},
    }


def _noted(one: Prediction) -> set[str]:
    return {name for name, words in REASONS.items() if any(note.startswith(words) for note in one.notes)}


def of_fold(predictor: Predictor, place: int) -> Predictor:
    """Return the predictor of one fold of a bundle."""
    bundle = dataclasses.replace(predictor.bundle, folds=(predictor.bundle.folds[place],))
    return Predictor(dataclasses.replace(predictor.opened, bundle=bundle))


def files_of(bench: Bench, names: Iterable[str]) -> list[Path]:
    """Return the files of images by their names."""
    return [bench.index.root / name for name in names]


def measured(predictor: Predictor, bench: Bench, others: dict[str, Path]) -> list[dict[str, Any]]:
    """Return a row for every kind of image."""
    sums = pd.DataFrame()
    for place, fold in enumerate(predictor.bundle.folds):
        mine = [name for name, number in bench.folds.test_fold.items() if number == fold.fold]
        row = asked(of_fold(predictor, place), files_of(bench, mine), f"fold {fold.fold}", foreign=False)
        sums = pd.concat([sums, pd.DataFrame([row])])
    whole = {str(name): int(count) for name, count in sums.drop(columns=["kind", "foreign"]).sum().items()}
    rows: list[dict[str, Any]] = [{"kind": "out of fold, by one network each", "foreign": False, **whole}]
    official = files_of(bench, bench.folds.official_test)
    rows.append(asked(predictor, official, "official test folder, by all networks", foreign=False))
    rng = np.random.default_rng(0)
    drawn = [official[int(place)] for place in np.sort(rng.permutation(len(official))[:MADE_OF])]
    grays = [read_gray(path) for path in drawn]
    rows.append(asked(predictor, drawn, "of these, those that the following are made of", foreign=False))
    for words, (change, foreign) in CHANGES.items():
        rows.append(asked(predictor, [change(gray, rng) for gray in grays], words, foreign=foreign))
    rows.append(asked(predictor, photographs(), "photographs and drawings", foreign=True))
    for words, folder in others.items():
        rows.append(asked(predictor, image_files([folder]), words, foreign=False))
    return rows


def report(rows: pd.DataFrame, command: str, name: str) -> str:
    """Return the page of the study."""
    shown = []
    for row in rows.to_dict("records"):
        count, flagged = int(row["images"]), int(row["flagged"])
        interval = share_interval(np.arange(count) < flagged, np.arange(count))
        missed = row["foreign"] and flagged / count < BAR
        shown.append(
            {
                "images": f"{row['kind']}{' (below the bar)' if missed else ''}",
                "number": f"{count:,}",
                "flagged": f"**{flagged / count:.3f}** [{interval.low:.3f}, {interval.high:.3f}]",
                "called pneumonia": f"{row['called_pneumonia'] / count:.3f}",
                **{name.replace("_", " "): f"{row[name] / count:.3f}" for name in REASONS},
            }
        )
    foreign = rows[rows["foreign"]]
    above = int((foreign["flagged"] / foreign["images"] >= BAR).sum())
    return "\n".join(
        [
            "# How often a person is asked to look",
            "",
            f"`{command}`",
            "",
            f"The bundle {name}. An image is flagged where at least one reason is given that flags; `without lungs`, "
            "decided the same without its lungs, flags none: most usual images give it, so that it says more of the "
            f"networks than of an image. Of {len(foreign)} kinds that nobody should be told a probability of, {above} "
            f"are flagged in at least {BAR:.0%} of cases. Changed images are made of the same {MADE_OF} images of the "
            "official test folder, so their rows are not independent of each other. Intervals: Wilson, 95 %, each "
            "image as one.",
            "",
            "No side views were at hand. What the reasons are and where their limits come from: "
            "[use a model](../../docs/how-to/use-a-model.md).",
            "",
            *markdown_table(shown),
            "",
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """Ask, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("bundle", type=Path, help="what `pneumobench bundle` wrote")
    parser.add_argument("--data", type=Path, required=True, help="folder of the images of its run")
    parser.add_argument("--other", action="append", default=[], metavar="WORDS=FOLDER", help="images from elsewhere")
    parser.add_argument("--cache", type=Path, default=Path("runs/.cache"), help="where decoded images are kept")
    parser.add_argument("--write", action="store_true", help="write the table and the page beside this file")
    options = parser.parse_args(arguments)
    predictor = Predictor(open_bundle(options.bundle))
    others = {words: Path(folder) for words, _, folder in (one.partition("=") for one in options.other)}
    with tempfile.TemporaryDirectory() as place:
        bench = data_of_bundle(
            predictor.opened, str(options.data), place=Path(place), cache=options.cache, console=Console()
        )
        rows = pd.DataFrame(measured(predictor, bench, others))
    words = ["python", "-m", "benchmark.evidence.review_flags", "BUNDLE", "--data", "DATA"]
    for other in others:
        words += ["--other", f"{other}=FOLDER"]
    page = report(rows, shlex.join([*words, "--write"]), predictor.bundle.name)
    print(page)
    if options.write:
        write_text(HOME / "review_flags.csv", rows.to_csv(index=False, lineterminator="\n"))
        write_text(HOME / "review_flags.md", page)


if __name__ == "__main__":
    main()
