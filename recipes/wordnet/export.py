# SPDX-License-Identifier: Apache-2.0
"""Writes a trained classifier as a Hugging Face folder, its matrices as int8 with row scales."""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch

import model
import safetensors
import wordnet
import wordpiece

# Symmetric: -128 is never used, so that |q| <= 127.
LARGEST = 127


def quantized(matrix):
    """(int8[rows, columns], scale[rows, 1])"""
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    scale = np.where(largest > 0, largest / LARGEST, 1.0).astype(np.float32)
    return np.clip(np.rint(matrix / scale), -LARGEST, LARGEST).astype(np.int8), scale


def tensors_of(state):
    tensors = {}
    for name, value in state.items():
        array = value.numpy().astype(np.float32)
        if array.ndim == 2:
            tensors[name], tensors[name + "_scale"] = quantized(array)
        else:
            tensors[name] = array
    return tensors


def dequantized(tensors):
    """What tensors_of stored, as a state of the classifier in fp32."""
    state = {}
    for name, array in tensors.items():
        if not name.endswith("_scale"):
            scale = tensors.get(name + "_scale", np.float32(1))
            state[name] = torch.from_numpy(array.astype(np.float32) * scale)
    return state


def quantization_config():
    """As compressed-tensors writes it. Embedding tables are quantised like linear weights, row by
    row; activations are not, so no input scheme is given."""
    weights = {
        "num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False,
        "group_size": None, "block_structure": None, "actorder": None, "observer": "minmax",
        "observer_kwargs": {},
    }
    group = {"targets": ["Linear", "Embedding"], "weights": weights, "input_activations": None,
             "output_activations": None}
    return {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": [],
        "kv_cache_scheme": None,
        "global_compression_ratio": None,
    }


def config(shape=model.SHAPE):
    return {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.ffn,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout": None,
        "max_position_embeddings": shape.positions,
        "type_vocab_size": shape.types,
        "initializer_range": 0.02,
        "layer_norm_eps": shape.epsilon,
        "position_embedding_type": "absolute",
        "pad_token_id": wordpiece.PAD,
        "use_cache": False,
        "problem_type": "single_label_classification",
        "torch_dtype": "float32",
        "id2label": {str(index): name for index, name in enumerate(wordnet.LEX_NAMES)},
        "label2id": {name: index for index, name in enumerate(wordnet.LEX_NAMES)},
        "quantization_config": quantization_config(),
    }


def tokenizer_config(shape=model.SHAPE):
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return {
        "tokenizer_class": "BertTokenizer",
        "model_max_length": shape.positions,
        "do_lower_case": True,
        "do_basic_tokenize": True,
        "never_split": None,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "clean_up_tokenization_spaces": True,
        **dict(zip(names, wordpiece.SPECIAL)),
    }


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path, help="trained state, such as build/wordnet/dense.pt")
    parser.add_argument("folder", type=Path, help="folder to write")
    parser.add_argument("--tokenizer", type=Path, default=Path("build/wordnet"),
                        help="folder of vocab.txt and tokenizer.json")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    tensors = tensors_of(torch.load(arguments.state))
    safetensors.write(arguments.folder / "model.safetensors", tensors, {"format": "pt"})
    write_json(arguments.folder / "config.json", config())
    write_json(arguments.folder / "tokenizer_config.json", tokenizer_config())
    for name in ("tokenizer.json", "vocab.txt"):
        shutil.copyfile(arguments.tokenizer / name, arguments.folder / name)


if __name__ == "__main__":
    main()
