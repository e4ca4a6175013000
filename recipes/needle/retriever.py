# SPDX-License-Identifier: Apache-2.0
"""A LLaMA decoder of two layers that finds what it has read, its parameters named as in Hugging
Face checkpoints."""

from collections import namedtuple

import torch
import torch.nn.functional as F
from torch import nn

import words

# The rotary base is so large that half of a head's features hardly turn within 32,768 positions:
# what is looked up must be found at any distance.
Shape = namedtuple("Shape", "vocabulary hidden layers heads head ffn positions theta epsilon")
SHAPE = Shape(len(words.VOCABULARY), 128, 2, 4, 64, 128, 32768, 1e12, 1e-5)
MASKED = -1e9
# Heads of the first layer that look one and two tokens back, and the one of the last that looks up
# what came next.
LOOKING_BACK = 2
RETRIEVING = 0
# At the beginning: feature 0 all tokens have in common, CODE names and numbers are told apart by;
# how many of these are looked up, of a token and of the one before it.
CODE, MATCHED = range(1, 39), (24, 14)
# Sizes: of features, and of the one in common; the weights of rotary pairs that tell neighbours
# apart, up to NEAR_PAIRS, and of slower ones that tell them from what is far; the weight of what is
# looked up, and of what was found.
EMBEDDING, CONSTANT = 0.1, 0.5
NEAR_WEIGHT, NEAR_PAIRS, FAR_WEIGHT, FAR_PAIRS = 3.0, 4, 1.5, 12
MATCH, FOUND = 3.0, 0.5


class RmsNorm(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.hidden))
        self.epsilon = shape.epsilon

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weight


def rotations(shape, positions):
    """cos and sin[rows, 1, tokens, head / 2]"""
    half = shape.head // 2
    frequency = shape.theta ** -(torch.arange(half, dtype=torch.float64) / half)
    angle = positions[:, None, :, None] * frequency
    return angle.cos().float(), angle.sin().float()


def rotate(x, cos, sin):
    low, high = x.chunk(2, -1)
    return torch.cat([low * cos - high * sin, high * cos + low * sin], -1)


class Attention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape, inner = shape, shape.heads * shape.head
        self.q_proj = nn.Linear(shape.hidden, inner, bias=False)
        self.k_proj = nn.Linear(shape.hidden, inner, bias=False)
        self.v_proj = nn.Linear(shape.hidden, inner, bias=False)
        self.o_proj = nn.Linear(inner, shape.hidden, bias=False)

    def forward(self, x, bias, cos, sin):
        """(what is added to x, the weights[rows, heads, queries, keys])"""
        rows, tokens, _ = x.shape
        query, key, value = (
            linear(x).view(rows, tokens, self.shape.heads, -1).transpose(1, 2)
            for linear in (self.q_proj, self.k_proj, self.v_proj))
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        scores = query @ key.transpose(2, 3) * self.shape.head ** -0.5 + bias
        weights = torch.softmax(scores, -1)
        context = (weights @ value).transpose(1, 2).reshape(rows, tokens, -1)
        return self.o_proj(context), weights


