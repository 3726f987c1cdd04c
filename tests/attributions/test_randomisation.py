from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pneumobench.architectures import Architecture, build_architecture
from pneumobench.attributions.methods import (
    METHODS,
    AttributionMethod,
    attribution_method,
    register_method,
)
from pneumobench.attributions.methods.gradient_methods import uniform_baseline
from pneumobench.attributions.misplaced import LEAST_SHIFT, misplaced_maps
from pneumobench.attributions.randomisation import (
    RANDOMISATIONS,
    STAGES,
    cascade,
    layers_from_the_head,
    randomisation,
)
from pneumobench.errors import NotAvailableError

SIDE = 32
RADIOGRAPHS = torch.randint(0, 256, (6, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_items", dict(METHODS.loaded()))


def _network() -> Architecture:
    torch.manual_seed(3)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(6, 1),
    )  # fmt: skip
    return Architecture(module=module.eval())


def _weights(architecture: Architecture) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in architecture.module.named_parameters()}


def _changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name, value in after.items() if not torch.equal(value, before[name])}


def test_a_cascade_goes_from_the_head_down_and_keeps_every_value() -> None:
    architecture = _network()
    before, state = _weights(architecture), copy.deepcopy(architecture.module.state_dict())
    stages = [_weights(stage) for stage in cascade(architecture, RADIOGRAPHS, 0)]
    assert len(stages) == len(STAGES)
    assert _changed(before, stages[0]) == {"7.weight"}, "a bias of one value has no other order"
    assert _changed(before, stages[1]) == {"7.weight", "3.weight", "3.bias"}
    assert _changed(before, stages[2]) >= {"7.weight", "3.weight", "0.weight"}
    for name, value in stages[2].items():
        assert torch.equal(value.flatten().sort().values, before[name].flatten().sort().values)
    assert all(torch.equal(value, state[name]) for name, value in architecture.module.state_dict().items())
    again, other = (list(map(_weights, cascade(architecture, RADIOGRAPHS, seed)))[2] for seed in (0, 1))
    assert not _changed(stages[2], again)
    assert "3.weight" in _changed(stages[2], other)


def test_running_statistics_are_those_of_the_shuffled_network() -> None:
    architecture = _network()
    norm = architecture.module[1]  # type: ignore[index]
    norm.running_mean.fill_(1e3)
    *_, last = cascade(architecture, RADIOGRAPHS, 0)
    inside = last.module[0](last.normalise(RADIOGRAPHS))  # type: ignore[index]
    torch.testing.assert_close(last.module[1].running_mean, inside.mean((0, 2, 3)))  # type: ignore[index]
    assert not last.module[1].training  # type: ignore[index]
    assert float(norm.running_mean[0]) == 1e3, "the trained network keeps its own"


def test_layers_are_in_the_order_in_which_an_image_reaches_them_whatever_their_names_say() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.stem = nn.Linear(4, 1), nn.Conv2d(1, 4, 3)
            self.offset = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.head(self.stem(x).mean((2, 3)) + self.offset)
            return y

    module = Backwards()
    layers = layers_from_the_head(module, torch.zeros(1, 1, 8, 8))
    expected = [module.head.weight, module.stem.weight, module.offset]
    assert all(layer[0] is weight for layer, weight in zip(layers, expected, strict=True))
    vit = build_architecture("test_vit", in_channels=1, image_side_px=SIDE)
    first, *_, last = layers_from_the_head(vit.module, vit.normalise(RADIOGRAPHS[:1]))
    assert first[0] is vit.module.head.weight  # type: ignore[union-attr]
    assert any(weight is vit.module.pos_embed for weight in last)


