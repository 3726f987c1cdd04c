"""Every option of a training shows its effect on a small problem, and nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from pneumobench.architectures import Architecture, build_architecture
from pneumobench.architectures.head import Head, attach_head, check_head
from pneumobench.datasets.datamodule import SeededOrder
from pneumobench.errors import NotAvailableError, SettingsError
from pneumobench.files import sha256_of_file
from pneumobench.suite.training import FineTuningSpec
from pneumobench.training import keeping
from pneumobench.training.averaging import warming_average
from pneumobench.training.fine_tuning import FineTuning, parameter_ranks
from pneumobench.training.fit import FitResult, fit
from pneumobench.training.optimiser import parameter_groups
from tests.training.tiny_fold import tiny_architecture, tiny_data, tiny_images, tiny_spec


def trained(
    folder: Path, architecture: Architecture | None = None, **changes: object
) -> tuple[dict[str, Tensor], FitResult]:
    """Return the weights after a short training that goes badly on purpose nowhere, and how it went."""
    architecture = tiny_architecture() if architecture is None else architecture
    result = fit(architecture, tiny_data(tiny_images()), tiny_spec(**changes), folder=folder, seed=0)
    return load_file(folder / "weights.safetensors"), result


def start() -> dict[str, Tensor]:
    return {name: value.clone() for name, value in tiny_architecture().module.state_dict().items()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name, value in after.items() if name in before and not torch.equal(value, before[name])}


def test_mixed_precision_trains_the_same_network_a_little_differently(tmp_path: Path) -> None:
    plain, _ = trained(tmp_path / "plain", epochs=1)
    mixed, _ = trained(tmp_path / "mixed", epochs=1, precision="bf16-mixed")
    assert {name: value.dtype for name, value in mixed.items()} == {name: value.dtype for name, value in plain.items()}
    assert any(not torch.equal(mixed[name], plain[name]) for name in plain)
    assert torch.allclose(mixed["9.weight"], plain["9.weight"], atol=0.1)


def test_a_frozen_backbone_keeps_its_weights_and_batch_statistics(tmp_path: Path) -> None:
    weights, _ = trained(tmp_path, fine_tuning=FineTuningSpec(trained="head"), weight_decay=0.5)
    assert changed(start(), weights) == {"9.weight", "9.bias"}
    assert {"1.running_mean", "1.running_var", "1.num_batches_tracked"} <= set(weights)


def test_the_last_blocks_are_trained_and_no_others(tmp_path: Path) -> None:
    weights, _ = trained(tmp_path, fine_tuning=FineTuningSpec(trained="last_blocks", count=1))
    assert changed(start(), weights) == {"4.weight", "4.bias", "9.weight", "9.bias"}


def test_the_last_layers_are_counted_norms_included(tmp_path: Path) -> None:
    # below the head: convolution 4, norm 1, convolution 0
    weights, _ = trained(tmp_path, fine_tuning=FineTuningSpec(trained="last_layers", count=2))
    assert {name.split(".")[0] for name in changed(start(), weights)} == {"1", "4", "9"}
    assert "1.running_mean" in changed(start(), weights), "a norm that is trained counts its batches"


def test_blocks_are_unfrozen_at_the_stated_epochs(tmp_path: Path) -> None:
    spec = FineTuningSpec(trained="head", unfreeze_every_epochs=2)
    architecture = tiny_architecture()
    tuning = FineTuning(architecture, spec)
    seen = []
    for epoch in range(8):
        architecture.module.train()
        tuning.apply(epoch)
        seen.append(sorted({n.split(".")[0] for n, p in architecture.module.named_parameters() if p.requires_grad}))
    assert seen == [["9"]] * 2 + [["4", "9"]] * 2 + [["1", "4", "9"]] * 2 + [["0", "1", "4", "9"]] * 2
    weights, _ = trained(tmp_path / "one", epochs=2, fine_tuning=spec)
    assert {name.split(".")[0] for name in changed(start(), weights)} == {"9"}
    weights, _ = trained(tmp_path / "two", epochs=3, fine_tuning=spec, monitor="tune_auc", learning_rate=1e-3)
    names = {name.split(".")[0] for name in changed(start(), weights)}
    assert names in ({"9"}, {"4", "9"}), "the best epoch may be one before"


def test_a_resumed_training_unfreezes_as_one_that_was_not_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "CHECKPOINT_EVERY_S", 0.0)
    from tests.training.test_fit import _InterruptionError, _StopAt

    spec = tiny_spec(epochs=3, fine_tuning=FineTuningSpec(trained="head", unfreeze_every_epochs=1), ema_decay=0.8)
    images = tiny_images()
    fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path / "whole", seed=0)
    with pytest.raises(_InterruptionError):
        fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path / "b", seed=0, callbacks=(_StopAt(12),))
    fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path / "b", seed=0)
    one, two = (sha256_of_file(tmp_path / name / "weights.safetensors") for name in ("whole", "b"))
    assert one == two


@pytest.mark.parametrize(
    ("name", "blocks", "top"),
    [
        ("resnet18", 5, {"layer4"}),
        ("densenet121", 5, {"features"}),
        ("test_vit", 7, {"blocks", "norm"}),
        ("swin_tiny_patch4_window7_224", 5, {"layers", "norm"}),
        ("mobilenetv3_small_050", 7, {"blocks", "conv_head"}),
    ],
)
def test_blocks_of_timm_models_count_from_the_head_down(name: str, blocks: int, top: set[str]) -> None:
    architecture = build_architecture(name, in_channels=1, image_side_px=64)
    ranks = parameter_ranks(architecture)
    heads = {key for key, rank in ranks.items() if rank == 0}
    assert all(part in key for key in heads for part in ("weight", "bias") if key.endswith(part))
    assert len(heads) == 2
    assert max(ranks.values()) == blocks
    assert {key.split(".")[0] for key, rank in ranks.items() if rank == 1} == top
    assert set(ranks) == {key for key, _ in architecture.module.named_parameters()}
    # the stem is furthest from the head
    first = next(key for key, _ in architecture.module.named_parameters() if "conv" in key or "proj" in key)
    assert ranks[first] == blocks


def test_rates_decay_layer_by_layer() -> None:
    architecture = tiny_architecture()
    spec = tiny_spec(learning_rate=1.0, fine_tuning=FineTuningSpec(layer_decay=0.5))
    groups = parameter_groups(architecture, spec, FineTuning(architecture, spec.fine_tuning))
    name_of = {parameter: name for name, parameter in architecture.module.named_parameters()}
    rates = {name_of[p].split(".")[0]: group["lr"] for group in groups for p in group["params"]}
    assert rates == {"9": 1.0, "4": 0.5, "1": 0.25, "0": 0.125}


class _Inside(nn.Module):
    """A plugin that wraps a network of timm."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("test_vit", {"pos_embed", "cls_token"}),
        ("deit_tiny_distilled_patch16_224", {"pos_embed", "cls_token", "dist_token"}),
        ("eva02_tiny_patch14_224", {"pos_embed", "cls_token"}),
        ("swin_tiny_patch4_window7_224", {"layers.0.blocks.0.attn.relative_position_bias_table"}),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_positions_and_tokens_are_not_decayed(name: str, named: set[str], inside: bool) -> None:
    architecture = build_architecture(name, in_channels=1, image_side_px=112)
    if inside:
        architecture = dataclasses.replace(architecture, module=_Inside(architecture.module))
    spec = tiny_spec(weight_decay=0.1)
    groups = parameter_groups(architecture, spec, FineTuning(architecture, spec.fine_tuning))
    name_of = {parameter: key for key, parameter in architecture.module.named_parameters()}
    decay = {
        name_of[one].removeprefix("network."): group["weight_decay"] for group in groups for one in group["params"]
    }
    assert {decay[key] for key in named} == {0.0}
    weights = {key: one for key, one in decay.items() if key.endswith(("attn.proj.weight", "patch_embed.proj.weight"))}
    assert len(weights) > 1
    assert set(weights.values()) == {0.1}
    assert len(decay) == len(name_of), "each parameter once"


