"""A head without weights to learn: the votes of those training images whose features are nearest."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

TEMPERATURE: Final = 0.07  # of cosine similarities (Wu et al. 2018)


class NeighbourVote(nn.Module):
    """Weighted votes of the nearest stored images: features (B, F) to logits (B, 1), or (B, classes) of a softmax.

    Features are compared by the cosine; an image of similarity s votes with exp(s / 0.07), relative to the nearest one.
    The shares of the classes among all that is stored vote as one more, so that no class has a probability of 0. What
    is stored are features of training images: a file of these weights holds them.

    Args:
        outputs: 1 = the pneumonia logit of two classes; 3 = logits of three classes.

    Source: Wu et al. 2018, Unsupervised feature learning via non-parametric instance discrimination, arXiv 1805.01978.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        for name in ("stored", "votes"):
            self.register_buffer(name, torch.zeros(0))
        self.register_buffer("neighbours", torch.zeros((), dtype=torch.int64))

    def store(self, features: Tensor, target: Tensor, *, neighbours: int, weight: Tensor) -> NeighbourVote:
        """Keep the images that vote, and return this module.

        Args:
            features: (N, F).
            target: class numbers (N,).
            neighbours: how many vote; all where there are fewer.
            weight: of a vote for each class (classes,).
        """
        self.stored = functional.normalize(features.float(), dim=1)
        self.votes = functional.one_hot(target, len(weight)).float() * weight.float()
        self.neighbours = torch.tensor(neighbours)
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Return logits for features (B, F), in float32 whatever the precision of the network before."""
        with torch.autocast(features.device.type, enabled=False):
            similarity = functional.normalize(features.float(), dim=1) @ self.stored.T  # (B, N)
            nearest, rows = similarity.topk(min(int(self.neighbours), similarity.shape[1]))
            weight = ((nearest - nearest[:, :1]) / TEMPERATURE).exp()
            votes = self.votes
            for_class = (weight[:, :, None] * votes[rows]).sum(1) + votes.mean(0)
            logits = for_class.log()
            return logits[:, 1:] - logits[:, :1] if self.outputs == 1 else logits

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        """Take what is stored as it is: how many images and features there are is known from a file alone."""
        for name, buffer in self._buffers.items():
            if buffer is not None and (found := state_dict.get(prefix + name)) is not None:
                self._buffers[name] = torch.zeros_like(found, device=buffer.device)
        super()._load_from_state_dict(state_dict, prefix, *others)
