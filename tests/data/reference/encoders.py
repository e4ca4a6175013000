# SPDX-License-Identifier: Apache-2.0
"""BERT, RoBERTa, Longformer, BigBird and DistilBERT forward passes, one sequence at a time, written
for reading.

After Devlin et al. 2019, Liu et al. 2019, Beltagy et al. 2020, Zaheer et al. 2020 and Sanh et al.
2019; tensors are named as in Hugging Face checkpoints, configurations as in their config.json.
Arithmetic has the type of the tensors.
"""

import math

import torch
import torch.nn.functional as F


def gelu_new(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS = {"gelu": F.gelu, "gelu_new": gelu_new, "relu": F.relu}

# Where each family keeps the parts of a layer, below its layer's name.
LAYER_NAMES = {
    "bert": {
        "layer": "encoder.layer.{}.",
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "attention_output": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "ffn_norm": "output.LayerNorm",
    },
    "distilbert": {
        "layer": "transformer.layer.{}.",
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "attention_output": "attention.out_lin",
        "attention_norm": "sa_layer_norm",
        "up": "ffn.lin1",
        "down": "ffn.lin2",
        "ffn_norm": "output_layer_norm",
    },
}
LAYER_NAMES["roberta"] = LAYER_NAMES["big_bird"] = LAYER_NAMES["bert"]
LAYER_NAMES["longformer"] = LAYER_NAMES["bert"] | {
    "global_query": "attention.self.query_global",
    "global_key": "attention.self.key_global",
    "global_value": "attention.self.value_global",
}

# Before names; the family's own otherwise.
PREFIXES = {"big_bird": "bert."}

# DistilBERT's own words for the sizes.
DISTILBERT_KEYS = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
    "hidden_act": "activation",
}


def plain_linear(x, weight, bias):
    return F.linear(x, weight, bias)


def int8_linear(x, weight, bias):
    """The same product with weights of one scale a row and activations of one scale a token, both
    symmetric in -127..127: what an int8 runtime that quantises dynamically computes."""
    weight_scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-30) / 127
    x_scale = x.abs().amax(-1, keepdim=True).clamp_min(1e-30) / 127
    products = F.linear(torch.round(x / x_scale), torch.round(weight / weight_scale))
    return products * x_scale * weight_scale.T + bias