def test_maps_in_other_places_keep_every_value_and_move_far() -> None:
    heat = torch.rand(20, SIDE, SIDE)
    heat[:, 5, 5] = 9.0
    moved = misplaced_maps(heat, 0)
    assert torch.equal(moved.flatten(1).sort(1).values, heat.flatten(1).sort(1).values)
    place = moved.flatten(1).argmax(1)
    rows, columns = (place // SIDE - 5) % SIDE, (place % SIDE - 5) % SIDE
    far = torch.maximum(torch.minimum(rows, SIDE - rows), torch.minimum(columns, SIDE - columns))
    assert (far >= LEAST_SHIFT * SIDE).all()
    assert len(set(place.tolist())) > 10, "each map goes elsewhere"
    assert torch.equal(moved, misplaced_maps(heat, 0))
    assert not torch.equal(moved, misplaced_maps(heat, 1))


def _way(found: float, chance: float, repeated: float) -> float:
    return (found - chance) / (repeated - chance)


def _blobs() -> Tensor:
    """Smooth images: what is bright is bright over some pixels."""
    noise = torch.randn(6, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    smooth = nn.functional.avg_pool2d(nn.functional.avg_pool2d(noise, 5, 1, 2), 5, 1, 2)
    return (128 + 300 * smooth).clamp(0, 255).to(torch.uint8)


def _of_the_image() -> AttributionMethod:
    @register_method("of_the_image", source="a test", needs_layer=False)
    def of_the_image(architecture: Architecture, radiographs: Tensor, target: int = 0) -> Tensor:
        """Random signs of the network times the image: signed correlations with it are 0, and it shows the image."""
        weight = architecture.module[0].weight.detach()  # type: ignore[index]
        generator = torch.Generator().manual_seed(int(1e6 * float(weight.flatten()[0].abs())))
        signs = torch.randint(0, 2, radiographs.shape[2:], generator=generator) * 2.0 - 1
        gray = radiographs.float()
        return signs * (gray - uniform_baseline(gray)).abs()[:, 0]

    return attribution_method("of_the_image")


def test_a_map_that_shows_the_image_whatever_the_network_keeps_most_of_itself() -> None:
    architecture, radiographs = _network(), _blobs()
    method = _of_the_image()
    found = randomisation(architecture, method, radiographs, method.attribute(architecture, radiographs), seed=0)
    assert found is not None
    assert (len(found.randomised), found.images) == (RANDOMISATIONS, 6)
    last = np.mean([one[-1].rank_correlation for one in found.randomised if one[-1] is not None])
    assert _way(float(last), found.chance.rank_correlation, found.repeated.rank_correlation) > 0.5
    assert found.repeated.rank_correlation > 0.9


def test_a_map_of_the_weights_loses_itself_and_varies_between_shuffles() -> None:
    @register_method("of_the_weights", source="a test", needs_layer=False)
    def of_the_weights(architecture: Architecture, radiographs: Tensor, target: int = 0) -> Tensor:
        weight = architecture.module[3].weight.detach().flatten()[:64].reshape(1, 1, 8, 8)  # type: ignore[index]
        heat = nn.functional.interpolate(weight, (SIDE, SIDE), mode="bilinear")[:, 0]
        return heat.expand(len(radiographs), -1, -1)

    architecture, method = _network(), attribution_method("of_the_weights")
    heat = method.attribute(architecture, RADIOGRAPHS)
    found = randomisation(architecture, method, RADIOGRAPHS, heat, seed=0)
    assert found is not None
    stages = np.array([[of.rank_correlation for of in one if of is not None] for one in found.randomised])
    assert stages[:, 0] == pytest.approx(1), "the head does not count for it"
    assert stages[:, 2].mean() < 0.5
    assert stages[:, 2].std() > 0
    assert found.repeated.rank_correlation == pytest.approx(1)
    assert 0 < found.chance.rank_correlation < 0.6


def test_copies_that_cannot_be_explained_are_told_from_maps_that_are_lost() -> None:
    calls = []

    @register_method("once", source="a test", needs_layer=False)
    def once(architecture: Architecture, radiographs: Tensor, target: int = 0) -> Tensor:
        calls.append(1)
        if len(calls) == 3:
            raise NotAvailableError("not for this copy")
        heat = radiographs[:, 0].float()
        return heat if len(calls) < 3 else torch.zeros_like(heat)

    method, architecture = attribution_method("once"), _network()
    found = randomisation(architecture, method, RADIOGRAPHS, method.attribute(architecture, RADIOGRAPHS), seed=0)
    assert found is not None
    assert found.randomised[0][0] is None
    lost = found.randomised[0][1]
    assert lost is not None
    assert lost.rank_correlation == pytest.approx(found.chance.rank_correlation), "nothing left counts as chance"


def test_without_a_map_that_points_somewhere_there_is_nothing_to_compare() -> None:
    method = attribution_method("occlusion")
    for heat in (torch.zeros(6, SIDE, SIDE), torch.full((6, SIDE, SIDE), torch.nan), -torch.ones(6, SIDE, SIDE)):
        assert randomisation(_network(), method, RADIOGRAPHS, heat, seed=0) is None
