# SPDX-License-Identifier: Apache-2.0
"""Writes trained.json, which tests/check_trained.c compares the shipped models with.

Reads the shipped files by itself: compressed-tensors' int-quantized weights out of safetensors,
texts through the recipe's own tokenizer.

    /usr/bin/python3 tests/data/reference/trained.py [--models FOLDER]
"""

import argparse
import json
import struct
import sys
from pathlib import Path

import numpy as np
import torch

from encoders import Encoder
from generated import fnv1a_bytes
from reference import rounded, written

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("dense", "sparse")
N_DUMPED = 64
DEFINITIONS_PER_HASH = 100
KINDS = {"F32": np.float32, "I8": np.int8}


def read_safetensors(path):
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    arrays = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        arrays[name] = np.frombuffer(data[begin:end], KINDS[entry["dtype"]]).reshape(entry["shape"])
    return arrays


def dequantized(arrays):
    """The tensors in double precision: exactly scale times int8."""
    tensors = {}
    for name, array in arrays.items():
        if name.endswith("_scale"):
            continue
        scale = arrays.get(name + "_scale", np.float32(1))
        tensors[name] = torch.from_numpy(array.astype(np.float64) * np.asarray(scale, np.float64))
    return tensors


def logits_of(folder, sequences):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    encoder = Encoder(config, dequantized(read_safetensors(folder / "model.safetensors")))
    rows = [encoder.classify(encoder.hidden(ids, [0] * len(ids))) for ids in sequences]
    return torch.stack(rows), list(config["id2label"].values())


def hashes(sequences):
    """Of the ids of each hundred definitions, as 32-bit little-endian words."""
    made = []
    for begin in range(0, len(sequences), DEFINITIONS_PER_HASH):
        group = np.concatenate(sequences[begin : begin + DEFINITIONS_PER_HASH])
        made.append(f"{fnv1a_bytes(group.astype('<i4').tobytes()):016x}")
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes/wordnet")
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.recipe))
    import wordpiece

    heldout = arguments.models / "wordnet-encoder-heldout.tsv"
    lines = heldout.read_text(encoding="utf-8").splitlines()
    labels, definitions = zip(*(line.split("\t") for line in lines))
    tokenizer = wordpiece.WordPiece.load(arguments.models / "wordnet-encoder-dense/vocab.txt")
    sequences = [tokenizer.encode(text, 128) for text in definitions]
    dumped = list(range(0, len(lines), len(lines) // N_DUMPED))[:N_DUMPED]
    made = {"definitions_per_hash": DEFINITIONS_PER_HASH, "hashes": hashes(sequences),
            "lines": dumped, "ids": [sequences[i] for i in dumped], "models": {}}
    for name in NAMES:
        folder = arguments.models / f"wordnet-encoder-{name}"
        logits, names = logits_of(folder, sequences)
        right = sum(names[best] == label for best, label in zip(logits.argmax(1).tolist(), labels))
        weights = (folder / "model.safetensors").read_bytes()
        made["models"][name] = {"weights_hash": f"{fnv1a_bytes(weights):016x}", "right": right,
                                "logits": rounded(logits[dumped].tolist(), 4)}
        print(f"{name}: {right} of {len(lines)} right, {100 * right / len(lines):.2f} %")
    path = Path(__file__).with_name("trained.json")
    path.write_text(written(made, 0, 3) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with torch.no_grad():
        main()
