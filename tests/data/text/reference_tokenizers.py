#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Slow tokenizers written from the published rules, and the expected tokens they give.

Run without arguments; rewrites every other file of this directory.  Nothing here follows the C
code: characters are classified by Python's unicodedata, words are split by trying alternatives in
the order of the pattern, byte pairs merge one at a time by search.  Texts keep to code points that
unicodedata 14 knows, so that other versions of the Unicode tables agree.
"""
import collections
import json
import os
import random
import unicodedata

HERE = os.path.dirname(os.path.abspath(__file__))
WHITE_SPACE = set(map(chr, [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B),
                            0x2028, 0x2029, 0x202F, 0x205F, 0x3000]))
CJK = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
       (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)]

# A text is a list of (character, first byte, end byte); the bytes are those of the original.


def aligned(text):
    out, at = [], 0
    for c in text:
        n = len(c.encode())
        out.append((c, at, at + n))
        at += n
    return out


def plain(chars):
    return "".join(c for c, _, _ in chars)


def category(c):
    return unicodedata.category(c)


def is_punctuation(c):
    ascii_punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
    return c in ascii_punctuation or category(c)[0] == "P"


def is_word(c):
    return (category(c)[0] in "LM" or category(c) in ("Nd", "Nl", "Pc") or
            ord(c) in (0x200C, 0x200D) or 0x24B6 <= ord(c) <= 0x24E9)


# ---- normalizers

def clean(chars):
    out = []
    for c, b, e in chars:
        if c not in "\t\n\r" and (c in "\0\ufffd" or category(c) in ("Cc", "Cf", "Co")):
            continue
        out.append((" " if c in WHITE_SPACE else c, b, e))
    return out


def space_cjk(chars):
    out = []
    for c, b, e in chars:
        if any(first <= ord(c) <= last for first, last in CJK):
            out += [(" ", b, e), (c, b, e), (" ", b, e)]
        else:
            out.append((c, b, e))
    return out


def strip_accents(chars):
    return [(d, b, e) for c, b, e in chars for d in unicodedata.normalize("NFD", c)
            if category(d) != "Mn"]


def lowercase(chars):
    return [(d, b, e) for c, b, e in chars for d in c.lower()]


def bert_normalizer(lower):
    def normalize(chars):
        chars = space_cjk(clean(chars))
        return lowercase(strip_accents(chars)) if lower else chars
    return normalize


# ---- added tokens

def find_added(chars, tokens):
    """Parts of chars: (token or None, part); the leftmost match counts, of these the longest."""
    out, done, i = [], 0, 0
    text = plain(chars)
    while i < len(text):
        fits = [t for t in tokens if text.startswith(t["find"], i) and t["find"]]
        if not fits:
            i += 1
            continue
        token = max(fits, key=lambda t: len(t["find"]))
        first, stop = i, i + len(token["find"])
        i = stop
        if token.get("single_word"):
            if (first and is_word(text[first - 1])) or (stop < len(text) and is_word(text[stop])):
                continue
        while token.get("lstrip") and first > done and text[first - 1] in WHITE_SPACE:
            first -= 1
        while token.get("rstrip") and stop < len(text) and text[stop] in WHITE_SPACE:
            stop += 1
        if done < first:
            out.append((None, chars[done:first]))
        out.append((token, chars[first:stop]))
        done = i = stop
    if done < len(text):
        out.append((None, chars[done:]))
    return out


# ---- pre-tokenizers: a piece to pieces

def split_bert(chars):
    out, word = [], []
    for item in chars:
        if item[0] in WHITE_SPACE or is_punctuation(item[0]):
            out.append(word)
            if item[0] not in WHITE_SPACE:
                out.append([item])
            word = []
        else:
            word.append(item)
    out.append(word)
    return [w for w in out if w]


def split_spaces(chars):
    out, word = [], []
    for item in chars:
        if item[0] in WHITE_SPACE:
            out.append(word)
            word = []
        else:
            word.append(item)
    out.append(word)
    return [w for w in out if w]


def gpt2_alternatives(text, at):
    """End of the first alternative of the GPT-2 pattern that matches."""
    for short in ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d"):
        if text.startswith(short, at):
            return at + len(short)

    def letter(c):
        return category(c)[0] == "L"

    def number(c):
        return category(c)[0] == "N"

    def space(c):
        return c in WHITE_SPACE

    def other(c):
        return not (letter(c) or number(c) or space(c))

    for kind in (letter, number, other):
        for start in ([at + 1, at] if text[at] == " " else [at]):
            end = start
            while end < len(text) and kind(text[end]):
                end += 1
            if end > start:
                return end
    end = at
    while end < len(text) and space(text[end]):
        end += 1
    for stop in range(end, at, -1):  # \s+(?!\S), longest first
        if stop == len(text) or space(text[stop]):
            return stop
    return end


def byte_alphabet():
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {}, 0
    for byte in range(256):
        if byte in visible:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(256 + extra)
            extra += 1
    return table


ALPHABET = byte_alphabet()


def split_byte_level(prefix):
    def split(chars):
        if prefix and chars[0][0] != " ":
            chars = [(" ", chars[0][1], chars[0][2])] + chars
        text, at, out = plain(chars), 0, []
        while at < len(text):
            end = gpt2_alternatives(text, at)
            out.append([(ALPHABET[byte], b, e) for c, b, e in chars[at:end]
                        for byte in c.encode()])
            at = end
        return out
    return split


# ---- models: a word to (id, first byte, end byte)

def span(chars):
    return chars[0][1], chars[-1][2]


def wordpiece(vocab, unknown="[UNK]", most=100):
    def encode(word):
        out, at = [], 0
        while at < len(word) and len(word) <= most:
            for end in range(len(word), at, -1):
                token = ("##" if at else "") + plain(word[at:end])
                if token in vocab:
                    out.append((vocab[token], *span(word[at:end])))
                    at = end
                    break
            else:
                break
        if at < len(word):
            return [(vocab[unknown], *span(word))]
        return out
    return encode


def bpe(vocab, merges, unknown=None, fuse=False, suffix="", prefix=""):
    ranks = {pair: rank for rank, pair in enumerate(merges)}

    def encode(word):
        parts = []  # (token, characters)
        for i, item in enumerate(word):
            name = (prefix if i else "") + item[0] + (suffix if i == len(word) - 1 else "")
            if name in vocab:
                parts.append((name, [item]))
            elif unknown is None:
                continue
            elif fuse and parts and parts[-1][0] is None:
                parts[-1][1].append(item)
            else:
                parts.append((None, [item]))
        while True:
            pairs = [(ranks[a[0], b[0]], i) for i, (a, b) in enumerate(zip(parts, parts[1:]))
                     if (a[0], b[0]) in ranks]
            if not pairs:
                break
            _, i = min(pairs)
            a, b = parts[i], parts[i + 1]
            parts[i:i + 2] = [(a[0] + b[0][len(prefix):], a[1] + b[1])]
        return [(vocab[unknown if name is None else name], *span(chars), name)
                for name, chars in parts]
    return encode


# ---- a whole tokenizer

def trim(text, token, first_byte, end_byte, is_first, prefix):
    """Takes one character off a range for each space at that end of the token."""
    def spaces(s):
        n = 0
        while n < len(s) and (s[n] == "\u0120" or s[n] in WHITE_SPACE):
            n += 1
        return n
    leading, trailing = spaces(token), spaces(token[::-1])
    if leading == 1 and prefix and (is_first or first_byte == 0):
        leading = 0
    covered = [(b, e) for _, b, e in aligned(text) if first_byte <= b and e <= end_byte]
    covered = covered[leading:]
    if not covered:
        return end_byte, end_byte
    start = covered[0][0]
    covered = covered[:max(0, len(covered) - trailing)]
    return start, (covered[-1][1] if covered else start)


class Tokenizer:
    def __init__(self, added, normalize, split, model, trims=None, template=None):
        self.added, self.normalize, self.split, self.model = added, normalize, split, model
        self.trims, self.template = trims, template

    def encode(self, text):
        raw = [dict(t, find=t["content"]) for t in self.added if not t.get("normalized")]
        changed = [dict(t, find=plain(self.normalize(aligned(t["content"]))))
                   for t in self.added if t.get("normalized")]
        tokens = []

        def push(token_id, first, end, spelling):
            if self.trims is not None:
                first, end = trim(text, spelling, first, end, not tokens, self.trims)
            tokens.append((token_id, first, end))

        for token, part in find_added(aligned(text), raw):
            if token:
                push(token["id"], *span(part), plain(part))
                continue
            for token, piece in find_added(self.normalize(part), changed):
                if token:
                    push(token["id"], *span(piece), plain(piece))
                    continue
                for word in self.split(piece):
                    for item in self.model(word):
                        push(*item[:3], (item[3] or "") if len(item) > 3 else "")
        if self.template:
            cls, sep = self.template
            tokens = [(cls, 0, 0)] + tokens + [(sep, 0, 0)]
        return tokens


# ---- the vocabularies

PROSE = """The lake lay still that morning, and nobody spoke.  We'd rowed out before the sun was
up; the oars made a small sound, like someone turning pages in another room.  She said it wouldn't
rain until the evening.  I'm not sure I believed her, but I'd have believed anything then: 14 geese
came over in a line, then 3 more, then none.  They're going home, she said, and they'll be back.
It's the only thing they've ever wanted.  Later we found the old boat house, its door hanging, and
in it a stove, 2 chairs, a calendar of 1987.  Somebody had written on the wall: "don't wait up".
We didn't.  The unbelievable, the unhelpful, the restless and the resting all came there once."""


