# SPDX-License-Identifier: Apache-2.0
"""An uncased WordPiece tokenizer: trains it, writes it as tokenizer.json and vocab.txt, runs it."""

import argparse
import json
import string
import unicodedata
from collections import Counter
from functools import lru_cache
from pathlib import Path

import wordnet
from merges import PairCounts

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(len(SPECIAL))
CONTINUING = "##"
MAX_CHARS_PER_WORD = 100
PUNCTUATION = frozenset(string.punctuation)
CJK_RANGES = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)


def cleaned(char):
    """BertNormalizer's clean_text and handle_chinese_chars for one character."""
    if char in "\t\n\r" or unicodedata.category(char) == "Zs":
        return " "
    if char in "\0\ufffd" or unicodedata.category(char).startswith("C"):
        return ""
    if any(first <= ord(char) <= last for first, last in CJK_RANGES):
        return " " + char + " "
    return char


def normalize(text):
    """clean_text, handle_chinese_chars, strip_accents (null: as lowercase), lowercase."""
    if not text.isascii():
        text = unicodedata.normalize("NFD", "".join(map(cleaned, text)))
        text = "".join(char for char in text if unicodedata.category(char) != "Mn")
    else:
        text = "".join(map(cleaned, text))
    return text.lower()


def is_punctuation(char):
    return char in PUNCTUATION or unicodedata.category(char).startswith("P")


def words_of(text):
    """BertPreTokenizer: white space separates, each punctuation character is a word."""
    spaced = "".join(" " + c + " " if is_punctuation(c) else c for c in normalize(text))
    return spaced.split()


def train(texts, size):
    """A vocabulary of `size` pieces: special ones, all characters, then frequent merges."""
    counts = Counter(word for text in texts for word in words_of(text))
    spelled = [[word[0]] + [CONTINUING + char for char in word[1:]] for word in sorted(counts)]
    vocabulary = list(SPECIAL) + sorted({piece for word in spelled for piece in word})
    pairs = PairCounts(spelled, [counts[word] for word in sorted(counts)])
    known = set(vocabulary)
    while len(vocabulary) < size:
        pair = pairs.most_frequent()
        piece = pair[0] + pair[1][len(CONTINUING):]
        pairs.merge(pair, piece)
        if piece not in known:
            known.add(piece)
            vocabulary.append(piece)
    return vocabulary


class WordPiece:
    """Text to ids: for each word, the longest piece that matches, then the longest of the rest."""

    def __init__(self, vocabulary):
        self.ids = {piece: index for index, piece in enumerate(vocabulary)}
        self.ids_of_word = lru_cache(maxsize=None)(self._ids_of_word)

    @classmethod
    def load(cls, path):
        return cls(Path(path).read_text(encoding="utf-8").splitlines())

    def _ids_of_word(self, word):
        if len(word) > MAX_CHARS_PER_WORD:
            return [UNK]
        ids, start = [], 0
        while start < len(word):
            end, found = self._longest_piece(word, start)
            if found is None:
                return [UNK]
            ids.append(found)
            start = end
        return ids

    def _longest_piece(self, word, start):
        prefix = CONTINUING if start else ""
        for end in range(len(word), start, -1):
            found = self.ids.get(prefix + word[start:end])
            if found is not None:
                return end, found
        return start, None

    def encode(self, text, max_length):
        """[CLS] text [SEP], the text cut to fit."""
        ids = [piece for word in words_of(text) for piece in self.ids_of_word(word)]
        return [CLS] + ids[: max_length - 2] + [SEP]


def added_token(index):
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    return {"id": index, "content": SPECIAL[index], **flags}


def post_processor():
    """[CLS] A [SEP], or [CLS] A [SEP] B [SEP] with the second part of type 1."""
    def special(index, type_id):
        return {"SpecialToken": {"id": SPECIAL[index], "type_id": type_id}}

    def sequence(name, type_id):
        return {"Sequence": {"id": name, "type_id": type_id}}

    first = [special(CLS, 0), sequence("A", 0), special(SEP, 0)]
    def definition(index):
        return {"id": SPECIAL[index], "ids": [index], "tokens": [SPECIAL[index]]}

    return {
        "type": "TemplateProcessing",
        "single": first,
        "pair": first + [sequence("B", 1), special(SEP, 1)],
        "special_tokens": {SPECIAL[index]: definition(index) for index in (CLS, SEP)},
    }


def tokenizer_json(vocabulary):
    """The layout of Hugging Face tokenizers, version 1.0."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(index) for index in range(len(SPECIAL))],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": post_processor(),
        "decoder": {"type": "WordPiece", "prefix": CONTINUING, "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": SPECIAL[UNK],
            "continuing_subword_prefix": CONTINUING,
            "max_input_chars_per_word": MAX_CHARS_PER_WORD,
            "vocab": {piece: index for index, piece in enumerate(vocabulary)},
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordnet", default=wordnet.DEFAULT_DIR, help="folder of the data files")
    parser.add_argument("--size", type=int, default=8000, help="pieces in the vocabulary")
    parser.add_argument("--out", type=Path, default=Path("build/wordnet"), help="work folder")
    arguments = parser.parse_args()
    training, _ = wordnet.split(wordnet.read_synsets(arguments.wordnet))
    vocabulary = train([synset.definition for synset in training], arguments.size)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    text = json.dumps(tokenizer_json(vocabulary), ensure_ascii=False, separators=(",", ":"))
    (arguments.out / "tokenizer.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