def test_a_network_without_an_output_layer_cannot_be_frozen() -> None:
    headless = Architecture(module=nn.Sequential(nn.Conv2d(1, 1, 16), nn.Flatten()))
    with pytest.raises(NotAvailableError, match="no linear layer with one output"):
        FineTuning(headless, FineTuningSpec(trained="head"))
    with pytest.raises(NotAvailableError, match=r"training\.head empty"):
        attach_head(headless, ["relu"])


def test_a_head_stands_between_the_features_and_the_logit(tmp_path: Path) -> None:
    layers = ["dense 512", "batch_norm", "relu", "dropout 0.3", "dense 128", "relu", "dropout 0.2"]
    architecture = tiny_architecture()
    attach_head(architecture, layers)
    head = architecture.module.get_submodule("9")
    assert isinstance(head, Head)
    assert [type(part).__name__ for part in head] == [
        "Linear", "BatchNorm1d", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"
    ]  # fmt: skip
    architecture.module.eval()
    assert architecture.logits(torch.zeros(3, 1, 16, 16, dtype=torch.uint8)).shape == (3,)
    weights, _ = trained(tmp_path, architecture, fine_tuning=FineTuningSpec(trained="head"), epochs=1)
    assert changed(start(), weights) == set(), "the head is new, and all else is frozen"
    assert weights["9.0.weight"].shape == (512, 8)


