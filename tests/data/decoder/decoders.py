# SPDX-License-Identifier: Apache-2.0
"""LLaMA, Mistral, Qwen2, GPT-2 and OPT forward passes over a whole text, written for reading.

After Touvron et al. 2023, Jiang et al. 2023, Qwen Team 2024, Radford et al. 2019 and Zhang et al.
2022; tensors are named as in Hugging Face checkpoints, configurations as in their config.json.
Arithmetic has the type of the tensors; no cache, no batch.
"""

import math

import torch
import torch.nn.functional as F


def gelu_new(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS = {"silu": F.silu, "gelu": F.gelu, "gelu_new": gelu_new, "relu": F.relu}


def causal_mask(n, window):
    """True where query i (row) sees key j: j <= i, and i - j < window."""
    distance = torch.arange(n)[:, None] - torch.arange(n)[None, :]
    return (distance >= 0) & (distance < (window or n))


def attention(q, k, v, scale, mask):
    """q[n, heads, d], k and v[n, kv_heads, d]: each key head serves several query heads."""
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    scores = torch.einsum("qhd,khd->hqk", q, k) * scale
    scores = scores.masked_fill(~mask, -math.inf)
    return torch.einsum("hqk,khd->qhd", torch.softmax(scores, -1), v).flatten(1)


# ---- Rotary positions


def frequencies(config, d, n):
    """The angle of each pair at position 1, and what cosines and sines are multiplied by."""
    scaling = config.get("rope_scaling") or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    theta = config.get("rope_theta", 10000.0)
    pair = torch.arange(0, d, 2, dtype=torch.float64)
    trained = scaling.get("original_max_position_embeddings",
                          config["max_position_embeddings"])
    factor = scaling.get("factor", 1.0)
    if kind == "dynamic" and n > trained:
        theta *= (factor * n / trained - (factor - 1)) ** (d / (d - 2))
    plain = theta ** (-pair / d)
    if kind == "linear":
        return plain / factor, 1.0
    if kind == "llama3":
        wavelength = 2 * math.pi / plain
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        smooth = (trained / wavelength - low) / (high - low)
        between = (1 - smooth) * plain / factor + smooth * plain
        slow = torch.where(wavelength > trained / low, plain / factor, between)
        return torch.where(wavelength < trained / high, plain, slow), 1.0
    if kind == "yarn":
        def at(turns):
            return d * math.log(trained / (turns * 2 * math.pi)) / (2 * math.log(theta))
        first = max(math.floor(at(scaling.get("beta_fast", 32))), 0)
        last = min(math.ceil(at(scaling.get("beta_slow", 1))), d - 1)
        ramp = ((pair / 2 - first) / max(last - first, 0.001)).clamp(0, 1)
        return plain / factor * ramp + plain * (1 - ramp), 0.1 * math.log(factor) + 1
    return plain, 1.0


def rotate(x, config):
    """x[n, heads, d]: feature i turns with feature i + d/2."""
    n, _, d = x.shape
    per_position, times = frequencies(config, d, n)
    angle = torch.arange(n, dtype=torch.float64)[:, None] * per_position[None, :]
    cos, sin = (times * angle.cos()).to(x)[:, None], (times * angle.sin()).to(x)[:, None]
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


# ---- Families


class Llama:
    """LLaMA, Mistral and Qwen2."""

    def __init__(self, config, tensors):
        self.config, self.tensors = config, tensors
        heads = config["num_attention_heads"]
        self.heads, self.kv_heads = heads, config.get("num_key_value_heads", heads)
        self.d = config.get("head_dim", config["hidden_size"] // heads)
        # Activation sparsity (Lee et al. 2024): tokens from n_fed on leave out neurons whose gate is
        # below the layer's threshold.  nearest: how close any of them came to it.
        self.thresholds, self.n_fed, self.nearest = None, 0, math.inf
        self.gates = {}

    def linear(self, name, x):
        return F.linear(x, self.tensors[name + ".weight"], self.tensors.get(name + ".bias"))

    def norm(self, name, x):
        mean_square = (x * x).mean(-1, keepdim=True)
        return x / torch.sqrt(mean_square + self.config["rms_norm_eps"]) \
            * self.tensors[name + ".weight"]

    def window(self, layer):
        config = self.config
        if config["model_type"] == "mistral":
            return config.get("sliding_window")
        if config["model_type"] == "qwen2" and config.get("use_sliding_window"):
            return config["sliding_window"] if layer >= config["max_window_layers"] else None
        return None

    def layer(self, x, index):
        at = f"model.layers.{index}."
        n = len(x)
        y = self.norm(at + "input_layernorm", x)
        q = rotate(self.linear(at + "self_attn.q_proj", y).view(n, self.heads, self.d), self.config)
        k = rotate(self.linear(at + "self_attn.k_proj", y).view(n, self.kv_heads, self.d),
                   self.config)
        v = self.linear(at + "self_attn.v_proj", y).view(n, self.kv_heads, self.d)
        y = attention(q, k, v, self.d**-0.5, causal_mask(n, self.window(index)))
        x = x + self.linear(at + "self_attn.o_proj", y)
        y = self.norm(at + "post_attention_layernorm", x)
        act = ACTIVATIONS[self.config["hidden_act"]]
        gate = self.leave_out(act(self.linear(at + "mlp.gate_proj", y)), index)
        return x + self.linear(at + "mlp.down_proj", gate * self.linear(at + "mlp.up_proj", y))

    def leave_out(self, gate, index):
        self.gates[index] = gate
        if self.thresholds is None:
            return gate
        gate, made = gate.clone(), gate[self.n_fed :]
        if made.numel():
            distance = (made.abs() - self.thresholds[index]).abs().min()
            self.nearest = min(self.nearest, float(distance))
        gate[self.n_fed :] = torch.where(made.abs() < self.thresholds[index], 0.0, made)
        return gate

    def logits(self, ids):
        table = self.tensors["model.embed_tokens.weight"]
        x = table[ids]
        for index in range(self.config["num_hidden_layers"]):
            x = self.layer(x, index)
        head = table if self.config["tie_word_embeddings"] else self.tensors["lm_head.weight"]
        return F.linear(self.norm("model.norm", x), head)


class LayerNorms:
    def norm(self, name, x):
        weight = self.tensors[name + ".weight"]
        return F.layer_norm(x, (len(weight),), weight, self.tensors[name + ".bias"], self.epsilon)


class Gpt2(LayerNorms):
    def __init__(self, config, tensors):
        self.config, self.tensors = config, tensors
        self.epsilon = config["layer_norm_epsilon"]

    def conv(self, name, x):
        """GPT-2's Conv1D keeps its weight as [in, out]."""
        return x @ self.tensors[name + ".weight"] + self.tensors[name + ".bias"]

    def layer(self, x, index):
        config, at, n = self.config, f"transformer.h.{index}.", len(x)
        heads, d = config["n_head"], config["n_embd"] // config["n_head"]
        q, k, v = (part.reshape(n, heads, d) for part in
                   self.conv(at + "attn.c_attn", self.norm(at + "ln_1", x)).chunk(3, -1))
        scale = d**-0.5 if config.get("scale_attn_weights", True) else 1.0
        if config.get("scale_attn_by_inverse_layer_idx"):
            scale /= index + 1
        y = attention(q, k, v, scale, causal_mask(n, None))
        x = x + self.conv(at + "attn.c_proj", y)
        act = ACTIVATIONS[config["activation_function"]]
        y = act(self.conv(at + "mlp.c_fc", self.norm(at + "ln_2", x)))
        return x + self.conv(at + "mlp.c_proj", y)

    def logits(self, ids):
        table = self.tensors["transformer.wte.weight"]
        x = table[ids] + self.tensors["transformer.wpe.weight"][: len(ids)]
        for index in range(self.config["n_layer"]):
            x = self.layer(x, index)
        return F.linear(self.norm("transformer.ln_f", x), table)


class Opt(LayerNorms):
    def __init__(self, config, tensors):
        self.config, self.tensors, self.epsilon = config, tensors, 1e-5

    def linear(self, name, x):
        name = "model.decoder." + name
        return F.linear(x, self.tensors[name + ".weight"], self.tensors.get(name + ".bias"))

    def layer(self, x, index):
        config, at, n = self.config, f"layers.{index}.", len(x)
        heads, before = config["num_attention_heads"], config["do_layer_norm_before"]
        d = config["hidden_size"] // heads
        norm = "model.decoder." + at
        y = self.norm(norm + "self_attn_layer_norm", x) if before else x
        q, k, v = (self.linear(f"{at}self_attn.{part}_proj", y).view(n, heads, d)
                   for part in "qkv")
        x = x + self.linear(at + "self_attn.out_proj",
                            attention(q, k, v, d**-0.5, causal_mask(n, None)))
        x = x if before else self.norm(norm + "self_attn_layer_norm", x)
        y = self.norm(norm + "final_layer_norm", x) if before else x
        y = ACTIVATIONS[config["activation_function"]](self.linear(at + "fc1", y))
        x = x + self.linear(at + "fc2", y)
        return x if before else self.norm(norm + "final_layer_norm", x)

    def logits(self, ids):
        config = self.config
        table = self.tensors["model.decoder.embed_tokens.weight"]
        x = table[ids]
        projects = config["word_embed_proj_dim"] != config["hidden_size"]
        if projects:
            x = self.linear("project_in", x)
        x = x + self.tensors["model.decoder.embed_positions.weight"][2 : 2 + len(ids)]
        for index in range(config["num_hidden_layers"]):
            x = self.layer(x, index)
        if config["do_layer_norm_before"]:
            x = self.norm("model.decoder.final_layer_norm", x)
        if projects:
            x = self.linear("project_out", x)
        return F.linear(x, table)


FAMILIES = {"llama": Llama, "mistral": Llama, "qwen2": Llama, "gpt2": Gpt2, "opt": Opt}
