# SPDX-License-Identifier: Apache-2.0
"""Writes the files that tests/check_reference.c compares with: NAME.json for every case below.

Outputs are computed in double precision from fp32 weights.  int8_error is the relative error that
dynamic int8 quantisation of the same layers makes in this implementation.

    /usr/bin/python3 tests/data/reference/reference.py [NAME ...]
"""

import json
import sys
from math import sqrt
from pathlib import Path

import numpy as np
import torch

from encoders import Encoder, int8_linear, plain_linear
from generated import BLOCK_INPUTS, checksum, describe, draw, fnv1a, generate

LENGTHS = (16, 1, 128, 2, 47, 3, 100, 15, 48, 64, 17, 49)
SHORT_LENGTHS = (17, 1, 64, 2, 47, 3, 16, 48, 15, 49)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MASK = SPECIAL.index("[MASK]")
N_FILLED = 6
N_PROJECTIONS = 4
EVERY_LOGIT = 5  # of those of tokens; shares no factor with the numbers of labels

ARCHITECTURE = {
    "classify": "ForSequenceClassification",
    "tag": "ForTokenClassification",
    "answer": "ForQuestionAnswering",
    "fill": "ForMaskedLM",
    "embed": "Model",
}
CLASS = {"bert": "Bert", "roberta": "Roberta", "longformer": "Longformer",
         "big_bird": "BigBird", "distilbert": "DistilBert"}


def config_of(family, head, hidden, layers, heads, ffn, *, act="gelu", vocabulary=1000,
              positions=128, labels=3, problem=None, **more):
    config = {"architectures": [CLASS[family] + ARCHITECTURE[head]], "model_type": family,
              "vocab_size": vocabulary}
    if family == "distilbert":
        config |= {"dim": hidden, "n_layers": layers, "n_heads": heads, "hidden_dim": ffn,
                   "activation": act, "max_position_embeddings": positions, "pad_token_id": 0,
                   "sinusoidal_pos_embds": False}
    else:
        is_roberta = family in ("roberta", "longformer")
        pad = 1 if is_roberta else 0
        config |= {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
                   "intermediate_size": ffn, "hidden_act": act, "pad_token_id": pad,
                   "max_position_embeddings": positions + (2 if is_roberta else 0),
                   "type_vocab_size": 1 if is_roberta else 2,
                   "layer_norm_eps": 1e-5 if is_roberta else 1e-12}
    if head in ("classify", "tag"):
        config["id2label"] = {str(i): f"label {i}" for i in range(labels)}
    if problem:
        config["problem_type"] = problem
    return config | more


def case(name, family, head, hidden, layers, heads, ffn, *, blocks=(), per_mille=800,
         lengths=SHORT_LENGTHS, every=8, labels=3, files=None, **options):
    """blocks: outputs of the zero blocks of layer 0, 1, ...; every: of which components of
    embeddings one is kept; lengths: of the sequences; files: more files of the checkpoint."""
    config = config_of(family, head, hidden, layers, heads, ffn, labels=labels, **options)
    tensors, of_layers = describe(config, head, labels, bool(blocks))
    files = dict(files or {})
    if head == "fill":
        files |= vocabulary_files(family, config["vocab_size"])
    return {"name": name, "head": head, "config": config, "files": files, "seed": fnv1a(name) >> 12,
            "zero_blocks": list(blocks), "zero_per_mille": per_mille, "tensors": tensors,
            "layer_tensors": of_layers, "lengths": lengths, "every": every,
            "every_logit": EVERY_LOGIT}


def vocabulary_files(family, size):
    """What tells a runtime which id the mask has."""
    words = list(SPECIAL) + [f"w{i}" for i in range(len(SPECIAL), size)]
    if family != "roberta":
        return {"vocab.txt": "\n".join(words) + "\n"}
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    words[:5] = "<s>", "<pad>", "</s>", "<unk>", "<mask>"
    model = {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##",
             "max_input_chars_per_word": 100, "vocab": {word: i for i, word in enumerate(words)}}
    added = [{"id": i, "content": words[i], **flags} for i in range(5)]
    return {"tokenizer.json": {"version": "1.0", "added_tokens": added, "model": model,
                               "normalizer": {"type": "BertNormalizer", "lowercase": True},
                               "pre_tokenizer": {"type": "BertPreTokenizer"}}}