@pytest.mark.parametrize("name", ["resnet18", "test_vit", "deit_tiny_distilled_patch16_224", "regnety_002"])
def test_heads_fit_timm_models(name: str) -> None:
    architecture = build_architecture(name, in_channels=1, image_side_px=64)
    attach_head(architecture, ["dropout 0.5", "dense 16", "relu"])
    architecture.module.eval()
    assert architecture.logits(torch.zeros(2, 1, 64, 64, dtype=torch.uint8)).shape == (2,)
    spec = tiny_spec(weight_decay=0.1, head_weight_decay=0.7)
    groups = parameter_groups(architecture, spec, FineTuning(architecture, spec.fine_tuning))
    decays = {group["weight_decay"]: sum(p.numel() for p in group["params"]) for group in groups}
    assert set(decays) == {0.1, 0.7, 0.0}
    assert 0 < decays[0.7] < decays[0.1]


@pytest.mark.parametrize("layer", ["dropout 1.5", "dense", "dense -3", "batch_norm 4", "gelu", "dropout x"])
def test_a_layer_that_is_not_understood_is_named(layer: str) -> None:
    with pytest.raises(SettingsError, match=rf"training\.head has '{layer}'"):
        check_head(["relu", layer])


def test_the_sampler_balances_the_classes() -> None:
    images = tiny_images(6000)
    images.label[:] = (np.arange(6000) % 10 == 0).astype(np.int64)
    data = tiny_data(images, balanced=True)
    rows = np.array([row for _, row in data.order])
    assert len(rows) == len(images.positions["train"])
    assert abs(images.label[rows].mean() - 0.5) < 0.03
    assert images.label[images.positions["train"]].mean() < 0.15
    again = SeededOrder(data.order.rows, data.order.seed, 8, data.order.share)
    assert list(again) == list(data.order), "the draw depends on seed and epoch alone"
    again.epoch = 1
    assert list(again) != list(data.order)


