# SPDX-License-Identifier: Apache-2.0
"""Muon: the steps of matrices have singular values that are about equal, others are AdamW's."""

import torch
import torch.distributed

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


def share_out(matrices, function):
    """function(matrix) for each; of several workers, each computes some."""
    if not torch.distributed.is_initialized():
        return [function(matrix) for matrix in matrices]
    rank, n_workers = torch.distributed.get_rank(), torch.distributed.get_world_size()
    made = [function(matrix) if index % n_workers == rank else torch.zeros_like(matrix)
            for index, matrix in enumerate(matrices)]
    together = torch.cat([matrix.half().flatten() for matrix in made])
    torch.distributed.all_reduce(together)
    parts = together.split([matrix.numel() for matrix in matrices])
    return [part.view_as(matrix) for part, matrix in zip(parts, matrices)]


class Muon(torch.optim.AdamW):
    """`matrices` are the parameters whose steps are made orthogonal; all are in `groups`. Their
    mean squared gradients are kept as AdamW keeps those of the others, for pruning."""

    def __init__(self, groups, matrices, **adam):
        super().__init__(groups, **adam)
        self.matrices = matrices

    @torch.no_grad()
    def step(self):
        """Takes the matrices' gradients away: AdamW leaves out parameters that have none."""
        steps = share_out([self._momentum(matrix) for matrix in self.matrices], orthogonal)
        step_of = dict(zip(self.matrices, steps))
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter in step_of:
                    size = ADAM_SIZE * max(parameter.shape) ** 0.5
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(step_of[parameter], alpha=-group["lr"] * size)
                    parameter.grad = None
        super().step()

    def _momentum(self, parameter):
        """Nesterov's: of the gradients up to the next step, as far as they are known."""
        gradient, state = parameter.grad, self.state[parameter]
        if not state:
            # AdamW looks for the number of steps when a state is loaded.
            state["step"] = torch.tensor(0.0)
            state["momentum"] = torch.zeros_like(gradient)
            state["exp_avg_sq"] = torch.zeros_like(gradient)
        state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        state["exp_avg_sq"].lerp_(gradient * gradient, 1 - self.defaults["betas"][1])
        return gradient.lerp(state["momentum"], MOMENTUM)
