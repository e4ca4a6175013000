# SPDX-License-Identifier: Apache-2.0
"""A LLaMA decoder, its parameters named as in Hugging Face checkpoints."""

from collections import namedtuple

import torch
import torch.nn.functional as F
from torch import nn

import fused
from model import MASKED_SCORE, Dropout

Shape = namedtuple("Shape", "vocabulary hidden layers heads kv_heads ffn positions theta epsilon")
SHAPE = Shape(8000, 256, 6, 8, 4, 768, 256, 10000.0, 1e-5)


class RmsNorm(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.hidden))
        self.epsilon = shape.epsilon

    def forward(self, x):
        return fused.RmsNorm.apply(x, self.weight, self.epsilon, fused.product_type())


def rotations(shape, positions):
    """cos and sin[head / 2, tokens of the batch] of the angles of rotary position embeddings."""
    half = shape.hidden // shape.heads // 2
    frequency = shape.theta ** -(torch.arange(half) / half)
    angle = frequency[:, None] * positions.flatten()
    return angle.cos().to(fused.product_type()), angle.sin().to(fused.product_type())


class Attention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        kv = shape.hidden * shape.kv_heads // shape.heads
        self.q_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.k_proj = nn.Linear(shape.hidden, kv, bias=False)
        self.v_proj = nn.Linear(shape.hidden, kv, bias=False)
        self.o_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)

    def forward(self, x, bias, cos, sin):
        """x[rows, tokens, hidden]; bias[rows, 1, group tokens, tokens] is added to the
        scores. Query heads that share keys, a group, are taken as more tokens of one head."""
        shape, (rows, tokens, hidden) = self.shape, x.shape
        weight = torch.cat([linear.weight for linear in (self.q_proj, self.k_proj, self.v_proj)])
        heads = (weight @ x.flatten(0, 1).t()).view(-1, hidden // shape.heads, rows * tokens)
        turned, value = heads.split([shape.heads + shape.kv_heads, shape.kv_heads])
        query, key = fused.Rotate.apply(turned, cos, sin).split([shape.heads, shape.kv_heads])
        query, key, value = (self._by_row(part, rows) for part in (query, key, value))
        scores = query.transpose(1, 2) @ key / (hidden // shape.heads) ** 0.5
        weights = torch.softmax(scores.view(rows, shape.kv_heads, -1, tokens) + bias, -1)
        context = weights.to(value.dtype).view(scores.shape) @ value.transpose(1, 2)
        context = context.view(rows, shape.heads, tokens, -1).transpose(1, 2)
        return self.o_proj(context.reshape(rows, tokens, hidden))

    def _by_row(self, part, rows):
        """[heads, head, all tokens] to [rows kv_heads, head, query heads that share it tokens]"""
        part = part.view(self.shape.kv_heads, -1, *part.shape[1:2], rows, part.shape[2] // rows)
        return part.permute(3, 0, 2, 1, 4).reshape(-1, part.shape[2], part.shape[1] * part.shape[4])


class Mlp(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.ffn, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.ffn, bias=False)
        self.down_proj = nn.Linear(shape.ffn, shape.hidden, bias=False)

    def forward(self, x):
        weight = torch.cat([self.gate_proj.weight, self.up_proj.weight])
        return self.down_proj(fused.SwiGlu.apply(F.linear(x, weight)))


class Layer(nn.Module):
    def __init__(self, shape, dropout):
        super().__init__()
        self.input_layernorm = RmsNorm(shape)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RmsNorm(shape)
        self.mlp = Mlp(shape)
        self.dropout = dropout

    def forward(self, x, bias, cos, sin):
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), bias, cos, sin))
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x)))


class Llama(nn.Module):
    def __init__(self, shape, dropout):
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape, dropout) for _ in range(shape.layers))
        self.norm = RmsNorm(shape)
        self.dropout = dropout

    def forward(self, batch):
        """The last hidden states, normed, [rows, tokens, hidden]."""
        same = batch.sequence[:, None, :, None] == batch.sequence[:, None, None, :]
        group = self.shape.heads // self.shape.kv_heads
        bias = torch.where(same.tril(), 0.0, MASKED_SCORE).repeat(1, 1, group, 1)
        cos, sin = rotations(self.shape, batch.position)
        x = self.dropout(self.embed_tokens(batch.ids))
        for layer in self.layers:
            x = layer(x, bias, cos, sin)
        return self.norm(x)


class Decoder(nn.Module):
    """LlamaForCausalLM with tied embeddings."""

    def __init__(self, shape=SHAPE, dropout=0.0):
        super().__init__()
        self.dropout = Dropout(dropout)
        self.model = Llama(shape, self.dropout)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                # What is added to the residual stream grows with the number of layers otherwise.
                is_last = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * shape.layers) ** (0.5 * is_last))

    def forward(self, batch, places):
        """(the last hidden states at these places of the flattened batch, the table of tokens):
        the logits are the products of their rows."""
        hidden = self.model(batch).flatten(0, 1)[places]
        return self.dropout(hidden), self.model.embed_tokens.weight


def logits(hidden, table):
    return F.linear(hidden, table)


def is_linear(name):
    """A matrix of a layer: what is pruned."""
    return name.endswith("_proj.weight")