def train_bpe(words, n_merges):
    """Merges of the most frequent pair, the alphabetically first of equals."""
    counts = collections.Counter(words)
    parts = {word: list(word) for word in counts}
    merges = []
    while len(merges) < n_merges:
        pairs = collections.Counter()
        for word, n in counts.items():
            for pair in zip(parts[word], parts[word][1:]):
                pairs[pair] += n
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        for word, old in parts.items():
            new, i = [], 0
            while i < len(old):
                if tuple(old[i:i + 2]) == best:
                    new.append(old[i] + old[i + 1])
                    i += 2
                else:
                    new.append(old[i])
                    i += 1
            parts[word] = new
    return merges


def bert_vocab():
    tokens = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    tokens += list("!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~") + list(letters)
    tokens += ["##" + c for c in letters]
    tokens += "the an un believ hel lo help cafe naive str asse re di san fran cisco ##able ##ful " \
              "##ing ##ed ##s ##est ##less ##ly ##fe ##ve ##ss ##sse he said don won can".split()
    tokens += list("中国日本語人ひらカタ") + ["##ひ", "##ら", "##カ", "##タ", "α", "##σ", "σ", "ß", "##ß", "é",
                                    "##é", "É", "ü", "##ü", "İ", "ı", "ж", "##и", "##к", "।", "…", "—", "€",
                                    "\u1112", "##\u1161", "##\u11ab", "A", "The", "##B", "Q"]
    tokens = list(dict.fromkeys(tokens))
    return {t: i for i, t in enumerate(tokens)}