def test_the_average_of_weights_is_kept(tmp_path: Path) -> None:
    plain, _ = trained(tmp_path / "plain", epochs=2, monitor="tune_auc")
    mean, _ = trained(tmp_path / "mean", epochs=2, monitor="tune_auc", ema_decay=0.999)
    assert not torch.equal(mean["9.weight"], plain["9.weight"])


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_average_forgets_its_first_step(decay: float) -> None:
    module = nn.BatchNorm1d(1)  # weights, statistics and a count
    averaged = AveragedModel(module, use_buffers=True, avg_fn=warming_average(decay))
    expected = 0.0
    for step in range(354):
        module.weight.data.fill_(step)
        module.state_dict()["running_mean"].fill_(-step)
        module.state_dict()["num_batches_tracked"].fill_(step)
        averaged.update_parameters(module)
        share = 0.0 if step == 0 else min(decay, (1 + step) / (10 + step))
        expected = share * expected + (1 - share) * step
    state = averaged.module.state_dict()
    assert state["weight"].item() == pytest.approx(expected, rel=1e-5)
    assert state["running_mean"].item() == pytest.approx(-expected, rel=1e-5)
    assert state["num_batches_tracked"].item() == 353
    assert expected > 0.85 * 353, "with a fixed decay of 0.999 it would be below 60"


@pytest.mark.parametrize("monitor", ["tune_loss", "tune_accuracy", "tune_auc"])
def test_the_best_epoch_is_the_best_by_what_is_monitored(monitor: str, tmp_path: Path) -> None:
    import pandas as pd

    _, result = trained(tmp_path, epochs=4, learning_rate=0.3, schedule="constant", monitor=monitor)
    history = pd.read_csv(tmp_path / "history.csv")[monitor]
    best = history[history == (history.min() if monitor == "tune_loss" else history.max())].index[-1]
    assert result.best_epoch == best


CHANGES: list[dict[str, object]] = [
    {}, {"class_weights": "balanced"}, {"loss": "focal"}, {"loss": "focal", "focal_gamma": 1.0},
    {"loss": "focal", "focal_alpha": 0.25}, {"label_smoothing": 0.1}, {"mixup_alpha": 0.4}, {"ema_decay": 0.9},
    {"optimizer": "adam"}, {"optimizer": "sgd"}, {"gradient_clip_norm": 0.01}, {"weight_decay": 0.5},
    {"learning_rate": 0.01}, {"fine_tuning": FineTuningSpec(trained="head")},
    {"fine_tuning": FineTuningSpec(trained="last_blocks")}, {"fine_tuning": FineTuningSpec(layer_decay=0.5)},
]  # fmt: skip


def test_two_trainings_with_one_changed_option_differ(tmp_path: Path) -> None:
    images = tiny_images()
    images.label[::4] = 1  # classes out of balance, so that weights matter
    hashes = {}
    for number, changes in enumerate(CHANGES):
        folder = tmp_path / str(number)
        fit(tiny_architecture(), tiny_data(images), tiny_spec(epochs=1, **changes), folder=folder, seed=0)
        hashes[sha256_of_file(folder / "weights.safetensors")] = changes
    assert len(hashes) == len(CHANGES)


def test_correcting_the_imbalance_twice_is_noticed() -> None:
    assert not tiny_spec(balanced_sampler=True).corrects_twice()
    assert not tiny_spec(class_weights="balanced").corrects_twice()
    assert tiny_spec(balanced_sampler=True, class_weights="balanced").corrects_twice()
    assert tiny_spec(balanced_sampler=True, loss="focal", focal_alpha=0.25).corrects_twice()
    assert tiny_spec(class_weights="balanced", loss="focal", focal_alpha=0.25).corrects_twice()


def test_the_decay_of_the_head_needs_no_added_layers() -> None:
    architecture, spec = tiny_architecture(), tiny_spec(weight_decay=0.1, head_weight_decay=0.7)
    groups = parameter_groups(architecture, spec, FineTuning(architecture, spec.fine_tuning))
    name_of = {parameter: name for name, parameter in architecture.module.named_parameters()}
    assert [name_of[p] for g in groups if g["weight_decay"] == 0.7 for p in g["params"]] == ["9.weight"]


def test_a_norm_without_weights_is_frozen_with_its_layer() -> None:
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, affine=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    architecture = Architecture(module=nn.Sequential(body, nn.Linear(4, 1)))
    FineTuning(architecture, FineTuningSpec(trained="head")).apply(0)
    assert not body[1].training
    FineTuning(architecture, FineTuningSpec(trained="last_blocks")).apply(0)
    assert body[1].training