class Mlp(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.ffn, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.ffn, bias=False)
        self.down_proj = nn.Linear(shape.ffn, shape.hidden, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.input_layernorm = RmsNorm(shape)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RmsNorm(shape)
        self.mlp = Mlp(shape)


class Llama(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = RmsNorm(shape)

    def forward(self, ids, positions, bias):
        """The last hidden states, normed, and each layer's weights of attention."""
        cos, sin = rotations(self.shape, positions)
        x, seen = self.embed_tokens(ids), []
        for layer in self.layers:
            added, weights = layer.self_attn(layer.input_layernorm(x), bias, cos, sin)
            x = x + added
            x = x + layer.mlp(layer.post_attention_layernorm(x))
            seen.append(weights)
        return self.norm(x), seen


class Retriever(nn.Module):
    """LlamaForCausalLM with tied embeddings."""

    def __init__(self, shape=SHAPE):
        super().__init__()
        self.model = Llama(shape)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                # What is added to the residual stream begins small beside the tokens themselves.
                is_last = name.endswith(("o_proj.weight", "down_proj.weight"))
                std = EMBEDDING if "embed" in name else 0.5 * parameter.shape[1] ** -0.5
                nn.init.normal_(parameter, std=std * (0.1 if is_last else 1))
        self._begin_as_circuit()

    @torch.no_grad()
    def _begin_as_circuit(self):
        """Heads that look back and one that looks up begin as what they are to become (Olsson and
        others, "In-context learning and induction heads", 2022): left alone, so small a model
        finds that out in many thousands of steps."""
        first, last = (layer.self_attn for layer in self.model.layers)
        table, code = self.model.embed_tokens.weight, torch.arange(CODE.start, CODE.stop)
        here, before = code[:MATCHED[0]], code[MATCHED[0]:]
        one_before = torch.arange(CODE.stop, CODE.stop + len(code))
        two_before = torch.arange(CODE.stop + len(code), CODE.stop + len(code) + len(before))
        # All tokens are equally long, so that what they have in common is that to the norm too.
        # Idle words have nothing that is looked up.
        is_idle = torch.zeros(len(table), 1)
        is_idle[words.IDLE] = 1
        table[:, : two_before[-1] + 1] *= 0
        table[:, code] = torch.randn(len(table), len(code))
        for part in (here, before): # equally long as well
            table[:, part] /= table[:, part].norm(dim=1, keepdim=True) / len(part) ** 0.5
        table[:, code] *= 1 - is_idle
        table[:, two_before[-1] + 1 :] *= is_idle
        table *= EMBEDDING * table.shape[1] ** 0.5 / table.norm(dim=1, keepdim=True)
        table[:, 0] = CONSTANT
        self._look_back(first, 1, code, one_before)
        self._look_back(first, 2, before, two_before)
        # The token here is looked for among those one before, and the one before it among those
        # two before.
        self._look_up(last, torch.cat([here, one_before[len(here):]]),
                      torch.cat([one_before[: len(here)], two_before]), code)

    def _look_back(self, attention, back, features, to):
        """Adds those features of the token so far before to others of the token here."""
        shape = self.model.shape
        half, start = shape.head // 2, (back - 1) * shape.head
        rows = slice(start, start + shape.head)
        turned = back * shape.theta ** -(torch.arange(half, dtype=torch.float64) / half)
        near = NEAR_WEIGHT * (torch.arange(half) < NEAR_PAIRS) * 1.0
        near[NEAR_PAIRS : FAR_PAIRS] = FAR_WEIGHT
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj):
            linear.weight[rows] = 0
        attention.o_proj.weight[:, rows] = 0
        # All tokens ask and answer alike: pairs that turn fast tell them apart by place.
        attention.q_proj.weight[rows, 0] = torch.cat([near * turned.cos(),
                                                      -near * turned.sin()]).float()
        attention.k_proj.weight[rows, 0] = torch.cat([near, 0 * near]).float()
        inner = start + torch.arange(len(features))
        attention.v_proj.weight[inner, features] = 1
        attention.o_proj.weight[to, inner] = EMBEDDING

    def _look_up(self, attention, asked, kept, found):
        """Where features `kept` of a token are what is asked for here, its features `found` are
        taken: compared in what hardly turns, the last of both halves of a head."""
        shape = self.model.shape
        half, start = shape.head // 2, RETRIEVING * shape.head
        rows = slice(start, start + shape.head)
        still = torch.cat([torch.arange(half - len(asked) // 2, half) + start + more
                           for more in (0, half)])
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj):
            linear.weight[rows] = 0
        attention.o_proj.weight[:, rows] = 0
        attention.q_proj.weight[still, asked] = MATCH
        attention.k_proj.weight[still, kept] = MATCH
        inner = start + torch.arange(len(found))
        attention.v_proj.weight[inner, found] = 1
        attention.o_proj.weight[found, inner] = FOUND

    def forward(self, ids, positions, bias):
        """(logits[rows, tokens, words], each layer's weights of attention)"""
        hidden, seen = self.model(ids, positions, bias)
        return F.linear(hidden, self.model.embed_tokens.weight), seen
