# SPDX-License-Identifier: Apache-2.0
"""Judges an exported decoder, or a trained state, on the held-out definitions, in fp32 PyTorch."""

import argparse
from pathlib import Path

import torch

import batches
import bpe
import decoder_data
import decoder_sparse
import int8
import pruning
import safetensors
import wordnet
from decoder import Decoder, logits

MOST_TOKENS = 64


def load(path):
    """A trained state in fp32, or the int8 weights of an exported folder times their scales."""
    if not path.is_dir():
        return decoder_sparse.load(path).eval()
    decoder = Decoder().eval()
    decoder.load_state_dict(int8.dequantized(safetensors.read(path / "model.safetensors")))
    return decoder


@torch.no_grad()
def greedy(decoder, prompt, most_tokens=MOST_TOKENS):
    """(the most likely next ids up to </s>, the least lead of one over the second best)"""
    ids, lead = list(prompt), float("inf")
    while len(ids) < len(prompt) + most_tokens and (len(ids) == len(prompt) or ids[-1] != bpe.EOS):
        last = torch.tensor([len(ids) - 1])
        best = logits(*decoder(batches.one_each([ids]), last))[0].topk(2)
        lead = min(lead, (best.values[0] - best.values[1]).item())
        ids.append(best.indices[0].item())
    return ids[len(prompt):], lead


def print_samples(decoder, tokenizer, held_out, step):
    for synset in held_out[::step]:
        text = decoder_data.prompt_text(synset, synset.words[0])
        said, _ = greedy(decoder, [bpe.BOS] + tokenizer.encode(text))
        print(f"{text}\n  true: {synset.definition}\n  said: {tokenizer.decode(said).strip()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="exported folder, or trained state")
    parser.add_argument("--wordnet", default=wordnet.DEFAULT_DIR, help="folder of the data files")
    parser.add_argument("--tokenizer", type=Path,
                        default=Path("build/wordnet-decoder/tokenizer.json"))
    parser.add_argument("--sparsity", action="store_true", help="print the share of zero blocks")
    parser.add_argument("--samples", type=int, metavar="N",
                        help="print what is said of each N-th held-out synset")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    decoder = load(arguments.model)
    tokenizer = bpe.Bpe.load(arguments.tokenizer)
    _, held_out = wordnet.split(wordnet.read_synsets(arguments.wordnet))
    texts = [decoder_data.texts_of(tokenizer, synset)[0] for synset in held_out]
    n_tokens = sum(len(text.definition) for text in texts)
    print(f"perplexity {decoder_data.perplexity(decoder, texts):.3f} a token, {n_tokens} tokens of "
          f"{len(texts)} held-out definitions: {arguments.model}")
    if arguments.sparsity:
        pruning.print_sparsity(decoder, decoder_sparse.is_pruned)
    if arguments.samples:
        print_samples(decoder.eval(), tokenizer, held_out, arguments.samples)


if __name__ == "__main__":
    main()
