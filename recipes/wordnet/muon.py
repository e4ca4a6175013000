# SPDX-License-Identifier: Apache-2.0
"""Muon: the steps of matrices have singular values that are about equal, others are AdamW's."""

import torch

# Of Newton and Schulz' iteration in degree five, chosen so that small singular values grow fast;
# after ITERATIONS they lie between 0.7 and 1.2 (K. Jordan and others, "Muon", 2024).
COEFFICIENTS = 3.4445, -4.7750, 2.0315
ITERATIONS = 5
MOMENTUM = 0.95
# Such a step's elements are as large as AdamW's tend to be, so that one rate serves both
# (J. Liu and others, "Muon is scalable for LLM training", 2025).
ADAM_SIZE = 0.2


def orthogonal(matrix):
    a, b, c = COEFFICIENTS
    x = matrix.bfloat16() / (matrix.norm() + 1e-7)
    x = x.t() if len(matrix) > len(matrix.t()) else x
    for _ in range(ITERATIONS):
        square = x @ x.t()
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.t() if len(matrix) > len(matrix.t()) else x


class Muon(torch.optim.AdamW):
    """`matrices` are the parameters whose steps are made orthogonal; all are in `groups`."""

    def __init__(self, groups, matrices, **adam):
        super().__init__(groups, **adam)
        self.matrices = set(matrices)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in self.matrices.intersection(group["params"]):
                self._step_matrix(parameter, group["lr"], group["weight_decay"])
        super().step()

    def _step_matrix(self, parameter, rate, decay):
        """Takes the gradient away: AdamW leaves out parameters that have none."""
        gradient, parameter.grad = parameter.grad, None
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        step = orthogonal(gradient.lerp(momentum, MOMENTUM))
        size = ADAM_SIZE * max(parameter.shape) ** 0.5
        parameter.mul_(1 - rate * decay).add_(step, alpha=-rate * size)
