# SPDX-License-Identifier: Apache-2.0
"""Batches of token sequences, several packed into a row, so that little padding is computed."""

import random
from collections import namedtuple

import torch

import wordpiece

# ids, position and sequence are [rows, width]; sequence is 0 for padding, else 1 + the number of
# the sequence. first[sequences] are the places of the [CLS] tokens in the flattened batch.
Batch = namedtuple("Batch", "ids position sequence first")


def rows_for(lengths, width, n_rows):
    """The row of each sequence, longest first into the fullest row that holds it, or None."""
    free = [[] for _ in range(width + 1)]
    free[width] = list(range(n_rows))
    rows = [None] * len(lengths)
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        room = next((room for room in range(lengths[index], width + 1) if free[room]), None)
        if room is not None:
            rows[index] = free[room].pop()
            free[room - lengths[index]].append(rows[index])
    return rows


def positions_of(length, shift):
    """[CLS] stays first; the others move by `shift`."""
    return [0] + list(range(1 + shift, length + shift))


def lay_out(sequences, rows, width, n_rows, shifts):
    ids = [[] for _ in range(n_rows)]
    position = [[] for _ in range(n_rows)]
    sequence = [[] for _ in range(n_rows)]
    first = []
    for index, (tokens, row, shift) in enumerate(zip(sequences, rows, shifts)):
        first.append(row * width + len(ids[row]))
        ids[row] += tokens
        position[row] += positions_of(len(tokens), shift)
        sequence[row] += [index + 1] * len(tokens)
    for table in (ids, position, sequence):
        for row in table:
            row += [0] * (width - len(row))
    return Batch(*map(torch.tensor, (ids, position, sequence, first)))


def one_each(sequences):
    """A plain padded batch, as an application would make it."""
    width = max(map(len, sequences))
    n_rows = len(sequences)
    return lay_out(sequences, range(n_rows), width, n_rows, [0] * n_rows)


def random_shift(length, rate, positions):
    """Few definitions are long: now and then one is moved, to train late positions too."""
    return random.randrange(positions - length) if random.random() < rate else 0


class Packer:
    """Batches of (definition, words) examples, of `width` tokens a row. A share of the batches,
    `words_rate`, holds the words of each synset as well as its definition; a sequence moves at
    `shift_rate`."""

    def __init__(self, examples, width, n_rows, words_rate=0.0, shift_rate=0.0, positions=0):
        self.examples = examples
        self.width = width
        self.n_rows = n_rows
        self.words_rate = words_rate
        self.shift_rate = shift_rate
        self.positions = positions

    def __iter__(self):
        """Yields (numbers of the examples, batch) until each example was in a batch once."""
        waiting = random.sample(range(len(self.examples)), len(self.examples))
        while waiting:
            yield self._take(waiting, n_views=2 if random.random() < self.words_rate else 1)

    def _take(self, waiting, n_views):
        """All definitions come first, then all words. What does not fit waits."""
        taken, n_tokens = [], 0
        while waiting and n_tokens <= self.width * self.n_rows:
            taken.append(waiting.pop())
            n_tokens += sum(map(len, self.examples[taken[-1]][:n_views]))
        rows = [None]
        while None in rows:
            sequences = [self.examples[index][view] for view in range(n_views) for index in taken]
            rows = rows_for([len(sequence) for sequence in sequences], self.width, self.n_rows)
            if None in rows:
                waiting.append(taken.pop())
        shifts = [random_shift(len(s), self.shift_rate, self.positions) for s in sequences]
        return taken, lay_out(sequences, rows, self.width, self.n_rows, shifts)


def hide_words(batch, rate, vocabulary):
    """(the batch with some words hidden, their places): as in BERT, 80 % become [MASK], 10 %
    another word, 10 % stay."""
    special = torch.tensor([wordpiece.PAD, wordpiece.CLS, wordpiece.SEP])
    chance = torch.rand(batch.ids.shape)
    chosen = (chance < rate) & ~torch.isin(batch.ids, special)
    ids = torch.where(chosen & (chance < 0.8 * rate), torch.tensor(wordpiece.MASK), batch.ids)
    swapped = chosen & (chance > 0.9 * rate)
    ids = torch.where(swapped, torch.randint(len(wordpiece.SPECIAL), vocabulary, ids.shape), ids)
    return batch._replace(ids=ids), chosen.flatten().nonzero().squeeze(1)


def swap_words(batch, rate):
    """The batch with some tokens replaced by others of its tokens; the first ones stay."""
    elsewhere = batch.ids.flatten()[torch.randint(batch.ids.numel(), batch.ids.shape)]
    swapped = (torch.rand(batch.ids.shape) < rate) & (batch.position > 0) & (elsewhere > 0)
    return batch._replace(ids=torch.where(swapped, elsewhere, batch.ids))
