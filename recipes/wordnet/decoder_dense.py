# SPDX-License-Identifier: Apache-2.0
"""Trains the dense decoder from nothing."""

import argparse

import torch
from torch import nn

import decoder_data
import fused
import training
from decoder import Decoder

DROPOUT = 0.1
DECAY = 0.1


class DenseTraining:
    def __init__(self, arguments):
        self.decoder = Decoder(dropout=DROPOUT)
        modules = nn.ModuleDict({"decoder": self.decoder})
        optimizer = decoder_data.optimizer(modules, DECAY)
        self.trainer = training.Trainer("dense", modules, self.losses, arguments, optimizer)

    def losses(self, texts, batch):
        places, targets = decoder_data.targets_of(texts, batch)
        loss = fused.token_loss(*self.decoder(batch, places), targets)
        return {"definition": loss}


def work(arguments):
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    dense = DenseTraining(arguments)
    decoder_data.run(dense.trainer, dense.decoder, arguments)
    if training.rank() == 0:
        torch.save(dense.decoder.state_dict(), arguments.out / "dense.pt")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    training.add_arguments(parser, "build/wordnet-decoder", steps=3000, rate=3e-3, workers=2)
    training.in_workers(work, parser.parse_args())


if __name__ == "__main__":
    main()
