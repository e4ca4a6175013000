# SPDX-License-Identifier: Apache-2.0
"""A cased byte-pair tokenizer as of LLaMA: trains it, writes it as tokenizer.json, runs it."""

import argparse
import json
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path

import wordnet
from merges import PairCounts, merged

SPECIAL = ("<unk>", "<s>", "</s>")
UNK, BOS, EOS = range(len(SPECIAL))
# A space, as a character of the word that follows it.
SPACE = "\u2581"
BYTES = ["<0x%02X>" % byte for byte in range(256)]
# What merges stay within: letters, digits, punctuation, each with the space before it.
PARTS = re.compile(f"'s(?![A-Za-z])|{SPACE}?[A-Za-z]+|{SPACE}?[0-9]+|{SPACE}?[^A-Za-z0-9{SPACE}]+")
# Pieces kept for class marks, each of which is to be one piece, the rare ones too.
N_MARK_PIECES = 200


def class_mark(label):
    """What stands between a word and its definition."""
    return f" ({wordnet.LEX_NAMES[label]}):"


def spaced(text):
    return SPACE + text.replace(" ", SPACE) if text else ""


class Training:
    """The vocabulary: special pieces, bytes, all characters, then one piece a merge."""

    def __init__(self, texts):
        counts = Counter(part for text in texts for part in PARTS.findall(spaced(text)))
        parts = sorted(counts)
        characters = sorted({char for part in parts for char in part})
        self.vocabulary = list(SPECIAL) + BYTES + characters
        self.known = set(self.vocabulary)
        self.order = []
        self.pairs = PairCounts([list(part) for part in parts], [counts[part] for part in parts])

    def _add(self, pair):
        self.order.append(pair)
        piece = pair[0] + pair[1]
        if piece not in self.known:
            self.known.add(piece)
            self.vocabulary.append(piece)

    def merge_frequent(self, size):
        """Until there are `size` pieces."""
        while len(self.vocabulary) < size:
            pair = self.pairs.most_frequent()
            self.pairs.merge(pair, pair[0] + pair[1])
            self._add(pair)

    def merge_whole(self, text):
        """Makes the text one piece, of what earlier merges make of it."""
        bpe = Bpe(self.vocabulary, self.order)
        pieces = [self.vocabulary[index] for index in bpe.encode(text)]
        for end in range(1, len(pieces)):
            self._add(("".join(pieces[:end]), pieces[end]))


def train(synsets, size):
    """(vocabulary, merges)"""
    training = Training(text for synset in synsets for text in [synset.definition] + synset.words)
    training.merge_frequent(size - N_MARK_PIECES)
    for label in range(len(wordnet.LEX_NAMES)):
        training.merge_whole(class_mark(label).strip())
    training.merge_frequent(size)
    return training.vocabulary, training.order


class Bpe:
    """Text to ids: of the pairs in a word, that of the earliest merge is merged, again and again.
    No piece has a space but at its beginning, so words can be taken one by one."""

    def __init__(self, vocabulary, order):
        self.pieces = vocabulary
        self.ids = {piece: index for index, piece in enumerate(vocabulary)}
        self.ranks = {pair: rank for rank, pair in enumerate(order)}
        self.ids_of_word = lru_cache(maxsize=None)(self._ids_of_word)

    @classmethod
    def load(cls, path):
        model = json.loads(Path(path).read_text(encoding="utf-8"))["model"]
        vocabulary = sorted(model["vocab"], key=model["vocab"].get)
        return cls(vocabulary, [tuple(pair.split(" ")) for pair in model["merges"]])

    def _ids_of_word(self, word):
        pieces = list(word)
        while len(pieces) > 1:
            pair = min(zip(pieces, pieces[1:]), key=self._rank)
            if pair not in self.ranks:
                break
            pieces = merged(pieces, pair, pair[0] + pair[1])
        return [index for piece in pieces for index in self._ids_of_piece(piece)]

    def _rank(self, pair):
        return self.ranks.get(pair, len(self.ranks))

    def _ids_of_piece(self, piece):
        """A character that is no piece becomes its bytes."""
        if piece in self.ids:
            return [self.ids[piece]]
        return [self.ids[BYTES[byte]] for byte in piece.encode()]

    def encode(self, text):
        """The ids of the text alone: no <s>."""
        words = re.findall(f"{SPACE}[^{SPACE}]*", spaced(text))
        return [index for word in words for index in self.ids_of_word(word)]

    def decode(self, ids):
        """Special pieces are left out, and the space that encode put before the first word."""
        first_byte = len(SPECIAL)
        text = b""
        for index in ids:
            if first_byte <= index < first_byte + len(BYTES):
                text += bytes([index - first_byte])
            elif index >= len(SPECIAL):
                text += self.pieces[index].replace(SPACE, " ").encode()
        return text.decode(errors="replace").removeprefix(" ")


def added_token(index):
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    return {"id": index, "content": SPECIAL[index], **flags}


def post_processor():
    """<s> A, or <s> A <s> B with the second part of type 1."""
    def part(name, type_id):
        first = {"SpecialToken": {"id": SPECIAL[BOS], "type_id": type_id}}
        return [first, {"Sequence": {"id": name, "type_id": type_id}}]

    bos = {"id": SPECIAL[BOS], "ids": [BOS], "tokens": [SPECIAL[BOS]]}
    return {
        "type": "TemplateProcessing",
        "single": part("A", 0),
        "pair": part("A", 0) + part("B", 1),
        "special_tokens": {SPECIAL[BOS]: bos},
    }


def tokenizer_json(vocabulary, order):
    """The layout of Hugging Face tokenizers, version 1.0, with the steps of LLaMA."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(index) for index in range(len(SPECIAL))],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": SPACE},
            {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
        ]},
        "pre_tokenizer": None,
        "post_processor": post_processor(),
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": SPECIAL[UNK],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {piece: index for index, piece in enumerate(vocabulary)},
            "merges": [" ".join(pair) for pair in order],
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordnet", default=wordnet.DEFAULT_DIR, help="folder of the data files")
    parser.add_argument("--size", type=int, default=8000, help="pieces in the vocabulary")
    parser.add_argument("--out", type=Path, default=Path("build/wordnet-decoder"),
                        help="work folder")
    arguments = parser.parse_args()
    training, _ = wordnet.split(wordnet.read_synsets(arguments.wordnet))
    vocabulary, order = train(training, arguments.size)
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(tokenizer_json(vocabulary, order), ensure_ascii=False, separators=(",", ":"))
    (arguments.out / "tokenizer.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