BASE = (768, 12, 12, 3072)
DISTIL = (768, 6, 12, 3072)
MINI = (384, 6, 12, 1536)
LARGE = {"lengths": LENGTHS, "every": 192}
NORMALIZED = {
    "modules.json": [
        {"idx": i, "name": str(i), "path": path, "type": "sentence_transformers.models." + kind}
        for i, (path, kind) in enumerate(
            (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")))
    ],
    "1_Pooling/config.json": {"word_embedding_dimension": 384, "pooling_mode_cls_token": False,
                              "pooling_mode_mean_tokens": True},
}

LONG = {"lengths": (300, 1, 129, 2, 47, 64, 199, 17), "positions": 301}
# Around the length up to which a BigBird of such blocks sees all, and around whole blocks.
BIRD = {"lengths": (300, 1, 176, 177, 193, 47, 208, 17), "positions": 301, "act": "gelu_new",
        "block_size": 16, "num_random_blocks": 3, "attention_type": "block_sparse"}
# Longformer's and BigBird's rules on plain models, and a different rule for each head.
NEAR = {"rules": {"near": [{"kind": "window", "left": 20, "right": 20},
                           {"kind": "global", "first": 1}]}, "layers": "near"}
BLOCKS = {"rules": {"near": [{"kind": "window", "left": 1, "right": 1, "block": 16},
                             {"kind": "global", "first": 1, "last": 1, "block": 16}],
                    "drawn": [{"kind": "blocks", "block": 32, "mask":
                               ["1001000100", "0110000000", "0000000000", "1001100000",
                                "0000111111", "1000010000", "0100001000", "1110000000",
                                "0000000011", "1111111111"]}]},
          "layers": [["near", "drawn", "usual"], "near"]}

CASES = [
    case("bert-base", "bert", "classify", *BASE, **LARGE),
    case("bert-base-pruned", "bert", "classify", *BASE, blocks=(16, 4, 8, 1), labels=5, **LARGE),
    case("roberta-base", "roberta", "classify", *BASE, labels=4, **LARGE,
         problem="multi_label_classification"),
    case("roberta-base-pruned", "roberta", "classify", *BASE, blocks=(8, 16, 1, 4), per_mille=900,
         **LARGE),
    case("distilbert", "distilbert", "classify", *DISTIL, **LARGE),
    case("distilbert-pruned", "distilbert", "answer", *DISTIL, blocks=(4, 8, 16), **LARGE),
    case("minilm", "bert", "embed", *MINI, **LARGE, files=NORMALIZED),
    case("minilm-pruned", "bert", "tag", *MINI, blocks=(4,), per_mille=700, **LARGE),
    case("bert-relu-tag", "bert", "tag", 24, 2, 3, 40, act="relu", vocabulary=61),
    case("bert-tanh-fill", "bert", "fill", 24, 2, 3, 40, act="gelu_new", vocabulary=83),
    case("bert-answer-pruned", "bert", "answer", 40, 2, 5, 72, blocks=(4, 1), vocabulary=61),
    case("bert-regression", "bert", "classify", 30, 2, 5, 70, labels=1, vocabulary=37,
         problem="regression", positions=64),
    case("bert-one-head", "bert", "classify", 20, 1, 1, 33, labels=17, vocabulary=37,
         positions=64, problem="multi_label_classification"),
    case("bert-empty-rows", "bert", "classify", 64, 2, 2, 160, labels=3, vocabulary=37,
         blocks=(16, 8), per_mille=980),
    case("roberta-tag", "roberta", "tag", 24, 2, 3, 40, labels=2, vocabulary=61),
    case("roberta-fill", "roberta", "fill", 32, 2, 4, 64, act="relu", vocabulary=83),
    case("roberta-answer", "roberta", "answer", 24, 2, 2, 52, act="gelu_new", vocabulary=61),
    case("roberta-near", "roberta", "tag", 24, 2, 3, 40, labels=2, vocabulary=61, **LONG,
         lacuna_attention=NEAR),
    case("bert-blocks", "bert", "tag", 24, 2, 3, 40, labels=2, vocabulary=61, **LONG,
         lacuna_attention=BLOCKS),
    case("longformer-tag", "longformer", "tag", 24, 2, 3, 40, labels=2, vocabulary=61, **LONG,
         attention_window=[32, 64]),
    case("longformer-classify", "longformer", "classify", 24, 3, 3, 40, vocabulary=61, **LONG,
         attention_window=[32, 64, 4]),
    case("longformer-answer", "longformer", "answer", 24, 2, 2, 52, vocabulary=61, **LONG,
         attention_window=[8, 16], sep_token_id=7),
    case("longformer-long", "longformer", "classify", 24, 2, 3, 40, vocabulary=61,
         lengths=(4096, 4095, 1025), positions=4096, attention_window=[64, 128]),
    case("bigbird-tag", "big_bird", "tag", 24, 2, 3, 40, labels=2, vocabulary=61, **BIRD),
    case("bigbird-fill", "big_bird", "fill", 24, 2, 3, 40, vocabulary=83, **BIRD),
    case("bigbird-embed", "big_bird", "embed", 24, 2, 3, 40, vocabulary=61, **BIRD),
    case("bigbird-full", "big_bird", "classify", 24, 2, 3, 40, vocabulary=61,
         **BIRD | {"attention_type": "original_full"}),
    case("bigbird-long", "big_bird", "classify", 24, 2, 3, 40, vocabulary=61,
         **BIRD | {"lengths": (4096, 3969, 705), "positions": 4096, "block_size": 64}),
    case("distilbert-tag", "distilbert", "tag", 24, 3, 3, 40, act="relu", labels=2, vocabulary=61),
    case("distilbert-fill", "distilbert", "fill", 36, 2, 3, 44, vocabulary=83),
]


def inputs(made):
    """Token ids free of special ones but for masks, and how many tokens have type 0."""
    drawn = iter(draw(made["seed"] + 1, 4 * sum(made["lengths"]) + 64).tolist())
    ordinary = made["config"]["vocab_size"] - len(SPECIAL)
    ids = [[len(SPECIAL) + next(drawn) % ordinary for _ in range(n)] for n in made["lengths"]]
    if made["head"] == "fill":
        for sequence in ids:
            for _ in range(1 + len(sequence) // 40):
                sequence[next(drawn) % len(sequence)] = MASK
    typed = made["config"].get("type_vocab_size", 0) > 1
    return ids, [next(drawn) % (len(s) + 1) if typed else len(s) for s in ids]


def projections(vector):
    """Sums with signs from hashes: they see every component, at the size of one."""
    signs = draw(fnv1a("signs"), N_PROJECTIONS * len(vector)) >> 23 << 1
    return ((1 - signs).reshape(N_PROJECTIONS, -1) @ vector / sqrt(len(vector))).tolist()


def shortened(tensor, every):
    vector = tensor.flatten().double().numpy()
    return vector[::every].tolist() + projections(vector)


def filled(logits, exact, ids):
    """For each mask the ids that are exactly the best, with the logarithms of their
    probabilities."""
    rows = []
    for row, exact_row, token in zip(torch.log_softmax(logits, -1), exact, ids):
        if token == MASK:
            best = torch.topk(exact_row, N_FILLED).indices
            rows.append([best.tolist(), row[best].tolist()])
    return rows


def run(made, encoder, ids, first_type):
    """{output: [one tensor a sequence]}"""
    outputs = {"mean": [], "cls": []}
    head = made["head"]
    heads_with_pooler = {"bert": ("classify", "embed"), "big_bird": ("embed",)}
    pooled = head in heads_with_pooler.get(made["config"]["model_type"], ())
    for sequence, n_first in zip(ids, first_type):
        types = [0] * n_first + [1] * (len(sequence) - n_first)
        embedded = hidden = encoder.hidden(sequence, types, head)
        if encoder.family == "longformer":
            embedded = encoder.hidden(sequence, types)
        outputs["mean"].append(embedded.mean(0))
        outputs["cls"].append(embedded[0])
        if pooled:
            outputs.setdefault("pooler", []).append(encoder.pooler(hidden))
        if head != "embed":
            outputs.setdefault(head, []).append(getattr(encoder, head)(hidden))
    return outputs


def numbers(value):
    """All floats of nested lists."""
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, float) else []


def relative_errors(made, truth):
    """For each output the error of what is dumped, as the test computes it too."""
    errors = {}
    for name in truth:
        right, wrong = np.array(numbers(truth[name])), np.array(numbers(made[name]))
        errors[name] = float(np.linalg.norm(wrong - right) / np.linalg.norm(right))
    return errors


def largest_difference(outputs, truth):
    pairs = (pair for name in outputs for pair in zip(outputs[name], truth[name]))
    return max(float((a - b).abs().max()) for a, b in pairs)


def rounded(value, digits=5):
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item, digits) for item in value]
    return round(value, digits) if isinstance(value, float) else value


