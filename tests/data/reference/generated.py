# SPDX-License-Identifier: Apache-2.0
"""Checkpoints made of hashes, which tests/check_reference.c repeats bit by bit.

Element i of a tensor is offset + amplitude * k / 2^23, rounded once to fp32, with
k = (output i of splitmix64 seeded by key >> 40) - 2^23 and
key = FNV-1a of the tensor's name, xor the seed of the case.
Sums with an offset have an amplitude that is a power of two, so they are exact before rounding.
"""

from math import sqrt

import numpy as np

from encoders import LAYER_NAMES, PREFIXES

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
UNIT = 1 << 23
BLOCK_INPUTS = 4


def fnv1a_bytes(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def fnv1a(text):
    return fnv1a_bytes(text.encode())


def splitmix64(key, n):
    """The first n outputs (Steele, Lea and Flood 2014; Vigna's constants)."""
    with np.errstate(over="ignore"):
        z = np.uint64(key) + np.arange(1, n + 1, dtype=np.uint64) * GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def draw(key, n):
    """n numbers in 0 .. 2^24 - 1."""
    return (splitmix64(key, n) >> np.uint64(40)).astype(np.int64)


def elements(name, shape, amplitude, offset, seed):
    k = draw(fnv1a(name) ^ seed, int(np.prod(shape))) - UNIT
    return (offset + amplitude / UNIT * k).astype(np.float32).reshape(shape)


def kept_blocks(name, shape, outputs, per_mille, seed):
    """Whether each element's block is kept: blocks of outputs x 4 inputs, cut at the edges, counted
    along a row of blocks first."""
    down = -(-shape[0] // outputs)
    across = -(-shape[1] // BLOCK_INPUTS)
    drawn = draw(fnv1a(name + "#blocks") ^ seed, down * across).reshape(down, across)
    kept = drawn * 1000 >= per_mille << 24
    return kept.repeat(outputs, 0)[: shape[0]].repeat(BLOCK_INPUTS, 1)[:, : shape[1]]


def matrix(name, n_out, n_in, gain=1.0):
    """A linear layer that turns inputs of variance 1 into outputs of variance gain^2."""
    return [[name + ".weight", [n_out, n_in], gain * sqrt(3 / n_in), 0.0],
            [name + ".bias", [n_out], 0.125, 0.0]]


def norm(name, n):
    return [[name + ".weight", [n], 0.25, 1.0], [name + ".bias", [n], 0.125, 0.0]]


class Sizes:
    """The sizes of a configuration in one vocabulary."""

    def __init__(self, config):
        distilled = config["model_type"] == "distilbert"
        self.hidden = config["dim" if distilled else "hidden_size"]
        self.ffn = config["hidden_dim" if distilled else "intermediate_size"]
        self.layers = config["n_layers" if distilled else "num_hidden_layers"]
        self.vocabulary = config["vocab_size"]
        self.positions = config["max_position_embeddings"]
        self.types = config.get("type_vocab_size", 0)


def embedding_tensors(prefix, sizes):
    tables = {"word": sizes.vocabulary, "position": sizes.positions, "token_type": sizes.types}
    tensors = [[f"{prefix}embeddings.{table}_embeddings.weight", [rows, sizes.hidden], 1.0, 0.0]
               for table, rows in tables.items() if rows]
    return tensors + norm(prefix + "embeddings.LayerNorm", sizes.hidden)


def layer_tensors(prefix, family, sizes, gain):
    """Of every layer: % stands for its number.  Queries and keys are large enough for attention to
    be far from even."""
    names = LAYER_NAMES[family]
    at = prefix + names["layer"].format("%")
    hidden, ffn = sizes.hidden, sizes.ffn
    tensors = []
    own = (("global_query", hidden, hidden, 1.2), ("global_key", hidden, hidden, 1.2),
           ("global_value", hidden, hidden, 1.0)) if family == "longformer" else ()
    for part, n_out, n_in, times in (("query", hidden, hidden, 1.2), ("key", hidden, hidden, 1.2),
                                     ("value", hidden, hidden, 1.0), *own,
                                     ("attention_output", hidden, hidden, 1.0),
                                     ("up", ffn, hidden, 1.0), ("down", hidden, ffn, 1.5)):
        tensors += matrix(at + names[part], n_out, n_in, gain * times)
    for part in ("attention_norm", "ffn_norm"):
        tensors += norm(at + names[part], hidden)
    return tensors


def head_tensors(prefix, family, head, sizes, labels):
    hidden = sizes.hidden
    if head == "embed" or (family == "bert" and head == "classify"):
        names = {"bert": "pooler.dense", "big_bird": "pooler"}
        pooler = matrix(prefix + names[family], hidden, hidden) if family in names else []
        return pooler + (matrix("classifier", labels, hidden) if head == "classify" else [])
    if head == "classify" and family in ("roberta", "longformer", "big_bird"):
        return (matrix("classifier.dense", hidden, hidden)
                + matrix("classifier.out_proj", labels, hidden))
    if head == "classify":
        return matrix("pre_classifier", hidden, hidden) + matrix("classifier", labels, hidden)
    if head == "tag":
        return matrix("classifier", labels, hidden)
    if head == "answer":
        return matrix("qa_outputs", 2, hidden)
    family = "bert" if family == "big_bird" else family
    names = {"bert": ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm",
                      "cls.predictions.bias"),
             "roberta": ("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),
             "distilbert": ("vocab_transform", "vocab_layer_norm", "vocab_projector.bias")}[family]
    return (matrix(names[0], hidden, hidden) + norm(names[1], hidden)
            + [[names[2], [sizes.vocabulary], 1.0, 0.0]])


def describe(config, head, labels, pruned):
    """(tensors, layer_tensors): [name, shape, amplitude, offset] each."""
    family, sizes = config["model_type"], Sizes(config)
    prefix = "" if head == "embed" else PREFIXES.get(family, family + ".")
    gain = sqrt(5) if pruned else 1.0
    return (embedding_tensors(prefix, sizes) + head_tensors(prefix, family, head, sizes, labels),
            layer_tensors(prefix, family, sizes, gain))


def generate(case):
    """The tensors of a case: {name: array}."""
    made = {name: elements(name, shape, amplitude, offset, case["seed"])
            for name, shape, amplitude, offset in case["tensors"]}
    for layer in range(Sizes(case["config"]).layers):
        for template, shape, amplitude, offset in case["layer_tensors"]:
            name = template.replace("%", str(layer))
            made[name] = elements(name, shape, amplitude, offset, case["seed"])
            if case["zero_blocks"] and len(shape) == 2:
                outputs = case["zero_blocks"][layer % len(case["zero_blocks"])]
                kept = kept_blocks(name, shape, outputs, case["zero_per_mille"], case["seed"])
                made[name] = np.where(kept, made[name], np.float32(0))
    return made


def checksum(tensors):
    """The sum of all elements' bits."""
    sums = (array.view(np.uint32).sum(dtype=np.uint64) for array in tensors.values())
    return sum(map(int, sums)) % 2**64
