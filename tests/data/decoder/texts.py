# SPDX-License-Identifier: Apache-2.0
"""Writes the files that tests/check_decoder.c compares with: NAME.json for every case below.

Weights are hashes (tests/data/reference/generated.py).  Texts go on greedily, in double precision
from fp32 weights; a step whose best two words are closer than MARGIN ends a text, so that every
token written down is beyond the doubt of rounding.  So does one in which a neuron comes too close to
its threshold.

    /usr/bin/python3 tests/data/decoder/texts.py [NAME ...]
"""

import math
import sys
from math import sqrt
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parent.parent / "reference"))

from decoders import FAMILIES
from generated import checksum, draw, elements, fnv1a, kept_blocks, norm
from reference import projections, rounded, written

import numpy as np

LENGTHS = (5, 1, 17, 40, 2, 16, 63, 33)
N_MADE = 24
MARGIN = 2e-4
THRESHOLD_MARGIN = 2e-6
ARCHITECTURE = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM",
                "qwen2": "Qwen2ForCausalLM", "gpt2": "GPT2LMHeadModel", "opt": "OPTForCausalLM"}


def matrix(name, n_out, n_in, gain=1.0, bias=True, transposed=False):
    shape = [n_in, n_out] if transposed else [n_out, n_in]
    weight = [[name + ".weight", shape, gain * sqrt(3 / n_in), 0.0]]
    return weight + ([[name + ".bias", [n_out], 0.125, 0.0]] if bias else [])


def scale_only(name, n):
    return [[name + ".weight", [n], 0.25, 1.0]]