def byte_vocab():
    words, at = [], 0
    while at < len(PROSE):
        end = gpt2_alternatives(PROSE, at)
        words.append("".join(ALPHABET[b] for b in PROSE[at:end].encode()))
        at = end
    merges = train_bpe(words, 220)
    tokens = ["<s>", "<pad>", "</s>", "<unk>"]
    tokens += [ALPHABET[b] for b in range(256)] + [a + b for a, b in merges]
    tokens = list(dict.fromkeys(tokens)) + ["<mask>"]
    return {t: i for i, t in enumerate(tokens)}, merges


def words_vocab():
    """Characters with ## inside words and </w> at their end."""
    tokens, merges = ["<unk>"], []
    for c in "abcdefghijklmnopqrstuvwxyz'":
        tokens += [c, c + "</w>", "##" + c, "##" + c + "</w>"]
    for pair in [("t", "##h"), ("th", "##e</w>"), ("##n", "##g</w>"), ("##i", "##ng</w>"),
                 ("a", "##n"), ("an", "##d</w>"), ("##o", "##u"), ("##l", "##l"), ("##e", "##r")]:
        merges.append(pair)
        tokens.append(pair[0] + pair[1][2:])
    return {t: i for i, t in enumerate(tokens)}, merges


# ---- files

def added_token(content, token_id, *flags):
    out = {"id": token_id, "content": content}
    for key in ("single_word", "lstrip", "rstrip", "normalized", "special"):
        out[key] = key in flags
    return out


