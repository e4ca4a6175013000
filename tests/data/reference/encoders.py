# SPDX-License-Identifier: Apache-2.0
"""BERT, RoBERTa and DistilBERT forward passes, one sequence at a time, written for reading.

After Devlin et al. 2019, Liu et al. 2019 and Sanh et al. 2019; tensors are named as in Hugging Face
checkpoints, configurations as in their config.json.  Arithmetic has the type of the tensors.
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
LAYER_NAMES["roberta"] = LAYER_NAMES["bert"]

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


class Encoder:
    """linear(x, weight, bias) is used for every linear layer, in heads too."""

    def __init__(self, config, tensors, linear=plain_linear):
        self.config = config
        self.tensors = tensors
        self.linear = linear
        self.family = config["model_type"]
        self.prefix = self.family + "."
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
        first = self.config["pad_token_id"] + 1 if self.family == "roberta" else 0
        positions = torch.arange(first, first + len(ids))
        x = self.tensors[table + "word_embeddings.weight"][ids]
        x = x + self.tensors[table + "position_embeddings.weight"][positions]
        if self.family != "distilbert":
            x = x + self.tensors[table + "token_type_embeddings.weight"][types]
        return self.norm(table + "LayerNorm", x)

    def attend(self, query, key, value):
        n, heads = len(query), self.size("num_attention_heads")
        query, key, value = (t.view(n, heads, -1).transpose(0, 1) for t in (query, key, value))
        scores = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])
        return (torch.softmax(scores, -1) @ value).transpose(0, 1).reshape(n, -1)

    def layer(self, index, x):
        names = LAYER_NAMES[self.family]
        at = self.prefix + names["layer"].format(index)

        def linear(part, x):
            return self.apply(at + names[part], x)

        attended = self.attend(linear("query", x), linear("key", x), linear("value", x))
        x = self.norm(at + names["attention_norm"], x + linear("attention_output", attended))
        inner = ACTIVATIONS[self.size("hidden_act")](linear("up", x))
        return self.norm(at + names["ffn_norm"], x + linear("down", inner))

    def hidden(self, ids, types):
        """The last hidden states, [tokens, hidden]."""
        x = self.embed(torch.tensor(ids), torch.tensor(types))
        for index in range(self.size("num_hidden_layers")):
            x = self.layer(index, x)
        return x

    # Heads: each takes the last hidden states.

    def pooler(self, hidden):
        return torch.tanh(self.apply(self.prefix + "pooler.dense", hidden[0]))

    def classify(self, hidden):
        """The logits of the sequence, [labels]."""
        if self.family == "bert":
            return self.apply("classifier", self.pooler(hidden))
        if self.family == "roberta":
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
        if self.family == "bert":
            x = activation(self.apply("cls.predictions.transform.dense", hidden))
            x = self.norm("cls.predictions.transform.LayerNorm", x)
            return self.linear(x, words, self.tensors["cls.predictions.bias"])
        x = self.norm("vocab_layer_norm", activation(self.apply("vocab_transform", hidden)))
        return self.linear(x, words, self.tensors["vocab_projector.bias"])
