# SPDX-License-Identifier: Apache-2.0
"""Prunes a model to zeros in 4 x 4 blocks, gradually, while it is trained."""

import torch
from torch import nn
from torch.nn.utils.stateless import functional_call

BLOCK = 4
# Pruning begins when Adam knows its second moments and ends early enough to settle.
FIRST_SHARE, LAST_SHARE = 0.03, 0.55
STEPS_PER_PRUNING = 20
# A matrix has at least and at most this many times the zeros of the whole.
LEAST_FACTOR, MOST_FACTOR = 0.82, 1.14


def block_sums(matrix):
    """One sum for each 4 outputs x 4 inputs."""
    rows, columns = matrix.shape
    return matrix.view(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK).sum((1, 3))


def expand(blocks):
    return blocks.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)


def within_bounds(scores, sparsity):
    """Scores of one matrix, the worst and best blocks put out of the others' reach."""
    order = scores.flatten().argsort()
    bounded = scores.flatten().clone()
    bounded[order[: int(LEAST_FACTOR * sparsity * len(order))]] = -1.0
    bounded[order[int(min(1.0, MOST_FACTOR * sparsity) * len(order)):]] = float("inf")
    return bounded


def kept_blocks(scores, sparsity):
    """Of all matrices together, the share 1 - sparsity of the blocks: those of the best scores."""
    together = torch.cat([within_bounds(part, sparsity) for part in scores])
    kept = torch.zeros(len(together), dtype=torch.bool)
    kept[together.topk(round((1 - sparsity) * len(together))).indices] = True
    parts = kept.split([part.numel() for part in scores])
    return [part.view_as(like) for part, like in zip(parts, scores)]


class Pruned(nn.Module):
    """A model whose masked weights read as zeros; `is_pruned(name, parameter)` says which weights
    may be masked. Until `settled`, they are still trained as
    if they were not masked (straight-through), so that a block pruned too soon can come back."""

    def __init__(self, model, is_pruned):
        super().__init__()
        self.model = model
        self.settled = False
        named = model.named_parameters()
        self.weights = {name: p for name, p in named if is_pruned(name, p)}
        for name, weight in self.weights.items():
            self.register_buffer(self._mask_name(name), torch.ones_like(weight))

    @staticmethod
    def _mask_name(name):
        return name.replace(".", "_")

    def mask(self, name):
        return getattr(self, self._mask_name(name))

    def masked(self, name):
        weight = self.weights[name]
        zeroed = weight * self.mask(name)
        return zeroed if self.settled else weight + (zeroed - weight).detach()

    def forward(self, *arguments):
        weights = {name: self.masked(name) for name in self.weights}
        return functional_call(self.model, weights, arguments)

    def prune(self, sparsity, importance):
        """`importance(parameter)` estimates the second derivative of the loss for each weight:
        removing w costs about half of it times w^2 (optimal brain damage)."""
        scores = [block_sums(w.detach() ** 2 * importance(w)) for w in self.weights.values()]
        for name, kept in zip(self.weights, kept_blocks(scores, sparsity)):
            self.mask(name).copy_(expand(kept))

    def apply_masks(self):
        for name, weight in self.weights.items():
            weight.data.mul_(self.mask(name))


class GradualPruning:
    """Prunes after the steps of a trainer, which is given it as `after_step`."""

    def __init__(self, pruned, arguments):
        self.pruned = pruned
        self.arguments = arguments

    def take_up(self, trainer):
        self.trainer = trainer
        self.pruned.settled = self._share(trainer.step) >= 1

    def _share(self, step):
        """Of the way from no zeros to the wanted sparsity."""
        return (step / self.arguments.steps - FIRST_SHARE) / (LAST_SHARE - FIRST_SHARE)

    def after_step(self, step):
        """A cubic rise, after which the masks stay as they are."""
        done = min(1.0, self._share(step))
        if done <= 0 or self.pruned.settled or (done < 1 and step % STEPS_PER_PRUNING):
            return
        self.pruned.prune(self.arguments.sparsity * (1 - (1 - done) ** 3), self._importance)
        self.pruned.settled = done == 1

    def _importance(self, parameter):
        return self.trainer.optimizer.state[parameter]["exp_avg_sq"]


def zero_share(matrix):
    """Of the blocks."""
    return (block_sums(matrix.abs()) == 0).float().mean().item()


def print_sparsity(model, is_pruned):
    named = model.named_parameters()
    weights = {name: p.detach() for name, p in named if is_pruned(name, p)}
    for name, weight in weights.items():
        print(f"{100 * zero_share(weight):6.2f} % zero blocks  {name}")
    total = sum(weight.numel() for weight in weights.values())
    zeros = sum(zero_share(weight) * weight.numel() for weight in weights.values())
    print(f"{100 * zeros / total:6.2f} % zero blocks  of all these weights")