def template(cls, sep):
    def special(name, kind):
        return {"SpecialToken": {"id": name, "type_id": kind}}

    def text(name, kind):
        return {"Sequence": {"id": name, "type_id": kind}}
    return {"type": "TemplateProcessing",
            "single": [special("c", 0), text("A", 0), special("s", 0)],
            "pair": [special("c", 0), text("A", 0), special("s", 0), text("B", 1), special("s", 1)],
            "special_tokens": {"c": {"id": "c", "ids": [cls], "tokens": ["c"]},
                               "s": {"id": "s", "ids": [sep], "tokens": ["s"]}}}


def write(name, text):
    path = os.path.join(HERE, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        out.write(text)


def write_json(name, value):
    write(name, json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def build():
    """name -> tokenizer, and the files that say the same."""
    out = {}
    vocab = bert_vocab()
    specials = [added_token(t, vocab[t], "special")
                for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")]
    n = len(vocab)
    extra = specials + [added_token("New York", n, "normalized", "single_word"),
                        added_token("Émile", n + 1, "normalized", "lstrip"),
                        added_token("<tag>", n + 2, "rstrip", "lstrip"),
                        added_token("<tagged>", n + 3), added_token("don", vocab["don"], "single_word")]
    write("uncased/vocab.txt", "".join(t + "\n" for t in vocab))
    for name, lower, added in (("uncased", True, specials), ("cased", False, specials),
                               ("added", True, extra)):
        write_json(name + ".json", {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
            "normalizer": {"type": "BertNormalizer", "clean_text": True,
                           "handle_chinese_chars": True, "strip_accents": None,
                           "lowercase": lower},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": template(vocab["[CLS]"], vocab["[SEP]"]),
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": "[UNK]",
                      "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                      "vocab": vocab}})
        out[name] = Tokenizer(added, bert_normalizer(lower), split_bert, wordpiece(vocab),
                              template=(vocab["[CLS]"], vocab["[SEP]"]))

    vocab, merges = byte_vocab()
    specials = [added_token(t, vocab[t], "special") for t in ("<s>", "<pad>", "</s>", "<unk>")]
    specials.append(added_token("<mask>", vocab["<mask>"], "special", "lstrip"))
    write_json("roberta/vocab.json", vocab)
    write("roberta/merges.txt", "#version: 0.2\n" + "".join(a + " " + b + "\n" for a, b in merges))
    for name, prefix in (("roberta", False), ("prefix", True)):
        level = {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True,
                 "use_regex": True}
        write_json(name + ".json", {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": specials,
            "normalizer": None, "pre_tokenizer": level,
            "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", vocab["</s>"]],
                               "cls": ["<s>", vocab["<s>"]], "trim_offsets": True,
                               "add_prefix_space": prefix},
            "decoder": level,
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>",
                      "continuing_subword_prefix": "", "end_of_word_suffix": "",
                      "fuse_unk": False, "vocab": vocab,
                      "merges": [list(m) for m in merges] if prefix else
                                [" ".join(m) for m in merges]}})
        out[name] = Tokenizer(specials, lambda chars: chars, split_byte_level(prefix),
                              bpe(vocab, merges, "<unk>"), trims=prefix,
                              template=(vocab["<s>"], vocab["</s>"]))

    vocab, merges = words_vocab()
    write_json("words.json", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
        "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None, "decoder": None,
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>",
                  "continuing_subword_prefix": "##", "end_of_word_suffix": "</w>",
                  "fuse_unk": True, "vocab": vocab, "merges": [list(m) for m in merges]}})
    out["words"] = Tokenizer([], lowercase, split_spaces,
                             bpe(vocab, merges, "<unk>", True, "</w>", "##"))
    return out


# ---- texts

