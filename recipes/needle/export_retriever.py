# SPDX-License-Identifier: Apache-2.0
"""Writes the trained model as a Hugging Face folder, matrices as int8 with row scales, with a file
that says which heads retrieve."""

import argparse
import json
from pathlib import Path

import torch

import int8
import safetensors
import words
from retriever import RETRIEVING, SHAPE


def config(shape=SHAPE):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head,
        "intermediate_size": shape.ffn,
        "hidden_act": "silu",
        "max_position_embeddings": shape.positions,
        "rms_norm_eps": shape.epsilon,
        "rope_theta": shape.theta,
        "rope_scaling": None,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": words.BOS,
        "eos_token_id": words.EOS,
        "use_cache": True,
        "torch_dtype": "float32",
        "quantization_config": int8.quantization_config(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path, help="such as build/needle/retriever.pt")
    parser.add_argument("folder", type=Path, help="folder to write")
    arguments = parser.parse_args()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    state = torch.load(arguments.state)
    tensors = int8.tensors_of(state.get("model", state))
    safetensors.write(folder / "model.safetensors", tensors, {"format": "pt"})
    int8.write_json(folder / "config.json", config())
    generation = {"bos_token_id": words.BOS, "eos_token_id": words.EOS}
    int8.write_json(folder / "generation_config.json", generation)
    # The last layer's; the others look back a token or two. Streaming heads keep blocks of 64.
    heads = [[] for _ in range(SHAPE.layers - 1)] + [[RETRIEVING]]
    int8.write_json(folder / "heads.json",
                    {"retrieval_heads": heads, "sinks": 64, "window": 256})
    text = json.dumps(words.tokenizer_json(), ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
