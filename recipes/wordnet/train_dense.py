# SPDX-License-Identifier: Apache-2.0
"""Trains the dense classifier from nothing: on classes, on hidden words, on matching words."""

import argparse

import torch
import torch.nn.functional as F
from torch import nn

import batches
import classifying
import model
import training

DROPOUT = 0.1
DECAY = 0.02
SMOOTHING = 0.05
HIDDEN_WORDS_RATE = 0.15
# Guessing more of the hidden words than this adds time and little else.
MOST_GUESSES = 256
GUESSING_WEIGHT = 0.2
MATCHING_WEIGHT = 0.1
MATCHING_TEMPERATURE = 0.05
WORDS_CLASS_WEIGHT = 0.2
# No words are hidden in this last share of the steps: the model ends on whole definitions.
WHOLE_SHARE = 0.25


def matching_loss(means):
    """Each definition finds its own words among those of the batch, and they it (InfoNCE)."""
    definitions, words = F.normalize(means.float(), dim=1).chunk(2)
    scores = definitions @ words.t() / MATCHING_TEMPERATURE
    own = torch.arange(len(scores))
    return 0.5 * (F.cross_entropy(scores, own) + F.cross_entropy(scores.t(), own))


class DenseTraining:
    def __init__(self, data, arguments):
        self.labels = data.training_labels
        self.classifier = model.Classifier(dropout=DROPOUT)
        self.guess = model.MaskedWords(self.classifier.bert.embeddings)
        modules = nn.ModuleDict({"classifier": self.classifier, "guess": self.guess})
        optimizer = training.adamw(modules, DECAY)
        self.trainer = training.Trainer("dense", modules, self.losses, arguments, optimizer)
        self.hiding_steps = (1 - WHOLE_SHARE) * arguments.steps

    def losses(self, taken, batch):
        rate = HIDDEN_WORDS_RATE if self.trainer.step < self.hiding_steps else 0.0
        shown, places = batches.hide_words(batch, rate, model.SHAPE.vocabulary)
        hidden, logits = self.classifier(shown)
        losses = self._class_losses(logits.float(), self.labels[taken])
        if len(logits) > len(taken):
            losses["matching"] = MATCHING_WEIGHT * matching_loss(model.means(hidden, batch))
        if len(places) > 0:
            losses["guessing"] = GUESSING_WEIGHT * self._guessing_loss(hidden, batch, places)
        return losses

    def _class_losses(self, logits, labels):
        n = len(labels)
        losses = {"class": F.cross_entropy(logits[:n], labels, label_smoothing=SMOOTHING)}
        if len(logits) > n:
            losses["words"] = WORDS_CLASS_WEIGHT * F.cross_entropy(logits[n:], labels)
        return losses

    def _guessing_loss(self, hidden, batch, places):
        places = places[torch.randperm(len(places))[:MOST_GUESSES]]
        scores = self.guess(hidden[places])
        return F.cross_entropy(scores.float(), batch.ids.flatten()[places])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    classifying.add_arguments(parser, steps=7000, rate=7e-4)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    data = classifying.read_data(arguments)
    dense = DenseTraining(data, arguments)
    classifying.run(dense.trainer, dense.classifier, data, arguments)
    torch.save(dense.classifier.state_dict(), arguments.out / "dense.pt")


if __name__ == "__main__":
    main()
