# SPDX-License-Identifier: Apache-2.0
"""Writes a trained classifier as a Hugging Face folder, its matrices as int8 with row scales."""

import argparse
import shutil
from pathlib import Path

import torch

import int8
import model
import safetensors
import wordnet
import wordpiece


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
        "quantization_config": int8.quantization_config(),
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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path, help="trained state, such as build/wordnet/dense.pt")
    parser.add_argument("folder", type=Path, help="folder to write")
    parser.add_argument("--tokenizer", type=Path, default=Path("build/wordnet"),
                        help="folder of vocab.txt and tokenizer.json")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    tensors = int8.tensors_of(torch.load(arguments.state))
    safetensors.write(arguments.folder / "model.safetensors", tensors, {"format": "pt"})
    int8.write_json(arguments.folder / "config.json", config())
    int8.write_json(arguments.folder / "tokenizer_config.json", tokenizer_config())
    for name in ("tokenizer.json", "vocab.txt"):
        shutil.copyfile(arguments.tokenizer / name, arguments.folder / name)


if __name__ == "__main__":
    main()
