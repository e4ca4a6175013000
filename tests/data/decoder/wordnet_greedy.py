# SPDX-License-Identifier: Apache-2.0
"""Writes wordnet_greedy.json: what the shipped decoders say of held-out words, greedily.

Arithmetic is double precision with the stored int8 weights times their scales, in decoders.py,
which knows nothing of how the models were trained.  A step whose best two words are closer than
MARGIN ends a text before it, so that every token written down is beyond the doubt of rounding.

    /usr/bin/python3 tests/data/decoder/wordnet_greedy.py [--models FOLDER] [--wordnet FOLDER]
"""

import argparse
import json
import sys
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path += [str(HERE.parent / "reference"), str(ROOT / "recipes/wordnet")]

import bpe
import int8
import safetensors
import wordnet
from decoder_data import prompt_text, texts_of
from decoders import FAMILIES
from generated import fnv1a_bytes
from reference import rounded, written

NAMES = ("dense", "sparse")
N_PROMPTS = 50
MOST_TOKENS = 48
MARGIN = 1e-3


def load(folder):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tensors = int8.dequantized(safetensors.read(folder / "model.safetensors"))
    return FAMILIES[config["model_type"]](config, {n: t.double() for n, t in tensors.items()})


def log_likelihood(model, text):
    """Of the definition and </s>, given the prompt."""
    ids = torch.tensor(text.prompt + text.definition)
    logs = torch.log_softmax(model.logits(ids[:-1]), -1)
    return logs.gather(1, ids[1:, None])[len(text.prompt) - 1 :].sum().item()


def go_on(model, prompt):
    ids = list(prompt)
    while len(ids) < len(prompt) + MOST_TOKENS and (len(ids) == len(prompt) or ids[-1] != bpe.EOS):
        best = torch.topk(model.logits(torch.tensor(ids))[-1], 2)
        if best.values[0] - best.values[1] < MARGIN:
            break
        ids.append(best.indices[0].item())
    return ids[len(prompt):]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--wordnet", default=wordnet.DEFAULT_DIR, help="folder of the data files")
    arguments = parser.parse_args()
    tokenizer = bpe.Bpe.load(arguments.models / "wordnet-decoder-dense/tokenizer.json")
    _, held_out = wordnet.split(wordnet.read_synsets(arguments.wordnet))
    synsets = held_out[:: len(held_out) // N_PROMPTS][:N_PROMPTS]
    texts = [texts_of(tokenizer, synset)[0] for synset in synsets]
    made = {"prompts": [prompt_text(synset, synset.words[0]) for synset in synsets],
            "definitions": [synset.definition for synset in synsets],
            "prompt_ids": [text.prompt for text in texts],
            "definition_ids": [text.definition for text in texts],
            "models": {}}
    for name in NAMES:
        folder = arguments.models / f"wordnet-decoder-{name}"
        model = load(folder)
        said = [go_on(model, text.prompt) for text in texts]
        weights = (folder / "model.safetensors").read_bytes()
        made["models"][name] = {
            "weights_hash": f"{fnv1a_bytes(weights):016x}",
            "made_ids": said,
            "made": [tokenizer.decode(ids).strip() for ids in said],
            "log_likelihoods": rounded([log_likelihood(model, text) for text in texts], 4),
        }
    (HERE / "wordnet_greedy.json").write_text(written(made, 0, 3) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with torch.no_grad():
        main()
