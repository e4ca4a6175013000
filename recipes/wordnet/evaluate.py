# SPDX-License-Identifier: Apache-2.0
"""Judges an exported folder, or a trained state, on the held-out definitions, in fp32 PyTorch."""

import argparse
from pathlib import Path

import numpy as np
import torch

import classifying
import int8
import model
import pruning
import safetensors
import train_sparse
import wordnet
import wordpiece


def load(path):
    """A trained state in fp32, or the int8 weights of an exported folder times their scales."""
    classifier = model.Classifier().eval()
    if path.is_dir():
        classifier.load_state_dict(int8.dequantized(safetensors.read(path / "model.safetensors")))
    else:
        classifier.load_state_dict(torch.load(path))
    return classifier


def write_ids(path, sequences):
    path.write_text("".join(" ".join(map(str, ids)) + "\n" for ids in sequences))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="exported folder, or trained state")
    parser.add_argument("--wordnet", default=wordnet.DEFAULT_DIR, help="folder of the data files")
    parser.add_argument("--vocabulary", type=Path, default=Path("build/wordnet/vocab.txt"))
    parser.add_argument("--sparsity", action="store_true", help="print the share of zero blocks")
    parser.add_argument("--logits", type=Path, help="write the logits here, as .npy")
    parser.add_argument("--ids", type=Path, help="write the token ids here, one definition a line")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    _, held_out = wordnet.split(wordnet.read_synsets(arguments.wordnet))
    tokenizer = wordpiece.WordPiece.load(arguments.vocabulary)
    sequences = [tokenizer.encode(synset.definition, model.SHAPE.positions) for synset in held_out]
    classifier = load(arguments.model)
    logits = classifying.logits_of(classifier, sequences)
    right = logits.argmax(1) == torch.tensor([synset.label for synset in held_out])
    per_cent = 100 * right.float().mean()
    print(f"{per_cent:.2f} % of {len(held_out)} held-out definitions: {arguments.model}")
    if arguments.sparsity:
        pruning.print_sparsity(classifier, train_sparse.is_pruned)
    if arguments.logits:
        np.save(arguments.logits, logits.numpy())
    if arguments.ids:
        write_ids(arguments.ids, sequences)


if __name__ == "__main__":
    main()