def shown_by(term, n):
    """What one term of an attention rule shows: [queries, keys]."""
    query, key = torch.arange(n)[:, None], torch.arange(n)[None, :]
    block = term.get("block", 1)
    if term["kind"] == "window":
        apart = key // block - query // block
        return (-apart <= term["left"]) & (apart <= term["right"])
    if term["kind"] == "global":
        chosen = torch.arange(n) // block
        chosen = (chosen < term.get("first", 0)) | (chosen > (n - 1) // block - term.get("last", 0))
        return chosen[:, None] | chosen[None, :]
    rows = torch.tensor([[digit == "1" for digit in row] for row in term["mask"]])
    return rows[query // block, key // block]


class Encoder:
    """linear(x, weight, bias) is used for every linear layer, in heads too."""

    def __init__(self, config, tensors, linear=plain_linear):
        self.config = config
        self.tensors = tensors
        self.linear = linear
        self.family = config["model_type"]
        self.prefix = PREFIXES.get(self.family, self.family + ".")
        if not any(name.startswith(self.prefix) for name in tensors):
            self.prefix = ""

    def size(self, key):
        return self.config[DISTILBERT_KEYS[key] if self.family == "distilbert" else key]

    def apply(self, name, x):
        return self.linear(x, self.tensors[name + ".weight"], self.tensors[name + ".bias"])

    def norm(self, name, x):
        epsilon = self.config.get("layer_norm_eps", 1e-12)
        mean = x.mean(-1, keepdim=True)
        variance = ((x - mean) ** 2).mean(-1, keepdim=True)
        gamma, beta = self.tensors[name + ".weight"], self.tensors[name + ".bias"]
        return (x - mean) / torch.sqrt(variance + epsilon) * gamma + beta

    def embed(self, ids, types):
        table = self.prefix + "embeddings."
        is_roberta = self.family in ("roberta", "longformer")
        first = self.config["pad_token_id"] + 1 if is_roberta else 0
        positions = torch.arange(first, first + len(ids))
        x = self.tensors[table + "word_embeddings.weight"][ids]
        x = x + self.tensors[table + "position_embeddings.weight"][positions]
        if self.family != "distilbert":
            x = x + self.tensors[table + "token_type_embeddings.weight"][types]
        return self.norm(table + "LayerNorm", x)

    def shown(self, layer, n, n_global):
        """How often keys count: [heads, queries, keys]; a Longformer's rows of global tokens are
        replaced later."""
        heads, plan = self.size("num_attention_heads"), self.config.get("lacuna_attention")
        if self.family == "longformer":
            reach = self.config["attention_window"][layer] // 2
            near = shown_by({"kind": "window", "left": reach, "right": reach}, n)
            return (near | (torch.arange(n) < n_global)).expand(heads, n, n)
        if self.family == "big_bird":
            return self.shown_in_blocks(n).expand(heads, n, n)
        if not plan:
            return torch.ones(heads, n, n, dtype=torch.bool)
        names = plan["layers"][layer] if isinstance(plan["layers"], list) else plan["layers"]
        names = names if isinstance(names, list) else [names] * heads
        rules = plan["rules"] | {"usual": [{"kind": "window", "left": n, "right": n}]}
        shown = [sum(shown_by(term, n).int() for term in rules[name]) > 0 for name in names]
        return torch.stack(shown)

    def shown_in_blocks(self, n):
        """BigBird's: the first block stands for the random ones, once more each."""
        block, n_random = self.config["block_size"], self.config["num_random_blocks"]
        if self.config["attention_type"] == "original_full" or n <= (5 + 2 * n_random) * block:
            return torch.ones(n, n)
        of, last = torch.arange(n) // block, (n - 1) // block
        near = (of[:, None] - of[None, :]).abs() <= 1
        is_global = (of == 0) | (of == last)
        shown = (near | is_global[:, None] | is_global[None, :]).float()
        shown[~is_global, :block] += n_random
        return shown

    def attend(self, query, key, value, shown):
        """What sees nothing gives zeros."""
        n, heads = len(query), self.size("num_attention_heads")
        query, key, value = (t.view(len(t), heads, -1).transpose(0, 1) for t in (query, key, value))
        scores = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])
        scores = scores + shown.to(scores.dtype).log()
        weights = torch.softmax(scores, -1).nan_to_num()
        return (weights @ value).transpose(0, 1).reshape(n, -1)

    def layer(self, index, x):
        names = LAYER_NAMES[self.family]
        at = self.prefix + names["layer"].format(index)

        def linear(part, x):
            return self.apply(at + names[part], x)

        n_global = self.n_global
        attended = self.attend(linear("query", x), linear("key", x), linear("value", x),
                               self.shown(index, len(x), n_global))
        if n_global:
            everything = torch.ones(1, n_global, len(x), dtype=torch.bool)
            attended[:n_global] = self.attend(linear("global_query", x[:n_global]),
                                              linear("global_key", x),
                                              linear("global_value", x), everything)
        x = self.norm(at + names["attention_norm"], x + linear("attention_output", attended))
        inner = ACTIVATIONS[self.size("hidden_act")](linear("up", x))
        return self.norm(at + names["ffn_norm"], x + linear("down", inner))

    def hidden(self, ids, types, head=None):
        """The last hidden states, [tokens, hidden]; a Longformer's depend on the head."""
        self.n_global = 0
        if self.family == "longformer" and head == "classify":
            self.n_global = 1
        if self.family == "longformer" and head == "answer":
            self.n_global = (ids + [self.config["sep_token_id"]]).index(self.config["sep_token_id"])
        x = self.embed(torch.tensor(ids), torch.tensor(types))
        for index in range(self.size("num_hidden_layers")):
            x = self.layer(index, x)
        return x

    # Heads: each takes the last hidden states.

    def pooler(self, hidden):
        name = "pooler" if self.family == "big_bird" else "pooler.dense"
        return torch.tanh(self.apply(self.prefix + name, hidden[0]))

    def classify(self, hidden):
        """The logits of the sequence, [labels]."""
        if self.family == "bert":
            return self.apply("classifier", self.pooler(hidden))
        if self.family == "big_bird":
            dense = ACTIVATIONS[self.size("hidden_act")](self.apply("classifier.dense", hidden[0]))
            return self.apply("classifier.out_proj", dense)
        if self.family in ("roberta", "longformer"):
            dense = torch.tanh(self.apply("classifier.dense", hidden[0]))
            return self.apply("classifier.out_proj", dense)
        return self.apply("classifier", F.relu(self.apply("pre_classifier", hidden[0])))

    def tag(self, hidden):
        """[tokens, labels]"""
        return self.apply("classifier", hidden)

    def answer(self, hidden):
        """[2, tokens]: logits of the first and of the last token of the answer."""
        return self.apply("qa_outputs", hidden).T

    def fill(self, hidden):
        """[tokens, vocabulary], the table of words used once more."""
        words = self.tensors[self.prefix + "embeddings.word_embeddings.weight"]
        if self.family == "roberta":
            x = self.norm("lm_head.layer_norm", F.gelu(self.apply("lm_head.dense", hidden)))
            return self.linear(x, words, self.tensors["lm_head.bias"])
        activation = ACTIVATIONS[self.size("hidden_act")]
        if self.family in ("bert", "big_bird"):
            x = activation(self.apply("cls.predictions.transform.dense", hidden))
            x = self.norm("cls.predictions.transform.LayerNorm", x)
            return self.linear(x, words, self.tensors["cls.predictions.bias"])
        x = self.norm("vocab_layer_norm", activation(self.apply("vocab_transform", hidden)))
        return self.linear(x, words, self.tensors["vocab_projector.bias"])
