# SPDX-License-Identifier: Apache-2.0
"""Writes a trained decoder as a Hugging Face folder, its matrices as int8 with row scales."""

import argparse
import shutil
from pathlib import Path

import torch

import bpe
import decoder
import int8
import safetensors

# Matrices with fewer zeros are smaller without a bitmask.
LEAST_SPARSITY = 0.25


def zero_share(state):
    """Of the linear weights."""
    weights = [weight for name, weight in state.items() if decoder.is_linear(name)]
    zeros = sum((weight == 0).sum().item() for weight in weights)
    return zeros / sum(weight.numel() for weight in weights)


def config(sparsity, shape=decoder.SHAPE):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.hidden // shape.heads,
        "intermediate_size": shape.ffn,
        "hidden_act": "silu",
        "max_position_embeddings": shape.positions,
        "rms_norm_eps": shape.epsilon,
        "rope_theta": shape.theta,
        "rope_scaling": None,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "initializer_range": 0.02,
        "pretraining_tp": 1,
        "tie_word_embeddings": True,
        "bos_token_id": bpe.BOS,
        "eos_token_id": bpe.EOS,
        "use_cache": True,
        "torch_dtype": "float32",
        "quantization_config": int8.quantization_config(sparsity),
    }


def tokenizer_config(shape=decoder.SHAPE):
    return {
        "tokenizer_class": "LlamaTokenizerFast",
        "model_max_length": shape.positions,
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "unk_token": bpe.SPECIAL[bpe.UNK],
        "bos_token": bpe.SPECIAL[bpe.BOS],
        "eos_token": bpe.SPECIAL[bpe.EOS],
        "pad_token": None,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path,
                        help="trained state, such as build/wordnet-decoder/dense.pt")
    parser.add_argument("folder", type=Path, help="folder to write")
    parser.add_argument("--tokenizer", type=Path, default=Path("build/wordnet-decoder"),
                        help="folder of tokenizer.json")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    state = torch.load(arguments.state)
    tensors, sparsity = int8.tensors_of(state), round(zero_share(state), 4)
    if sparsity < LEAST_SPARSITY:
        sparsity = None
    else:
        tensors = int8.with_bitmasks(tensors, decoder.is_linear)
    safetensors.write(arguments.folder / "model.safetensors", tensors, {"format": "pt"})
    int8.write_json(arguments.folder / "config.json", config(sparsity))
    int8.write_json(arguments.folder / "tokenizer_config.json", tokenizer_config())
    generation = {"bos_token_id": bpe.BOS, "eos_token_id": bpe.EOS}
    int8.write_json(arguments.folder / "generation_config.json", generation)
    shutil.copyfile(arguments.tokenizer / "tokenizer.json", arguments.folder / "tokenizer.json")


if __name__ == "__main__":
    main()
