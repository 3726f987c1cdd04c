"""The model card of a bundle, from its numbers: what it is for, what it learnt from, what it scored and what not.

Source: Mitchell et al. 2019, Model cards for model reporting, arXiv:1810.03993. The front matter is that of the Hugging
Face hub.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml

from pneumobench.datasets.cards import DatasetCard, card_names, card_path, read_card
from pneumobench.prediction.answers import REASONS, sure_from, threshold_of
from pneumobench.prediction.bundle import FOR_RESEARCH, Bundle
from pneumobench.reporting.columns import number
from pneumobench.reporting.compared import control_words
from pneumobench.reporting.masked_regions import MASKINGS
from pneumobench.reporting.words import protocol_words
from pneumobench.suite.names import CONTROL_PREFIX

OUT_OF_FOLD: Final = "out of fold: each image by the network that has not seen its patient"
LIMITS: Final = (
    "It learnt from one data set. How it does on images taken and stored elsewhere has to be measured there.",
    "Labels are those of the data set; nobody read the images again for it.",
    "A probability is calibrated for the share of pneumonia in the training data, not for that of a ward.",
    "Reasons for review say in what an image is unlike usual ones. An image without a reason may be called wrongly.",
)


def model_card(bundle: Bundle) -> str:
    """Return the card as Markdown, front matter first."""
    return "\n".join([*_front(bundle), *_lines(bundle)]).rstrip() + "\n"


def _front(bundle: Bundle) -> Iterator[str]:
    card = dataset_card(bundle)
    front = {
        "library_name": "pneumobench",
        "pipeline_tag": "image-classification",
        "tags": ["chest-x-ray", "pediatric", "pneumonia", *sorted(bundle.networks)],
        "license": "other",
        **({} if card is None else {"license_name": f"weights-trained-on-{card.license}", "license_link": card.url}),
    }
    yield f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n"


def dataset_card(bundle: Bundle) -> DatasetCard | None:
    """Return the card of the data that a bundle learnt from; None where there is none."""
    cards = (read_card(card_path(name)) for name in card_names())
    return next((card for card in cards if card.source == bundle.results["source"]), None)


def _lines(bundle: Bundle) -> Iterator[str]:
    results, origin = bundle.results, bundle.origin
    yield f"# {bundle.name}\n"
    yield f"**{FOR_RESEARCH}** No medical device, and no second opinion.\n"
    names = ", ".join(sorted(bundle.networks))
    yield (
        f"{len(bundle.folds)} folds of {names} that give the probability of pneumonia in a frontal chest X-ray of a "
        f"child, seen as a square of {bundle.image_side_px} px (crop: {bundle.crop}). The row `{bundle.architecture}` "
        f"of the suite `{origin['suite']}`.\n"
    )
    yield "```bash\npneumobench predict BUNDLE IMAGES\n```\n"
    yield "## Intended use\n"
    yield (
        "To compare networks, to study what they rest on, and to try them on other data. Not for children outside the "
        "ages of the training data, adults, side views, or any decision about a patient.\n"
    )
    yield from _data_lines(bundle)
    yield "## Results\n"
    yield from _result_rows(results)
    yield (
        f"\nDecisions at the threshold that the validation part of each fold chose (rule `{bundle.rule}`; "
        f"{threshold_of(bundle):.3f} for the calibrated mean). AUC within folds, 95 % interval by patient.\n"
    )
    yield from _worth_lines(results)
    yield "## When a person should look\n"
    yield (
        f"Confidence below {sure_from(bundle):.3f} leaves {1 - float(bundle.coverage):.0%} of the validation part to a "
        "reader. What else is told of an image, and of how many usual ones:\n"
    )
    yield "| reason | limit | of validation images | flags the image |\n|---|---:|---:|---|"
    for reason in (bundle.reasons[name] for name in REASONS if name in bundle.reasons):
        limit = "" if reason.limit is None else f"{reason.limit:.3f}"
        share = "not known" if reason.validation_share is None else f"{reason.validation_share:.1%}"
        flags = "yes" if reason.flags else "no: it says more of the networks"
        yield f"| {reason.words} | {limit} | {share} | {flags} |"
    yield "\n## Limits\n"
    yield from (f"- {line}" for line in LIMITS)
    yield "\n## Origin\n"
    yield from (f"- {key}: `{value}`" for key, value in sorted(origin["hashes"].items()))
    yield f"- pneumobench {origin['pneumobench']}, seed {origin['seed']}, protocol `{origin['protocol']}`"


def _data_lines(bundle: Bundle) -> Iterator[str]:
    card, results = dataset_card(bundle), bundle.results
    yield "## Data, attribution, licence\n"
    split = protocol_words(bundle.origin["protocol"], len(bundle.folds))
    yield f"- {results['images']:,} images of {results['patients']:,} patients, {split}."
    if card is not None:
        yield f"- {card.pretty_name}, {card.license}. {card.citation}"
        yield f"- Who was examined: {card.population}"
    yield (
        "- To tell unusual images, this bundle holds training images shrunk to 16 x 16 pixels and features of others, "
        "without a name."
    )
    for name, network in sorted(bundle.networks.items()):
        told = ", ".join(filter(None, [network.weights_source, network.weights_licence])) or "drawn at random"
        yield f"- {name}: initial weights `{network.weights_origin}` ({told})."
        if network.plugin:
            yield f"- {name} is a plugin ({network.plugin}); its file is no part of the bundle."
    yield ""


def _result_rows(results: dict[str, Any]) -> Iterator[str]:
    yield "| images | AUC | accuracy | recall | specificity | F1 | MCC |\n|---|---:|---:|---:|---:|---:|---:|"
    separate = "part held out of all folds" if results["held_out"] else "official test folder"
    for part, words in (("out_of_fold", OUT_OF_FOLD), ("official", f"{separate}: the mean of all folds' networks")):
        if part in results:
            one = results[part]
            interval = "" if one["auc_interval"] is None else " [{}, {}]".format(*map(number, one["auc_interval"]))
            numbers = " | ".join(number(one[name]) for name in ("accuracy", "recall", "specificity", "f1", "mcc"))
            yield f"| {one['images']:,} {words} | {number(one['auc'])}{interval} | {numbers} |"


def _worth_lines(results: dict[str, Any]) -> Iterator[str]:
    yield "What these numbers are worth:\n"
    if "best_control" in results:
        name, cleared = results["best_control"]["name"], results["clears_controls"]
        words = control_words().get(name, "")
        said = {True: "This row is above it", False: "This row is not told apart from it", None: "Not compared"}[
            cleared
        ]
        yield (
            f"- {name.removeprefix(CONTROL_PREFIX)}{f' ({words})' if words else ''}, which reads no lungs, scores AUC "
            f"{number(results['best_control']['auc'])} out of fold. {said} (paired test by patient)."
        )
    for region, auc in results["masked"].items():
        if region != "none":
            way = MASKINGS[region]
            yield f"- With {way.masked} masked at test time (outline: {way.outline}): AUC {number(auc)}."
    yield ""
