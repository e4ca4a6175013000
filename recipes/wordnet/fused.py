# SPDX-License-Identifier: Apache-2.0
"""Steps of the decoder with derivatives by hand: what autograd makes of the same formulas passes
over memory several times as often, and most of a training step was spent on that."""

import torch
from torch.autograd import Function

# Rows of a matrix taken at a time, so that what is computed of them stays in the cache.
ROWS = 512
LOSS_ROWS = 512


def product_type():
    """Autocast leaves these functions alone."""
    return torch.bfloat16 if torch.is_autocast_cpu_enabled() else torch.float32


def parts_of(*tensors):
    """Tuples of as many rows of each as stay in the cache together."""
    return zip(*(tensor.flatten(0, -2).split(ROWS) for tensor in tensors))


class RmsNorm(Function):
    """weight * x / rms(x), in the type of the products that follow."""

    @staticmethod
    def forward(ctx, x, weight, epsilon, dtype):
        scale = torch.empty(x.shape[:-1] + (1,), dtype=x.dtype)
        result = torch.empty(x.shape, dtype=dtype)
        for part, of_scale, out in parts_of(x, scale, result):
            of_scale.copy_(torch.rsqrt((part * part).mean(-1, keepdim=True) + epsilon))
            out.copy_((part * of_scale).mul_(weight))
        ctx.save_for_backward(x, weight, scale)
        return result

    @staticmethod
    def backward(ctx, slope):
        x, weight, scale = ctx.saved_tensors
        of_x, of_weight = torch.empty_like(x), torch.zeros_like(weight)
        for part, of_scale, d, out in parts_of(x, scale, slope.contiguous(), of_x):
            normed, d = part * of_scale, d.to(x.dtype)
            product = d * normed
            of_weight += product.sum(0)
            share = product.mul_(weight).mean(-1, keepdim=True)
            torch.mul(d * weight - normed * share, of_scale, out=out)
        return of_x, of_weight, None, None


class SwiGlu(Function):
    """silu(gate) * up, of both side by side: x[..., gate up]"""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        result = torch.empty(x.shape[:-1] + (x.shape[-1] // 2,), dtype=x.dtype)
        for part, out in parts_of(x, result):
            gate, up = part.chunk(2, -1)
            torch.mul(torch.sigmoid(gate).mul_(gate), up, out=out)
        return result

    @staticmethod
    def backward(ctx, slope):
        """silu'(g) = s + g s (1 - s), s = sigmoid(g)"""
        (x,) = ctx.saved_tensors
        result = torch.empty_like(x)
        for part, d, out in parts_of(x, slope.contiguous(), result):
            (gate, up), (of_gate, of_up) = part.chunk(2, -1), out.chunk(2, -1)
            s = torch.sigmoid(gate)
            silu = s * gate
            torch.mul(d, silu, out=of_up)
            torch.mul(torch.addcmul(s, silu, 1 - s).mul_(up), d, out=of_gate)
        return result


class Rotate(Function):
    """Of x[heads, head, tokens], each head's first half and second are the coordinates of points
    that rotate."""

    @staticmethod
    def forward(ctx, x, cos, sin):
        ctx.save_for_backward(cos, sin)
        return turned(x, cos, sin)

    @staticmethod
    def backward(ctx, slope):
        cos, sin = ctx.saved_tensors
        return turned(slope, cos, -sin), None, None


def turned(x, cos, sin):
    result = torch.empty(x.shape, dtype=x.dtype)
    (first, second), (out_first, out_second) = x.chunk(2, 1), result.chunk(2, 1)
    torch.mul(first, cos, out=out_first).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=out_second).addcmul_(first, sin)
    return result


def probabilities(hidden, table):
    return torch.softmax(hidden @ table.t(), -1)


class TokenLoss(Function):
    """The cross-entropy of the next tokens, a mean over hidden[tokens, width]. With a teacher,
    given as (hidden states, table), its derivative is that of a mixture: `truth` times this and
    1 - `truth` times the Kullback-Leibler divergence from what the teacher says. Probabilities
    are rounded as products are."""

    @staticmethod
    def forward(ctx, hidden, table, targets, dtype, teacher, truth):
        narrow, table_narrow = hidden.to(dtype), table.to(dtype)
        of_hidden, of_table, loss = torch.empty_like(narrow), torch.zeros_like(table), 0.0
        for rows in torch.arange(len(hidden)).split(LOSS_ROWS):
            rows = slice(rows[0], rows[-1] + 1)
            slope, target = probabilities(narrow[rows], table_narrow), targets[rows, None]
            loss -= slope.gather(1, target).float().log().sum()
            if teacher:
                taught = probabilities(teacher[0][rows].to(dtype), teacher[1].to(dtype))
                slope.sub_(taught, alpha=1 - truth)
            slope.scatter_add_(1, target, slope.new_full(target.shape, -truth))
            torch.mm(slope, table_narrow, out=of_hidden[rows])
            of_table += slope.t() @ narrow[rows]
        ctx.save_for_backward(of_hidden.to(hidden.dtype), of_table)
        return loss / len(hidden)

    @staticmethod
    def backward(ctx, slope):
        share = slope / len(ctx.saved_tensors[0])
        of_hidden, of_table = ctx.saved_tensors
        return of_hidden * share, of_table * share, None, None, None, None


def token_loss(hidden, table, targets, teacher=None, truth=1.0):
    return TokenLoss.apply(hidden, table, targets, product_type(), teacher, truth)
