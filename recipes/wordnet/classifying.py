# SPDX-License-Identifier: Apache-2.0
"""The classifier's examples, batches and held-out accuracy."""

from collections import namedtuple

import torch

import batches
import model
import training
import wordnet
import wordpiece

# Wider than all but 0.2 % of the definitions; those are cut while training, never when judged.
WIDTH = 64
# The words of a synset, at most.
WORDS_WIDTH = 16
SHIFT_RATE = 0.1

Data = namedtuple("Data", "training training_labels held_out held_out_labels")


def add_arguments(parser, steps, rate):
    training.add_arguments(parser, "build/wordnet-encoder", steps, rate, workers=1)
    parser.add_argument("--words-rate", type=float, default=0.5, help="share of batches with words")


def read_data(arguments):
    tokenizer = wordpiece.WordPiece.load(arguments.out / "vocab.txt")
    training, held_out = wordnet.split(wordnet.read_synsets(arguments.wordnet))
    examples = [
        (tokenizer.encode(s.definition, WIDTH), tokenizer.encode(", ".join(s.words), WORDS_WIDTH))
        for s in training
    ]
    judged = [tokenizer.encode(s.definition, model.SHAPE.positions) for s in held_out]
    labels, judged_labels = (torch.tensor([s.label for s in part]) for part in (training, held_out))
    return Data(examples, labels, judged, judged_labels)


def endless(examples, words_rate):
    """Batches as the trainings take them."""
    packer = batches.Packer(examples, WIDTH, training.N_TOKENS // WIDTH, words_rate, SHIFT_RATE,
                            model.SHAPE.positions)
    while True:
        yield from packer


@torch.no_grad()
def logits_of(classifier, sequences):
    """fp32 logits[sequences, classes], each sequence computed whole and in the given order."""
    classifier.eval()
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    logits = torch.empty(len(sequences), model.SHAPE.classes)
    for start in range(0, len(order), 128):
        part = order[start : start + 128]
        logits[part] = classifier(batches.one_each([sequences[index] for index in part]))[1]
    classifier.train()
    return logits


def judgement(classifier, data):
    """Per cent of the held-out definitions."""
    right = logits_of(classifier, data.held_out).argmax(1) == data.held_out_labels
    return f"held out {100 * right.float().mean().item():.2f} %"


def run(trainer, classifier, data, arguments):
    stream = endless(data.training, arguments.words_rate)
    trainer.run(stream, lambda: judgement(classifier, data))