CHOSEN = [
    "", " ", "a", "The", "the unbelievable", "Hello", "help", "helpful helpless.", "café", "CAFÉ",
    "cafe\u0301", "e\u0301\u0323x", "\u0301", "naïve NAÏVE", "Straße", "STRASSE", "İstanbul ı I",
    "\u1e9e\u01c5", "ΑΣ ας", "жик жи\u0306к", "中国", "日本語の人", "a中b", "ひらカタ", "한글 한", "…—€",
    "don't won't CAN'T I'm we'll they've you're he'd it's", "x's 's ''s 'S 'Re", " 's", "a  b   c",
    "  leading", "trailing  ", "\tTab\ttab", "line\nline\r\nline\n\n\nend\n", "\n", " \n x", "a\u00a0b",
    "a\u2003b\u3000c\u2028d\u0085e", "zero\u200bwidth\u200djoin\u00adsoft\ufeffbom", "nul\x00in",
    "\x00", "ctl\x01\x1f\x7f\x9bx", "bad\ufffdchar", "private\ue001use", "1987 3,14 10% x2", "½ Ⅷ ٣ ²",
    "!?.,;:", "a-b_c/d\\e", "«q» “q” ‘q’ ¿q?", "$5 £5 €5 +1 <2>", "^`~|", "😀", "a😀b", "👩\u200d👩\u200d👧",
    "🇩🇪 flag", "x" * 100, "x" * 101, "é" * 100, "é" * 101, "the" * 33, "a" * 40, "ab" * 30,
    "[MASK]", "[MASK] x [MASK]", "x[MASK]y", "[mask]", "[CLS] a [SEP] b [PAD]", "[[MASK]]", "[UNK", "<mask>",
    "hello <mask> there", "hello  <mask>there", "<mask><mask>", "<s>a</s>", "<pad>", "< mask >", "New York",
    "new york!", "newyork New Yorkers NEW\u00a0YORK xNew York", "émile Emile É mile x  ÉMILE", "  <tag>  x",
    "a <tag> <tagged> <tag>", "<tagged<tag>>", "don dont x-don don2", "donkey don't do n", "##ing a##b ## #",
    "un##able", "caf", "qzq", "ABa aB", "Q1 A The", "Ġthe Ċ", "the\u0301 lake", "the lake lay still that morning",
    "She said it wouldn't rain until the evening.", "14 geese\n\n 3 more", "unbelievable,unhelpful;restless",
    "http://a.b/c?d=e&f=g#h", "mail@example.com", "a.b.c...", "and and And AND", "thing thinng ou ll'er", "ß ẞ",
    "\u0e01\u0e33 \u0915\u093f\u0902", "\U00020000\U0002b740", "ﬁ ﬀ", "①Ⓐⓐ", "a\u0300\u0301\u0302\u0303b",
]

POOLS = [range(0x20, 0x7F), range(0x20, 0x7F), range(0, 0x20), range(0x80, 0x250),
         range(0x300, 0x370), range(0x370, 0x530), range(0x900, 0x980), range(0x1E00, 0x2070),
         range(0x2190, 0x2200), range(0x3000, 0x3130), range(0x4E00, 0x4E40),
         range(0xAC00, 0xAC40), range(0xFE00, 0x10000), range(0x1F300, 0x1F600)]


def random_text(rng):
    words = [w for w in PROSE.split() if w] + ["[MASK]", "<mask>", "New York", "  ", "\n"]
    out = ""
    for _ in range(rng.randrange(1, 6)):
        if rng.random() < 0.5:
            out += rng.choice(words) + rng.choice([" ", ""])
        else:
            pool = rng.choice(POOLS)
            for _ in range(rng.randrange(1, 4)):
                c = chr(rng.choice(pool))
                out += c if category(c) not in ("Cn", "Cs") else " "
    return out


def main():
    rng = random.Random(7)
    texts = CHOSEN + [random_text(rng) for _ in range(36)]
    tokenizers = build()
    lines = ["# a text in hexadecimal; then what each tokenizer makes of it: id:first byte:size"]
    for text in texts:
        lines.append("=" + text.encode().hex())
        for name, tokenizer in tokenizers.items():
            tokens = " ".join("%d:%d:%d" % (i, b, e - b) for i, b, e in tokenizer.encode(text))
            lines.append(name + "\t" + tokens)
    write("expected.tsv", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
