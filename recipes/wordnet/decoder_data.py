# SPDX-License-Identifier: Apache-2.0
"""The decoder's texts `word (class): definition`, how they are learned, how well."""

import math
import random
from collections import namedtuple

import torch
import torch.nn.functional as F

import batches
import bpe
import training
import wordnet
from decoder import is_linear, logits
from muon import Muon

# Wider than all but 0.3 % of the texts; those are cut while training, never when judged.
WIDTH = 64
# What is watched while training, and decides nothing: one synset in 200 of the held-out ones.
WATCHED_STEP = 10

# ids of <s> and the prompt; ids of the definition and </s>
Text = namedtuple("Text", "prompt definition")


def prompt_text(synset, word):
    return word + bpe.class_mark(synset.label)


def texts_of(tokenizer, synset):
    """One for each word."""
    definition = tokenizer.encode(synset.definition) + [bpe.EOS]
    prompts = [prompt_text(synset, word) for word in synset.words]
    return [Text([bpe.BOS] + tokenizer.encode(prompt), definition) for prompt in prompts]


def read_texts(arguments):
    """(for each training synset its texts, for each held-out one that of its first word)"""
    tokenizer = bpe.Bpe.load(arguments.out / "tokenizer.json")
    parts = wordnet.split(wordnet.read_synsets(arguments.wordnet))
    seen, held_out = ([texts_of(tokenizer, synset) for synset in part] for part in parts)
    return seen, [texts[0] for texts in held_out]


def cut(text):
    """To WIDTH tokens."""
    return text._replace(definition=text.definition[: WIDTH - len(text.prompt)])


def endless(synsets, n_tokens):
    """Yields (the texts in a batch, the batch). Each synset comes once an epoch, with any one of
    its words."""
    while True:
        texts = [cut(random.choice(texts)) for texts in synsets]
        sequences = [(text.prompt + text.definition,) for text in texts]
        for taken, batch in batches.Packer(sequences, WIDTH, n_tokens // WIDTH):
            yield [texts[index] for index in taken], batch


def targets_of(texts, batch):
    """(places in the flattened batch whose next token is one of a definition, these tokens)"""
    places, targets = [], []
    for text, first in zip(texts, batch.first.tolist()):
        start = first + len(text.prompt) - 1
        places += range(start, start + len(text.definition))
        targets += text.definition
    return torch.tensor(places), torch.tensor(targets)


@torch.no_grad()
def log_likelihoods(decoder, texts):
    """For each text the sum over its definition's tokens, </s> among them, given the prompt."""
    decoder.eval()
    order = sorted(range(len(texts)), key=lambda index: len(sum(texts[index], [])))
    result = torch.empty(len(texts), dtype=torch.float64)
    for start in range(0, len(order), 64):
        part = [texts[index] for index in order[start : start + 64]]
        batch = batches.one_each([text.prompt + text.definition for text in part])
        places, targets = targets_of(part, batch)
        losses = F.cross_entropy(logits(*decoder(batch, places)), targets, reduction="none")
        of_texts = losses.double().split([len(text.definition) for text in part])
        result[order[start : start + 64]] = torch.stack([-losses.sum() for losses in of_texts])
    decoder.train()
    return result


def perplexity(decoder, texts):
    """Per token of the definitions."""
    n_tokens = sum(len(text.definition) for text in texts)
    return math.exp(-log_likelihoods(decoder, texts).sum().item() / n_tokens)


def optimizer(modules, decay):
    matrices = [p for name, p in modules.named_parameters() if is_linear(name)]
    groups = training.groups_of(modules.parameters(), decay)
    return Muon(groups, matrices, betas=training.BETAS)


def run(trainer, decoder, arguments):
    synsets, held_out = read_texts(arguments)
    watched = held_out[::WATCHED_STEP]
    stream = endless(synsets, training.N_TOKENS // arguments.workers)
    trainer.run(stream, lambda: f"perplexity {perplexity(decoder, watched):.3f}")
