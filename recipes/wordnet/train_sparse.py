# SPDX-License-Identifier: Apache-2.0
"""Prunes the encoder to 80 % zeros in 4 x 4 blocks, gradually, while the dense model teaches it."""

import argparse

import torch
import torch.nn.functional as F
from torch import nn

import batches
import classifying
import model
import training
from pruning import GradualPruning, Pruned

DECAY = 0.01
HIDDEN_WORDS_RATE = 0.1
TEMPERATURE = 2.0
CLASS_WEIGHT = 0.3
HIDDEN_WEIGHT = 1.0
MEANS_WEIGHT = 1.0


def is_pruned(name, parameter):
    return name.startswith("bert.encoder.") and parameter.dim() == 2


class SparseTraining:
    def __init__(self, data, arguments):
        self.labels = data.training_labels
        self.teacher = load(arguments.out / "dense.pt").eval()
        self.pruned = Pruned(load(arguments.out / "dense.pt"), is_pruned)
        pruning = GradualPruning(self.pruned, arguments)
        modules = nn.ModuleDict({"pruned": self.pruned})
        optimizer = training.adamw(modules, DECAY)
        self.trainer = training.Trainer(
            "sparse", modules, self.losses, arguments, optimizer, pruning.after_step)
        pruning.take_up(self.trainer)

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
    classifying.add_arguments(parser, steps=1200, rate=5e-4)
    parser.add_argument("--sparsity", type=float, default=0.8, help="share of zero blocks")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = classifying.read_data(arguments)
    sparse = SparseTraining(data, arguments)
    classifying.run(sparse.trainer, sparse.pruned, data, arguments)
    sparse.pruned.apply_masks()
    torch.save(sparse.pruned.model.state_dict(), arguments.out / "sparse.pt")


if __name__ == "__main__":
    main()
