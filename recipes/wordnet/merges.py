# SPDX-License-Identifier: Apache-2.0
"""The pairs of neighbouring pieces in a list of words, merged from the most frequent one on."""

import heapq
from collections import Counter, defaultdict


class PairCounts:
    """How often each pair of neighbouring pieces occurs, and in which words."""

    def __init__(self, words, counts):
        self.words = words
        self.counts = counts
        self.total = Counter()
        self.places = defaultdict(set)
        for index in range(len(words)):
            self._add(index, 1)
        self.queue = [(-total, pair) for pair, total in self.total.items()]
        heapq.heapify(self.queue)

    def _add(self, index, sign):
        word = self.words[index]
        for pair in zip(word, word[1:]):
            self.total[pair] += sign * self.counts[index]
            self.places[pair].add(index)

    def most_frequent(self):
        """Queue entries are never updated: one that no longer holds is put back corrected."""
        while True:
            negated, pair = heapq.heappop(self.queue)
            if self.total[pair] == -negated:
                return pair
            if self.total[pair] > 0:
                heapq.heappush(self.queue, (-self.total[pair], pair))

    def merge(self, pair, piece):
        """Replaces the pair in every word that holds it."""
        for index in self.places.pop(pair):
            self._add(index, -1)
            self.words[index] = merged(self.words[index], pair, piece)
            self._add(index, 1)
            for near in zip(self.words[index], self.words[index][1:]):
                heapq.heappush(self.queue, (-self.total[near], near))


def merged(word, pair, piece):
    pieces = []
    for part in word:
        if pieces and (pieces[-1], part) == pair:
            pieces[-1] = piece
        else:
            pieces.append(part)
    return pieces
