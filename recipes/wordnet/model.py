# SPDX-License-Identifier: Apache-2.0
"""BERT for sequence classification, its parameters named as in Hugging Face checkpoints."""

from collections import namedtuple

import torch
import torch.nn.functional as F
from torch import nn

Shape = namedtuple("Shape", "vocabulary hidden layers heads ffn positions types classes epsilon")
SHAPE = Shape(8000, 256, 4, 4, 1024, 128, 2, 45, 1e-12)

MASKED_SCORE = -1e4


class Dropout(nn.Module):
    """Dropout that cuts its masks out of one pool of random numbers: drawing them anew costs more
    than the products they are for."""

    POOL = 1 << 24

    def __init__(self, rate):
        super().__init__()
        self.rate = rate
        self.pools = {}

    def _pool(self, dtype):
        if dtype not in self.pools:
            keep = torch.rand(self.POOL) >= self.rate
            self.pools[dtype] = (keep / (1 - self.rate)).to(dtype)
        return self.pools[dtype]

    def forward(self, x):
        if not self.training or self.rate == 0:
            return x
        start = 64 * int(torch.randint((self.POOL - x.numel()) // 64, ()))
        return x * self._pool(x.dtype)[start : start + x.numel()].view(x.shape)


class LayerNorm(nn.LayerNorm):
    def __init__(self, shape):
        super().__init__(shape.hidden, eps=shape.epsilon)

    def forward(self, x):
        return super().forward(x.float())


class Embeddings(nn.Module):
    def __init__(self, shape, dropout):
        super().__init__()
        self.word_embeddings = nn.Embedding(shape.vocabulary, shape.hidden)
        self.position_embeddings = nn.Embedding(shape.positions, shape.hidden)
        self.token_type_embeddings = nn.Embedding(shape.types, shape.hidden)
        self.LayerNorm = LayerNorm(shape)
        self.dropout = dropout

    def forward(self, ids, positions):
        x = self.word_embeddings(ids) + self.position_embeddings(positions)
        return self.dropout(self.LayerNorm(x + self.token_type_embeddings.weight[0]))


class SelfAttention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.heads = shape.heads
        self.query = nn.Linear(shape.hidden, shape.hidden)
        self.key = nn.Linear(shape.hidden, shape.hidden)
        self.value = nn.Linear(shape.hidden, shape.hidden)

    def forward(self, x, bias):
        """x[rows, tokens, hidden]; bias[rows, 1, tokens, tokens] is added to the scores."""
        rows, tokens, hidden = x.shape
        projections = (self.query, self.key, self.value)
        weight = torch.cat([linear.weight for linear in projections])
        offset = torch.cat([linear.bias for linear in projections])
        by_head = F.linear(x, weight, offset).view(rows, tokens, 3 * self.heads, -1).transpose(1, 2)
        query, key, value = by_head.split(self.heads, dim=1)
        scores = query @ key.transpose(2, 3) / (hidden // self.heads) ** 0.5
        context = torch.softmax(scores + bias, -1).to(value.dtype) @ value
        return context.transpose(1, 2).reshape(rows, tokens, hidden)


class AddAndNorm(nn.Module):
    """A linear layer, dropout, the residual and the layer norm: how both halves of a layer end."""

    def __init__(self, inputs, shape, dropout):
        super().__init__()
        self.dense = nn.Linear(inputs, shape.hidden)
        self.LayerNorm = LayerNorm(shape)
        self.dropout = dropout

    def forward(self, x, residual):
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class Attention(nn.Module):
    def __init__(self, shape, dropout):
        super().__init__()
        self.self = SelfAttention(shape)
        self.output = AddAndNorm(shape.hidden, shape, dropout)

    def forward(self, x, bias):
        return self.output(self.self(x, bias), x)


class Intermediate(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.dense = nn.Linear(shape.hidden, shape.ffn)

    def forward(self, x):
        return F.gelu(self.dense(x))


class Layer(nn.Module):
    def __init__(self, shape, dropout):
        super().__init__()
        self.attention = Attention(shape, dropout)
        self.intermediate = Intermediate(shape)
        self.output = AddAndNorm(shape.ffn, shape, dropout)

    def forward(self, x, bias):
        x = self.attention(x, bias)
        return self.output(self.intermediate(x), x)


class Encoder(nn.Module):
    def __init__(self, shape, dropout):
        super().__init__()
        self.layer = nn.ModuleList(Layer(shape, dropout) for _ in range(shape.layers))

    def forward(self, x, bias):
        for layer in self.layer:
            x = layer(x, bias)
        return x


class Pooler(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.dense = nn.Linear(shape.hidden, shape.hidden)

    def forward(self, x):
        return torch.tanh(self.dense(x))


class Bert(nn.Module):
    def __init__(self, shape, dropout):
        super().__init__()
        self.embeddings = Embeddings(shape, dropout)
        self.encoder = Encoder(shape, dropout)
        self.pooler = Pooler(shape)

    def forward(self, batch):
        """The last hidden states, [tokens of the whole batch, hidden]."""
        same = batch.sequence[:, None, :, None] == batch.sequence[:, None, None, :]
        bias = torch.where(same, 0.0, MASKED_SCORE)
        x = self.encoder(self.embeddings(batch.ids, batch.position), bias)
        return x.reshape(-1, x.shape[-1])


class Classifier(nn.Module):
    """BertForSequenceClassification; also the means over the tokens of each sequence."""

    def __init__(self, shape=SHAPE, dropout=0.0):
        super().__init__()
        self.dropout = Dropout(dropout)
        self.bert = Bert(shape, self.dropout)
        self.classifier = nn.Linear(shape.hidden, shape.classes)
        self.apply(initialize)

    def forward(self, batch):
        """(hidden[tokens, hidden], logits[sequences, classes])"""
        hidden = self.bert(batch)
        pooled = self.bert.pooler(hidden[batch.first])
        return hidden, self.classifier(self.dropout(pooled))


class MaskedWords(nn.Module):
    """The head that guesses masked words while training; it is not part of the exported model."""

    def __init__(self, embeddings, shape=SHAPE):
        super().__init__()
        self.dense = nn.Linear(shape.hidden, shape.hidden)
        self.LayerNorm = LayerNorm(shape)
        self.bias = nn.Parameter(torch.zeros(shape.vocabulary))
        self.apply(initialize)
        self.table = [embeddings.word_embeddings]

    def forward(self, hidden):
        return F.linear(self.LayerNorm(F.gelu(self.dense(hidden))), self.table[0].weight, self.bias)


def initialize(module):
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def means(hidden, batch):
    """The mean of the hidden states of each sequence, [sequences, hidden]."""
    of_sequence = batch.sequence.reshape(1, -1) == torch.arange(1, len(batch.first) + 1)[:, None]
    of_sequence = of_sequence.to(hidden.dtype)
    return (of_sequence @ hidden) / of_sequence.sum(1, keepdim=True)
