from __future__ import annotations

import pytest
import torch
from scipy import stats

from pneumobench.radiographs.random_numbers import normal, philox, uniform

# of the authors' library Random123
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("counter", "key", "known"), KNOWN)
def test_known_answers(counter: tuple[int, ...], key: tuple[int, int], known: tuple[int, ...]) -> None:
    assert tuple(philox(torch.tensor(counter), key).tolist()) == known


def test_numbers_of_an_image_do_not_hang_on_its_batch() -> None:
    rows = torch.arange(1000)
    every = uniform(rows, 7, seed=5, epoch=2)
    assert torch.equal(uniform(rows[[30, 4]], 7, seed=5, epoch=2), every[[30, 4]])
    assert torch.equal(uniform(rows[:3], 5, seed=5, epoch=2), every[:3, :5])
    for seed, epoch, stream in ((6, 2, 0), (5, 3, 0), (5, 2, 1)):
        assert (uniform(rows, 7, seed=seed, epoch=epoch, stream=stream) == every).double().mean() < 0.001
    assert (uniform(rows, 7, seed=5 + 2**32, epoch=2) != every).all(dim=1).any(), "all of a seed counts"


def test_they_are_distributed_as_they_are_called() -> None:
    rows = torch.arange(500)
    even, bell = uniform(rows, 40, seed=1, epoch=0), normal(rows, 41, seed=1, epoch=0, stream=1)
    assert bool(((even >= 0) & (even < 1)).all())
    assert stats.kstest(even.flatten().numpy(), "uniform").pvalue > 0.01
    assert stats.kstest(bell.flatten().numpy(), "norm").pvalue > 0.01
    assert abs(stats.pearsonr(even[:, 0].numpy(), even[:, 1].numpy()).statistic) < 0.15
    assert abs(stats.pearsonr(bell[:, 0].numpy(), bell[:, 21].numpy()).statistic) < 0.15
