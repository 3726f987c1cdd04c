"""Pages of the site that are files of the repository: published tables, cards, change log."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
COMPARISONS = (  # published, each with a figure
    "kermany-two-networks-regions",
    "kermany-two-networks-subsets",
    "kermany-two-networks-seeds",
    "kermany-two-networks-protocols",
    "kermany-resnet18-losses",
    "kermany-lite0-weights",
    "kermany-resnet18-64-weights",
    "kermany-lite0-imagenet-lite-fit",
)
# page of the site -> file of the repository
PAGES: Mapping[str, str] = {
    "results/kermany-cpu.md": "leaderboard/kermany-cpu/leaderboard/README.md",
    "results/kermany-cpu-three-class.md": "leaderboard/kermany-cpu-three-class/leaderboard/README.md",
    **{f"results/{name}.md": f"leaderboard/{name}/README.md" for name in COMPARISONS},
    "results/nih.md": "leaderboard/kermany-cpu/external/nih/README.md",
    "results/external-facts.md": "leaderboard/external-facts/README.md",
    "results/external-variants.md": "leaderboard/external-variants/README.md",
    "results/papers.md": "leaderboard/papers.md",
    "results/lung-outline.md": "leaderboard/lung-outline/README.md",
    "results/framing.md": "leaderboard/framing/README.md",
    "results/region-fills.md": "leaderboard/region-fills/README.md",
    "results/interval-coverage.md": "benchmark/statistics/interval_coverage.md",
    "results/share-coverage.md": "benchmark/statistics/share_coverage.md",
    "results/reader-coverage.md": "benchmark/statistics/reader_coverage.md",
    "results/equal-networks.md": "benchmark/statistics/equal_networks.md",
    "results/confounds.md": "leaderboard/kermany-cpu/confounds/README.md",
    "results/labels.md": "leaderboard/kermany-cpu/labels/README.md",
    "results/near-duplicates.md": "benchmark/evidence/near_duplicates.md",
    "results/epoch-choice.md": "benchmark/evidence/epoch_choice.md",
    "results/official-test.md": "benchmark/evidence/official_test.md",
    "results/label-noise.md": "benchmark/evidence/label_noise.md",
    "results/review-flags.md": "benchmark/evidence/review_flags.md",
    "results/commands.md": "benchmark/performance/commands.md",
    "results/onnx-runtime.md": "benchmark/performance/onnx_runtime.md",
    "results/predicting.md": "benchmark/performance/predicting.md",
    "reference/timm-families.md": "benchmark/architectures/timm_families.md",
    "reference/segmenter.md": "pneumobench/lungs/weights/README.md",
    "about/submitting.md": "leaderboard/SUBMITTING.md",
    "about/changelog.md": "CHANGELOG.md",
    "about/contributing.md": "CONTRIBUTING.md",
    **{
        f"datasets/{path.stem}.md": path.relative_to(REPOSITORY).as_posix()
        for path in sorted((REPOSITORY / "benchmark/datasets").glob("*.md"))
    },
}
FIGURES: Mapping[str, str] = {f"results/{name}.svg": f"leaderboard/{name}/comparison.svg" for name in COMPARISONS}
OWN = ("*.md", "*.ipynb", "*.svg", "*.png", "*.jpg")  # what pages of docs/ link to
WIDE = "---\nhide:\n  - toc\n---\n"  # leaves the width of the page to the tables
FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", flags=re.DOTALL)
LINK = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def page_text(page: str) -> str:
    """Return the Markdown of a page, its links turned to pages of the site."""
    file = PAGES[page]
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    front = FRONT_MATTER.match(text)
    if front:
        text = _card(yaml.safe_load(front[1]), text[front.end() :])
    text = LINK.sub(lambda link: _to_page(link, page, file), text)
    return WIDE + text if page.startswith("results/") else text


def own_page(page: str, text: str) -> str:
    """Return the Markdown of a page of docs/ with its links to files of the repository turned to pages of the site."""
    return LINK.sub(lambda link: _to_page(link, page, f"docs/{page}"), text)


def _to_page(link: re.Match[str], page: str, file: str) -> str:
    """Turn a link to a file into one to its page; a file without a page keeps its name alone."""
    target = os.path.normpath((Path(file).parent / link[2]).as_posix())
    pages = {name: shown for shown, name in {**PAGES, **FIGURES}.items()}
    pages |= {f"docs/{path}": re.sub(r"\.ipynb$", ".md", path) for path in _own_pages()}
    if target not in pages:
        raise ValueError(f"{file}: links to {link[2]}, which has no page of the site (docs/_make/repository.py).")
    return f"{link[1]}{os.path.relpath(pages[target], Path(page).parent)}{link[3] or ''})"


def _own_pages() -> list[str]:
    docs = REPOSITORY / "docs"
    return [path.relative_to(docs).as_posix() for kind in OWN for path in docs.rglob(kind)]


def _card(front: Mapping[str, object], body: str) -> str:
    """Return the card of a data set with its front matter as readable lines above its text."""
    title, _, rest = body.strip().partition("\n")
    rows = [f"| {key} | {_plain(value)} |" for key, value in front.items() if not isinstance(value, dict | list)]
    rows = [row for row in rows if not row.startswith(("| layout |", "| pretty_name |"))]
    counts = front["counts"]
    assert isinstance(counts, dict)
    defects = front["defects"]
    assert isinstance(defects, list)
    lines = [title, "", "| | |", "| --- | --- |", *rows, "", "Layout:", "", "```text", str(front["layout"]).rstrip(),
             "```", "", "| part | images | normal | pneumonia |", "| --- | ---: | ---: | ---: |"]  # fmt: skip
    for part, count in counts.items():
        lines.append(f"| {part} | " + " | ".join(_plain(count[k]) for k in ("images", "normal", "pneumonia")) + " |")
    lines += ["", "Known defects:", "", *(f"- {defect}" for defect in defects), rest]
    return "\n".join(lines)


def _plain(value: object) -> str:
    if value is None:
        return "not known"
    return f"{value:,}" if isinstance(value, int) else " ".join(str(value).split())
