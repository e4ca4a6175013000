# SPDX-License-Identifier: Apache-2.0
"""Prunes the decoder to 80 % zeros in 4 x 4 blocks, gradually, while the dense one teaches it."""

import argparse

import torch
import torch.nn.functional as F
from torch import nn

import batches
import decoder_data
import fused
import training
from decoder import Decoder, is_linear
from pruning import GradualPruning, Pruned

DECAY = 0.01
# Of the tokens that the models see, not of those that they are to say: what the dense model says
# of spoilt texts is worth more than what it says of those that it knows by heart.
SWAPPED_RATE = 0.1
TRUTH_SHARE = 0.3
HIDDEN_WEIGHT = 0.5


def is_pruned(name, _):
    return is_linear(name)


def load(path):
    decoder = Decoder()
    decoder.load_state_dict(torch.load(path))
    return decoder


class SparseTraining:
    def __init__(self, arguments):
        self.teacher = load(arguments.out / "dense.pt").eval()
        self.pruned = Pruned(load(arguments.out / "dense.pt"), is_pruned)
        pruning = GradualPruning(self.pruned, arguments)
        modules = nn.ModuleDict({"pruned": self.pruned})
        optimizer = decoder_data.optimizer(modules, DECAY)
        self.trainer = training.Trainer(
            "sparse", modules, self.losses, arguments, optimizer, pruning.after_step)
        pruning.take_up(self.trainer)

    def losses(self, texts, batch):
        places, targets = decoder_data.targets_of(texts, batch)
        shown = batches.swap_words(batch, SWAPPED_RATE)
        with torch.no_grad():
            taught = self.teacher(shown, places)
        hidden, table = self.pruned(shown, places)
        return {
            "definition": fused.token_loss(hidden, table, targets, taught, TRUTH_SHARE),
            "hidden": HIDDEN_WEIGHT * F.mse_loss(hidden.float(), taught[0].float()),
        }


def work(arguments):
    torch.set_num_threads(arguments.threads)
    sparse = SparseTraining(arguments)
    decoder_data.run(sparse.trainer, sparse.pruned, arguments)
    if training.rank() == 0:
        sparse.pruned.apply_masks()
        torch.save(sparse.pruned.model.state_dict(), arguments.out / "sparse.pt")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    training.add_arguments(parser, "build/wordnet-decoder", steps=2500, rate=2e-3, workers=2)
    parser.add_argument("--sparsity", type=float, default=0.8, help="share of zero blocks")
    training.in_workers(work, parser.parse_args())


if __name__ == "__main__":
    main()
