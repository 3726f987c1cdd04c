"""The typed, strict specification of a suite, checked as it is made. Nothing here knows how a stage works."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import yaml

from pneumobench.files import sha256_of_text
from pneumobench.suite.architectures import ArchitectureSpec
from pneumobench.suite.checked import Checked, changed
from pneumobench.suite.columns import ColumnSpec
from pneumobench.suite.logging import LoggingSpec as LoggingSpec
from pneumobench.suite.names import DEFAULT_CONTROLS
from pneumobench.suite.phantoms import PhantomSpec
from pneumobench.suite.pretraining import PretrainingSpec
from pneumobench.suite.regions import Region
from pneumobench.suite.rules import (
    COUNT,
    FOLD_COUNT,
    FOLDS,
    IMAGES,
    INSIDE_HALF,
    INSIDE_ROOT,
    NAME,
    NONE_TO_HALF,
    OVERLAYS,
    SEED,
    SIDE_PX,
    SOME_IMAGES,
    UP_TO_HALF,
    check_protocol,
    check_together,
)
from pneumobench.suite.training import FIRST_MONITOR, AugmentationSpec, TrainingSpec
from pneumobench.suite.weights import public_source

DATA_VARIABLE = "PNEUMOBENCH_DATA"
CLASSES = ("normal", "bacterial", "viral")  # of the task `three_class`, in the order of a network's outputs
Protocol = Literal["patient", "holdout", "official", "image_random"]
PatientRule = Literal["number", "folder_subtype_number", "image"]


@dataclass(frozen=True, kw_only=True)
class DataSpec(Checked, group="data"):
    """Where the radiographs are and how they become pixels.

    Args:
        source: `phantoms` (synthetic), `kermany` (class folders NORMAL/ and PNEUMONIA/, in train/ and test/ or not),
            `rsna`, `vindr_pcxr`, `nih`, `chexpert`, `covid_chestxray` (published sets), `csv` (a table
            image,label[,patient,subtype,lung_mask,split,view]), or a layout that a plugin registers;
            `pneumobench datasets` describes them.
        root: data folder; relative image paths start here. Empty: the variable PNEUMOBENCH_DATA.
        csv: the table (.csv, .tsv or .txt), for `source: csv`, relative to the root.
        follow_links: links in the data folder may lead out of it.
        patient_rule: which images of `source: kermany` count as one child: equal `number` in the file names, whatever
            folder and subtype (cautious), equal `folder_subtype_number` (likely; nobody published it), or only the same
            `image`: patients are not known, each image counts as one, and every page says so. Names that no published
            scheme explains need that to be written down.
        lung_masks: folder of manual lung masks (PNG, bright = lung) that mirrors the image folders, below the root.
        lung_mask_tier: masks of lung attention: `drawn` (by people), `segmented` (by the shipped network), `box` (the
            fixed lung box) or `auto`: drawn where the data name masks, else box, or segmented where `crop` cuts images.
            Images without one are left out.
        crop: what a network sees of an image: `none` (all of it), `fixed` (rows 15-90 %, columns 20-80 %) or
            `adaptive` (the box around the segmented lungs with a margin; the fixed crop where none are found).
        region: what networks are trained and tested on: the `whole` image; it `without_lungs`, or `only_lungs`; the
            same by the outline of another patient's lungs (`_other_outline`), drawn without regard to class; what a
            region leaves that holds 99.5 % of all lung pixels of the training part (`fixed_region_removed`); or the
            lung mask without gray values (`mask_only`). What is masked has the mean gray of what is left.
        require_lung_mask: leave out images without a lung mask of the tier; all of `region` but `whole` do.
        image_side_px: side of the square a network sees, in pixels.
        channels: 1 (gray) or 3 (the gray image three times, for pretrained stems).
        pixel_statistics: how gray levels in [0, 1] are normalised: `auto` (those of the pretrained weights, else mean
            0.5 and deviation 0.25), `unit` (left as they are), `imagenet` (mean 0.449, deviation 0.226) or `image`
            (each image by its own mean and deviation, whatever the weights saw).
        limit_images: use only about this many training and as many official test images, whole patients,
            drawn by the seed; null = all.
        subset_images: use a random subset of so many images in all, drawn one by one by the seed, with the shares of
            labels and subtypes that the whole has; null = all.
        columns: headings of the table, for `source: csv`.
        phantoms: size of the synthetic set.
    """

    source: Annotated[str, NAME] = "phantoms"
    root: str = ""
    csv: str = "index.csv"
    follow_links: bool = False
    patient_rule: PatientRule = "number"
    lung_masks: Annotated[str, INSIDE_ROOT] = ""
    lung_mask_tier: Literal["auto", "drawn", "segmented", "box"] = "auto"
    crop: Literal["none", "fixed", "adaptive"] = "none"
    region: Region = "whole"
    require_lung_mask: bool = False
    image_side_px: Annotated[int, SIDE_PX] = 224
    channels: Literal[1, 3] = 1
    pixel_statistics: Literal["auto", "unit", "imagenet", "image"] = "auto"
    limit_images: Annotated[int | None, IMAGES] = None
    subset_images: Annotated[int | None, IMAGES] = None
    columns: ColumnSpec = field(default_factory=ColumnSpec)
    phantoms: PhantomSpec = field(default_factory=PhantomSpec)


@dataclass(frozen=True, kw_only=True)
class FoldSpec(Checked, group="folds"):
    """How the images are split. Fractions are rounded to one of n equal parts (0.1 = 1/10, 0.3 = 1/3).

    Args:
        protocol: `patient` = folds by patient, every image is tested in exactly one. `holdout` = one test part, by
            patient. `official` = train on the official train folder, test on the official test folder; the
            validation part is taken from the train folder (the official `val` of 16 images is not read).
            `image_random` = folds by image: images of one patient stand on both sides, which is wrong, and
            shows how much it flatters.
        count: number of folds; 1 for `holdout` and `official`.
        tune_fraction: share of the training part, by patient group, kept for early stopping and thresholds.
        test_fraction: share that is tested (protocol: holdout).
        held_out_fraction: share, by patient, that is put aside before folds are made, as a test set of all folds in
            place of the official one; 0 = none.
        training_images: train each fold on about so many images (its validation part among them): whole patients,
            drawn by the seed with the shares of labels and subtypes that all have, those of a smaller number among
            those of a larger; the test parts stay whole; null = all.
        merge_official_test: treat images of the official test folder as all others.
    """

    protocol: Protocol = "patient"
    count: Annotated[int, FOLD_COUNT] = 5
    tune_fraction: Annotated[float, INSIDE_HALF] = 0.1
    test_fraction: Annotated[float, UP_TO_HALF] = 0.15
    held_out_fraction: Annotated[float, NONE_TO_HALF] = 0.0
    training_images: Annotated[int | None, IMAGES] = None
    merge_official_test: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_protocol(self)


@dataclass(frozen=True, kw_only=True)
class ControlSpec(Checked, group="controls"):
    """Models that do not read lungs, scored on the same folds: what a network has to beat.

    Args:
        names: `majority` (the prevalence), `image_facts` (width, height, aspect ratio, and bytes of the file),
            `gray_facts` (eight numbers of gray levels, borders and fine detail), `lung_box` (four edges), `thumbnail`
            (12 x 12 px), `thumbnail_without_lungs`, `mask_only` and `fixed_region_removed` (12 x 12 px of what
            `data.region` calls so), and names that a plugin registers.
        original_sizes: table image,original_width,original_height, relative to the data root, for images that were
            resized before; `image_facts` then sees these sizes and no bytes.
    """

    names: tuple[str, ...] = DEFAULT_CONTROLS
    original_sizes: Annotated[str, INSIDE_ROOT] = ""


@dataclass(frozen=True, kw_only=True)
class ExplanationSpec(Checked, group="explanation"):
    """What is explained, on out-of-fold test images. Lung attention rests on Grad-CAM.

    Args:
        images_per_fold: images explained in each fold, the same for all; null = all, 0 = none, nor any masked.
        overlays_per_fold: heat maps drawn over the image for the leaderboard's page, worst errors first.
        methods: attribution methods that are checked: do they depend on what was learnt, and do they name what the
            network uses; `pneumobench explain` adds more to a finished run.
        checked_images_per_fold: images of each fold that they are checked on, the same for every architecture.
    """

    images_per_fold: Annotated[int | None, SOME_IMAGES] = None
    overlays_per_fold: Annotated[int, OVERLAYS] = 6
    methods: tuple[str, ...] = ("gradcam",)
    checked_images_per_fold: Annotated[int, SOME_IMAGES] = 32


@dataclass(frozen=True, kw_only=True)
class SearchSpec(Checked, group="search"):
    """How `pneumobench tune` looks for settings. What it maximises (or minimises) is `training.monitor`.

    Args:
        space: dotted keys of training and augmentation, each with a list of choices, or with `low`, `high` and, if
            wanted, `log: true` or `step`.
        sampler: `tpe` (tree-structured Parzen estimator, Bergstra et al. 2011; its first ten trials are random) or
            `random`.
        trials: finished trials in all, over all starts and processes; failed and pruned ones count.
        folds: folds whose validation parts a trial is judged by, with the mean of their best epochs.
        pruner: what ends a hopeless trial early, by its epochs in the first of the folds: `none`, `median` (worse than
            the median of earlier trials at the same epoch, after a quarter of the epochs and five trials) or
            `hyperband` (Li et al. 2018, arXiv:1603.06560).
    """

    space: dict[str, Any] = field(default_factory=dict)
    sampler: Literal["tpe", "random"] = "tpe"
    trials: Annotated[int, COUNT] = 20
    folds: Annotated[tuple[int, ...], FOLDS] = (0,)
    pruner: Literal["none", "median", "hyperband"] = "none"


@dataclass(frozen=True, kw_only=True)
class Suite(Checked):
    """Everything that decides the outcome of a benchmark run.

    Args:
        name: name of the suite and of its folder under runs/; letters, digits and `_.-`.
        task: `binary` (pneumonia or normal: one logit) or `three_class` (normal, bacterial, viral: a softmax; pneumonia
            is then the sum of the last two, so that the binary scores are there as well).
        seed: seed of folds and of whatever else is drawn; `training.seed` may be another.
        data: the radiographs.
        folds: the split.
        augmentation: random changes of training images.
        architectures: the networks.
        controls: models that do not read lungs.
        training: the settings of every job.
        pretraining: of networks with `architectures.weights: self_supervised`.
        explanation: the heat maps.
        logging: experiment tracking.
        search: the search for settings, for `pneumobench tune` alone.

    Raises:
        SettingsError: a setting is of a wrong type or out of its range, or does not go with another.

    Example:
        >>> Suite(name="mine", architectures=ArchitectureSpec(names=["resnet18", "vit_tiny_patch16_224"])).folds.count
        5
    """

    name: Annotated[str, NAME] = "unnamed"
    task: Literal["binary", "three_class"] = "binary"
    seed: Annotated[int, SEED] = 0
    data: DataSpec = field(default_factory=DataSpec)
    folds: FoldSpec = field(default_factory=FoldSpec)
    augmentation: AugmentationSpec = field(default_factory=AugmentationSpec)
    architectures: ArchitectureSpec = field(default_factory=ArchitectureSpec)
    controls: ControlSpec = field(default_factory=ControlSpec)
    training: TrainingSpec = field(default_factory=TrainingSpec)
    pretraining: PretrainingSpec = field(default_factory=PretrainingSpec)
    explanation: ExplanationSpec = field(default_factory=ExplanationSpec)
    logging: LoggingSpec = field(default_factory=LoggingSpec)
    search: SearchSpec = field(default_factory=SearchSpec)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_together(self)

    @property
    def training_seed(self) -> int:
        """Seed of initial weights, order, augmentation and dropout, and of the controls."""
        return self.seed if self.training.seed is None else self.training.seed

    @property
    def masks_at_test_time(self) -> bool:
        """Whether networks are shown images with regions masked; what was trained on a region has none to mask."""
        return self.data.region == "whole" and self.explanation.images_per_fold != 0

    def plain(self) -> dict[str, Any]:
        """Return the resolved suite as dictionaries and lists, in the order above; `search` only if it has one."""
        plain = dataclasses.asdict(self)
        for group in plain.values():
            for key, value in group.items() if isinstance(group, dict) else ():
                group[key] = list(value) if isinstance(value, tuple) else value
        if self.search == SearchSpec():
            del plain["search"]
        return plain

    def to_yaml(self) -> str:
        """Return the resolved suite as YAML."""
        return yaml.safe_dump(self.plain(), sort_keys=False, allow_unicode=True)

    def training_hash(self) -> str:
        """Return the SHA-256 of what decides the job of a network.

        Left out: the lists of architectures and controls (adding one keeps finished jobs valid), the data root (the
        index hash covers the images), where weights lie (records have their content), the sources of weights of single
        architectures (each record names its own), devices to log to, worker processes, and the search. Values that
        stand at their default, or at what it was first, are left out too: the hash of older suites stays as it is.
        """
        plain = dataclasses.asdict(self)
        plain["architectures"]["weights"] = public_source(self.architectures.weights)
        default = dataclasses.asdict(Suite(training=TrainingSpec(monitor=FIRST_MONITOR)))
        for settings in (plain, default):
            del settings["logging"], settings["controls"], settings["search"], settings["data"]["root"]
            del settings["training"]["loader_workers"]
            del settings["architectures"]["names"], settings["architectures"]["plugins"]
            del settings["architectures"]["weights_of"]
            del settings["explanation"]["methods"], settings["explanation"]["checked_images_per_fold"]
        return sha256_of_text(yaml.safe_dump(changed(plain, default), sort_keys=True))
