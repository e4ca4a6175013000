# SPDX-License-Identifier: Apache-2.0
"""Prints definitions of the installed WordNet, one a line: words, a tab, the definition."""

import argparse
import itertools
from collections import Counter
from pathlib import Path

import wordnet

# What --common picks from, by the synset type in a sense key (senseidx(5WN)).
COMMON_TYPES = {"1": "noun", "2": "verb"}


def offsets_by_lemma(directory, part_of_speech):
    """The synset offsets of each lemma, in the order of its sense numbers."""
    offsets = {}
    with open(Path(directory) / ("index." + part_of_speech), encoding="utf-8") as lines:
        for line in lines:
            fields = line.split()
            if not line.startswith(" "):
                offsets[fields[0]] = fields[-int(fields[2]):]
    return offsets


def counts_by_synset(directory):
    """How often each noun and verb synset occurs in WordNet's tagged texts (cntlist.rev)."""
    index = {pos: offsets_by_lemma(directory, pos) for pos in COMMON_TYPES.values()}
    counts = Counter()
    with open(Path(directory) / "cntlist.rev", encoding="utf-8") as lines:
        for line in lines:
            key, sense, count = line.split()
            lemma, _, rest = key.partition("%")
            pos = COMMON_TYPES.get(rest[0])
            senses = index[pos].get(lemma, ()) if pos else ()
            if int(sense) <= len(senses):
                counts[pos + senses[int(sense) - 1]] += int(count)
    return counts


def most_common(synsets, directory, number):
    counts = counts_by_synset(directory)
    ranked = sorted(synsets, key=lambda synset: (-counts[synset.key], synset.key))
    return itertools.islice(ranked, number)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordnet", default=wordnet.DEFAULT_DIR, help="folder of the data files")
    parser.add_argument("--common", type=int, metavar="N",
                        help="only the N most frequent nouns and verbs")
    parser.add_argument("--held-out", action="store_true",
                        help="only the held-out definitions, and the class in place of the words")
    arguments = parser.parse_args()
    synsets = wordnet.read_synsets(arguments.wordnet)
    if arguments.held_out:
        synsets = wordnet.split(synsets)[1]
    if arguments.common is not None:
        synsets = most_common(synsets, arguments.wordnet, arguments.common)
    for synset in synsets:
        first = wordnet.LEX_NAMES[synset.label] if arguments.held_out else ", ".join(synset.words)
        print(f"{first}\t{synset.definition}")


if __name__ == "__main__":
    main()
