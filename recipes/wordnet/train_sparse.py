# SPDX-License-Identifier: Apache-2.0
"""Prunes the encoder to 80 % zeros in 4 x 4 blocks, gradually, while the dense model teaches it."""

import argparse

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.stateless import functional_call

import batches
import model
import training

BLOCK = 4
DECAY = 0.01
HIDDEN_WORDS_RATE = 0.1
TEMPERATURE = 2.0
CLASS_WEIGHT = 0.3
HIDDEN_WEIGHT = 1.0
MEANS_WEIGHT = 1.0
# Pruning begins when Adam knows its second moments and ends early enough to settle.
FIRST_SHARE, LAST_SHARE = 0.03, 0.55
STEPS_PER_PRUNING = 20
# A matrix has at least and at most this many times the zeros of the whole.
LEAST_FACTOR, MOST_FACTOR = 0.82, 1.14


def is_pruned(name, parameter):
    return name.startswith("bert.encoder.") and parameter.dim() == 2


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
    """A classifier whose masked weights read as zeros. Until `settled`, they are still trained as
    if they were not masked (straight-through), so that a block pruned too soon can come back."""

    def __init__(self, classifier):
        super().__init__()
        self.classifier = classifier
        self.settled = False
        named = classifier.named_parameters()
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

    def forward(self, batch):
        weights = {name: self.masked(name) for name in self.weights}
        return functional_call(self.classifier, weights, (batch,))

    def prune(self, sparsity, importance):
        """`importance(parameter)` estimates the second derivative of the loss for each weight:
        removing w costs about half of it times w^2 (optimal brain damage)."""
        scores = [block_sums(w.detach() ** 2 * importance(w)) for w in self.weights.values()]
        for name, kept in zip(self.weights, kept_blocks(scores, sparsity)):
            self.mask(name).copy_(expand(kept))

    def apply_masks(self):
        for name, weight in self.weights.items():
            weight.data.mul_(self.mask(name))


class SparseTraining:
    def __init__(self, data, arguments):
        self.labels = data.training_labels
        self.arguments = arguments
        self.teacher = load(arguments.out / "dense.pt").eval()
        self.pruned = Pruned(load(arguments.out / "dense.pt"))
        modules = nn.ModuleDict({"pruned": self.pruned})
        self.trainer = training.Trainer(
            "sparse", modules, self.losses, arguments, DECAY, self.after_step)
        self.pruned.settled = self._pruned_share(self.trainer.step) >= 1

    def losses(self, taken, batch):
        shown, _ = batches.hide_words(batch, HIDDEN_WORDS_RATE, model.SHAPE.vocabulary)
        with torch.no_grad():
            taught_hidden, taught = self.teacher(shown)
        hidden, logits = self.pruned(shown)
        of_definitions = logits[: len(taken)].float()
        means, taught_means = model.means(hidden, batch), model.means(taught_hidden, batch)
        return {
            "taught": taught_loss(logits.float(), taught.float()),
            "class": CLASS_WEIGHT * F.cross_entropy(of_definitions, self.labels[taken]),
            "hidden": HIDDEN_WEIGHT * F.mse_loss(hidden, taught_hidden),
            "means": MEANS_WEIGHT * means_loss(means, taught_means),
        }

    def _pruned_share(self, step):
        """Of the way from no zeros to the wanted sparsity."""
        return (step / self.arguments.steps - FIRST_SHARE) / (LAST_SHARE - FIRST_SHARE)

    def after_step(self, step):
        """A cubic rise, after which the masks stay as they are."""
        done = min(1.0, self._pruned_share(step))
        if done <= 0 or self.pruned.settled or (done < 1 and step % STEPS_PER_PRUNING):
            return
        self.pruned.prune(self.arguments.sparsity * (1 - (1 - done) ** 3), self._importance)
        self.pruned.settled = done == 1

    def _importance(self, parameter):
        return self.trainer.optimizer.state[parameter]["exp_avg_sq"]


def taught_loss(logits, taught):
    """Kullback-Leibler divergence from the dense model's classes, softened."""
    log, target = F.log_softmax(logits / TEMPERATURE, 1), F.log_softmax(taught / TEMPERATURE, 1)
    return TEMPERATURE**2 * F.kl_div(log, target, reduction="batchmean", log_target=True)


def means_loss(means, taught):
    return 1 - F.cosine_similarity(means.float(), taught.float()).mean()


def load(path):
    classifier = model.Classifier()
    classifier.load_state_dict(torch.load(path))
    return classifier


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    training.add_arguments(parser, steps=1200, rate=5e-4)
    parser.add_argument("--sparsity", type=float, default=0.8, help="share of zero blocks")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = training.read_data(arguments)
    sparse = SparseTraining(data, arguments)
    sparse.trainer.run(data, sparse.pruned)
    sparse.pruned.apply_masks()
    torch.save(sparse.pruned.classifier.state_dict(), arguments.out / "sparse.pt")


if __name__ == "__main__":
    main()
