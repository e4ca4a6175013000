# SPDX-License-Identifier: Apache-2.0
"""What all trainings share: the steps, their schedule, checkpoints."""

import math
import random
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed
import torch.multiprocessing

import wordnet

N_TOKENS = 4096
LONGEST_GRADIENT = 1.0
BETAS = 0.9, 0.98
STEPS_PER_CHECKPOINT = 100
STEPS_PER_REPORT = 50


def add_arguments(parser, out, steps, rate, workers):
    parser.add_argument("--wordnet", default=wordnet.DEFAULT_DIR, help="folder of the data files")
    parser.add_argument("--out", type=Path, default=Path(out), help="work folder")
    parser.add_argument("--steps", type=int, default=steps, help="steps of 4,096 tokens")
    parser.add_argument("--rate", type=float, default=rate, help="highest learning rate")
    parser.add_argument("--workers", type=int, default=workers,
                        help="processes, each of which has a part of every batch")
    parser.add_argument("--threads", type=int, default=2 // workers, help="of each process")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16",
                        help="of the products; bf16 pays where the processor has AMX")


def in_workers(work, arguments):
    """Runs work(arguments) in as many processes as are asked for. They begin alike, and learn the
    mean of what they find."""
    if arguments.workers == 1:
        work(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{folder}/meeting"
        torch.multiprocessing.spawn(join, (work, arguments, meeting), arguments.workers)


def join(rank, work, arguments, meeting):
    torch.distributed.init_process_group("gloo", meeting, rank=rank, world_size=arguments.workers)
    work(arguments)


def rank():
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def average_gradients(parameters):
    together = torch.cat([parameter.grad.flatten() for parameter in parameters])
    torch.distributed.all_reduce(together)
    together /= torch.distributed.get_world_size()
    for parameter, part in zip(parameters, together.split([p.numel() for p in parameters])):
        parameter.grad.copy_(part.view_as(parameter))


def groups_of(parameters, decay):
    """Only tables and matrices decay."""
    parameters = list(parameters)
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
    ]


def adamw(modules, decay):
    return torch.optim.AdamW(groups_of(modules.parameters(), decay), betas=BETAS)


class Trainer:
    """Runs the steps. `modules` is what is trained and saved; the losses `losses_of(taken, batch)`
    are minimised; `after_step(step)` runs after each step. A checkpoint in the work folder is taken
    up where it ended."""

    def __init__(self, name, modules, losses_of, arguments, optimizer, after_step=None,
                 warm_up=0.06):
        self.path = arguments.out / (name + ".checkpoint")
        self.modules = modules
        self.losses_of = losses_of
        self.after_step = after_step or (lambda step: None)
        self.arguments = arguments
        self.warm_up = warm_up
        self.parameters = list(modules.parameters())
        self.optimizer = optimizer
        self.step = 0
        self._resume()

    def _resume(self):
        if self.path.exists():
            saved = torch.load(self.path)
            self.modules.load_state_dict(saved["modules"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step = saved["step"]

    def _save(self):
        saved = {"modules": self.modules.state_dict(), "optimizer": self.optimizer.state_dict(),
                 "step": self.step}
        unfinished = self.path.with_suffix(".unfinished")
        torch.save(saved, unfinished)
        unfinished.replace(self.path)

    def _set_rate(self):
        """Linear warm-up, then a cosine to zero."""
        done = self.step / self.arguments.steps
        cosine = 0.5 + 0.5 * math.cos(math.pi * (done - self.warm_up) / (1 - self.warm_up))
        for group in self.optimizer.param_groups:
            group["lr"] = self.arguments.rate * min(done / self.warm_up, cosine)

    def _update(self, taken, batch):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.arguments.precision == "bf16"):
            losses = self.losses_of(taken, batch)
        self.optimizer.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        if self.arguments.workers > 1:
            average_gradients(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, LONGEST_GRADIENT)
        self._set_rate()
        self.optimizer.step()
        return {name: float(loss) for name, loss in losses.items()}

    def run(self, stream, judgement):
        """`stream` yields (taken, batch); `judgement()` says how good the model has become."""
        seed = self.step * self.arguments.workers + rank()
        random.seed(seed)
        torch.manual_seed(seed)
        self.modules.train()
        started, first, report = time.monotonic(), self.step, Report()
        while self.step < self.arguments.steps:
            report.add(self._update(*next(stream)))
            self.step += 1
            self.after_step(self.step)
            if rank() > 0:
                continue
            if self.step % STEPS_PER_REPORT == 0:
                seconds = (time.monotonic() - started) / (self.step - first)
                print(f"step {self.step} {1e3 * seconds:.0f} ms/step {report.take()}", flush=True)
            if self.step % STEPS_PER_CHECKPOINT == 0 or self.step == self.arguments.steps:
                self._save()
                print(f"step {self.step} {judgement()}", flush=True)


class Report:
    """Means of the losses since they were last taken."""

    def __init__(self):
        self.sums = {}

    def add(self, losses):
        for name, loss in losses.items():
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total + loss, count + 1)

    def take(self):
        text = " ".join(f"{name} {total / count:.3f}" for name, (total, count) in self.sums.items())
        self.sums = {}
        return text