def describe_llama(c):
    hidden, ffn = c["hidden_size"], c["intermediate_size"]
    heads = c["num_attention_heads"]
    d = c.get("head_dim", hidden // heads)
    n_kv = c.get("num_key_value_heads", heads)
    qkv_bias = c["model_type"] == "qwen2" or c.get("attention_bias", False)
    mlp_bias = c.get("mlp_bias", False)
    tensors = [["model.embed_tokens.weight", [c["vocab_size"], hidden], 1.0, 0.0]]
    tensors += scale_only("model.norm", hidden)
    if not c["tie_word_embeddings"]:
        tensors += matrix("lm_head", c["vocab_size"], hidden, 3.0, bias=False)
    at = "model.layers.%."
    layers = scale_only(at + "input_layernorm", hidden)
    layers += scale_only(at + "post_attention_layernorm", hidden)
    layers += matrix(at + "self_attn.q_proj", heads * d, hidden, 1.2, qkv_bias)
    layers += matrix(at + "self_attn.k_proj", n_kv * d, hidden, 1.2, qkv_bias)
    layers += matrix(at + "self_attn.v_proj", n_kv * d, hidden, 1.0, qkv_bias)
    layers += matrix(at + "self_attn.o_proj", hidden, heads * d, 1.0,
                     c.get("attention_bias", False))
    layers += matrix(at + "mlp.gate_proj", ffn, hidden, 1.5, mlp_bias)
    layers += matrix(at + "mlp.up_proj", ffn, hidden, 1.0, mlp_bias)
    layers += matrix(at + "mlp.down_proj", hidden, ffn, 1.0, mlp_bias)
    return tensors, layers


def describe_gpt2(c):
    hidden = c["n_embd"]
    ffn = c.get("n_inner") or 4 * hidden
    at = "transformer.h.%."
    tensors = [["transformer.wte.weight", [c["vocab_size"], hidden], 0.5, 0.0],
               ["transformer.wpe.weight", [c["n_positions"], hidden], 0.5, 0.0]]
    tensors += norm("transformer.ln_f", hidden)
    layers = norm(at + "ln_1", hidden) + norm(at + "ln_2", hidden)
    layers += matrix(at + "attn.c_attn", 3 * hidden, hidden, 1.2, transposed=True)
    layers += matrix(at + "attn.c_proj", hidden, hidden, transposed=True)
    layers += matrix(at + "mlp.c_fc", ffn, hidden, transposed=True)
    layers += matrix(at + "mlp.c_proj", hidden, ffn, 1.5, transposed=True)
    return tensors, layers


def describe_opt(c):
    hidden, ffn, narrow = c["hidden_size"], c["ffn_dim"], c["word_embed_proj_dim"]
    at, top = "model.decoder.layers.%.", "model.decoder."
    tensors = [[top + "embed_tokens.weight", [c["vocab_size"], narrow], 1.0, 0.0],
               [top + "embed_positions.weight", [c["max_position_embeddings"] + 2, hidden], 1.0,
                0.0]]
    if narrow != hidden:
        tensors += matrix(top + "project_in", hidden, narrow, bias=False)
        tensors += matrix(top + "project_out", narrow, hidden, bias=False)
    if c["do_layer_norm_before"]:
        tensors += norm(top + "final_layer_norm", hidden)
    layers = norm(at + "self_attn_layer_norm", hidden) + norm(at + "final_layer_norm", hidden)
    for part, gain in (("q_proj", 1.2), ("k_proj", 1.2), ("v_proj", 1.0), ("out_proj", 1.0)):
        layers += matrix(at + "self_attn." + part, hidden, hidden, gain)
    layers += matrix(at + "fc1", ffn, hidden) + matrix(at + "fc2", hidden, ffn, 1.5)
    return tensors, layers


DESCRIBE = {"llama": describe_llama, "mistral": describe_llama, "qwen2": describe_llama,
            "gpt2": describe_gpt2, "opt": describe_opt}


def case(name, family, config, blocks=(), per_mille=600, lengths=LENGTHS):
    config = {"architectures": [ARCHITECTURE[family]], "model_type": family,
              "bos_token_id": 0, "eos_token_id": 1} | config
    tensors, layers = DESCRIBE[family](config)
    return {"name": name, "config": config, "files": {}, "seed": fnv1a(name) >> 12,
            "zero_blocks": list(blocks), "zero_per_mille": per_mille, "block_inputs": 4,
            "tensors": tensors, "layer_tensors": layers, "lengths": lengths}


def llama(name, family="llama", hidden=48, heads=4, kv=2, ffn=76, layers=3, vocabulary=97,
          tied=False, blocks=(), **more):
    config = {"hidden_size": hidden, "num_attention_heads": heads, "num_key_value_heads": kv,
              "intermediate_size": ffn, "num_hidden_layers": layers, "vocab_size": vocabulary,
              "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": tied,
              "max_position_embeddings": 128, "rope_theta": 10000.0} | more
    return case(name, family, config, blocks)


def gpt2(name, **more):
    return case(name, "gpt2", {"n_embd": 40, "n_head": 5, "n_layer": 3, "n_positions": 96,
                               "vocab_size": 61, "activation_function": "gelu_new",
                               "layer_norm_epsilon": 1e-5} | more)


def opt(name, narrow=36, before=True, **more):
    return case(name, "opt", {"hidden_size": 36, "num_attention_heads": 3, "ffn_dim": 50,
                              "num_hidden_layers": 3, "vocab_size": 83,
                              "max_position_embeddings": 96, "activation_function": "relu",
                              "word_embed_proj_dim": narrow, "do_layer_norm_before": before} | more)


def scaled(kind, **more):
    return {"rope_scaling": {"rope_type": kind} | more}


CASES = [
    llama("llama"),
    llama("llama-biases", hidden=40, heads=3, kv=1, head_dim=18, tied=True, attention_bias=True,
          mlp_bias=True, vocabulary=601),
    llama("llama-pruned", hidden=64, heads=8, kv=8, ffn=160, blocks=(16, 4, 8, 1), layers=4),
    llama("llama-linear", **scaled("linear", factor=2.5)),
    llama("llama-dynamic", max_position_embeddings=32, **scaled("dynamic", factor=4.0)),
    llama("llama-llama3", rope_theta=500.0,
          **scaled("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=32)),
    llama("llama-yarn", head_dim=32, **scaled("yarn", factor=4.0,
                                              original_max_position_embeddings=32)),
    llama("llama-cats", ffn=200, layers=4) | {"share": 0.5},
    llama("llama-cats-few", hidden=64, ffn=333, blocks=(16, 4, 1), mlp_bias=True) | {"share": 0.2},
    llama("mistral", "mistral", sliding_window=7),
    llama("mistral-wide", "mistral", sliding_window=37, heads=6, kv=2, hidden=60),
    llama("qwen2", "qwen2", tied=True, vocabulary=131),
    llama("qwen2-window", "qwen2", use_sliding_window=True, sliding_window=9, max_window_layers=1),
    gpt2("gpt2"),
    gpt2("gpt2-inverse", n_inner=70, scale_attn_by_inverse_layer_idx=True),
    opt("opt"),
    opt("opt-projected", narrow=20, before=False),
]


def generate(made):
    tensors = {name: elements(name, shape, amplitude, offset, made["seed"])
               for name, shape, amplitude, offset in made["tensors"]}
    config = made["config"]
    for layer in range(config.get("num_hidden_layers", config.get("n_layer"))):
        for template, shape, amplitude, offset in made["layer_tensors"]:
            name = template.replace("%", str(layer))
            tensors[name] = elements(name, shape, amplitude, offset, made["seed"])
            if made["zero_blocks"] and len(shape) == 2:
                outputs = made["zero_blocks"][layer % len(made["zero_blocks"])]
                kept = kept_blocks(name, shape, outputs, made["zero_per_mille"], made["seed"])
                tensors[name] = np.where(kept, tensors[name], np.float32(0))
    return tensors


def longest(config):
    """Tokens a text may have."""
    positions = config.get("max_position_embeddings", config.get("n_positions"))
    scaling = config.get("rope_scaling") or {}
    return int(positions * (scaling.get("factor", 1) if scaling.get("rope_type") == "dynamic" else 1))


def go_on(model, prompt, most, is_dynamic):
    """Greedy: [ids], and the log-probability of each.  Rotary positions that depend on the length of
    the text would turn old keys anew here, while a cache keeps them: such texts are only prompts."""
    ids, made, logs = list(prompt), [], []
    model.n_fed, model.nearest = len(prompt), math.inf
    while len(made) < (1 if is_dynamic else N_MADE) and len(ids) < most:
        row = model.logits(torch.tensor(ids))[-1]
        best = torch.topk(row, 2)
        if best.values[0] - best.values[1] < MARGIN or model.nearest < THRESHOLD_MARGIN:
            break
        made.append(int(best.indices[0]))
        logs.append(float(torch.log_softmax(row, -1)[made[-1]]))
        ids.append(made[-1])
    return made, logs


def calibrated(model, prompts, share):
    """For each layer what that share of the gates reaches."""
    found = {}
    for prompt in prompts:
        model.logits(torch.tensor(prompt))
        for index, gate in model.gates.items():
            found.setdefault(index, []).append(gate.abs().flatten())
    return [round(float(torch.cat(found[index]).quantile(1 - share)), 4) for index in sorted(found)]


def main():
    here = Path(__file__).parent
    for made in CASES:
        if len(sys.argv) > 1 and made["name"] not in sys.argv[1:]:
            continue
        weights = generate(made)
        tensors = {name: torch.from_numpy(array).double() for name, array in weights.items()}
        config = made["config"]
        model = FAMILIES[config["model_type"]](config, tensors)
        drawn = iter(draw(made["seed"] + 1, sum(made["lengths"])).tolist())
        prompts = [[next(drawn) % config["vocab_size"] for _ in range(n)]
                   for n in made["lengths"]]
        is_dynamic = (config.get("rope_scaling") or {}).get("rope_type") == "dynamic"
        if "share" in made:
            made["thresholds"] = calibrated(model, prompts, made.pop("share"))
            model.thresholds = [float(np.float32(t)) for t in made["thresholds"]]
        texts = [go_on(model, prompt, longest(config), is_dynamic) for prompt in prompts]
        made["ids"] = prompts
        made["made"] = [ids for ids, _ in texts]
        made["log_probabilities"] = rounded([logs for _, logs in texts])
        model.n_fed = longest(config)
        made["last_logits"] = rounded(
            [projections(model.logits(torch.tensor(p))[-1].numpy()) for p in prompts])
        made["mean_log_probability"] = rounded(
            [float(torch.log_softmax(model.logits(torch.tensor(p)), -1)[:-1]
                   .gather(1, torch.tensor(p)[1:, None]).mean()) if len(p) > 1 else 0.0
             for p in prompts])
        made["checksum"] = str(checksum(weights))
        del made["lengths"]
        (here / (made["name"] + ".json")).write_text(written(made) + "\n", encoding="utf-8")
        print(made["name"], [len(ids) for ids, _ in texts], flush=True)


if __name__ == "__main__":
    with torch.no_grad():
        main()