def dumped(outputs, truth, ids, every):
    made = {}
    for name, tensors in outputs.items():
        if name in ("mean", "cls", "pooler"):
            made[name] = [shortened(tensor, every) for tensor in tensors]
        elif name in ("tag", "answer"):
            made[name] = [shortened(tensor, EVERY_LOGIT) for tensor in tensors]
        elif name == "fill":
            made[name] = [filled(*each) for each in zip(tensors, truth[name], ids)]
        else:
            made[name] = [tensor.flatten().tolist() for tensor in tensors]
    return made


def written(value, depth=0, levels=2):
    """JSON with a line for each item of the outer levels."""
    if depth == levels or not isinstance(value, (dict, list)) or not value:
        return json.dumps(value, separators=(",", ":"))
    if isinstance(value, dict):
        items = (json.dumps(key) + ": " + written(item, depth + 1, levels)
                 for key, item in value.items())
        return "{\n" + ",\n".join(items) + "\n}"
    if not isinstance(value[0], (dict, list)):
        return json.dumps(value, separators=(",", ":"))
    return "[\n" + ",\n".join(written(item, depth + 1, levels) for item in value) + "\n]"


def main():
    here = Path(__file__).parent
    for made in CASES:
        if len(sys.argv) > 1 and made["name"] not in sys.argv[1:]:
            continue
        weights = generate(made)
        ids, first_type = inputs(made)
        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        single = run(made, Encoder(made["config"], tensors), ids, first_type)
        int8 = run(made, Encoder(made["config"], tensors, int8_linear), ids, first_type)
        tensors = {name: tensor.double() for name, tensor in tensors.items()}
        truth = run(made, Encoder(made["config"], tensors, plain_linear), ids, first_type)
        exact = dumped(truth, truth, ids, made["every"])
        errors = relative_errors(dumped(int8, truth, ids, made["every"]), exact)
        made["checksum"] = str(checksum(weights))
        made["block_inputs"] = BLOCK_INPUTS
        made["ids"], made["first_type"] = ids, first_type
        made["int8_error"] = rounded(errors)
        made["outputs"] = rounded(exact)
        del made["lengths"]
        (here / (made["name"] + ".json")).write_text(written(made) + "\n", encoding="utf-8")
        print(made["name"], "fp32", largest_difference(single, truth), "int8", errors, flush=True)


if __name__ == "__main__":
    with torch.no_grad():
        main()
