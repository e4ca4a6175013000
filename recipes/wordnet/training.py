# SPDX-License-Identifier: Apache-2.0
"""What both trainings share: the examples, the schedule, checkpoints, the held-out accuracy."""

import math
import random
import time
from collections import namedtuple
from pathlib import Path

import torch

import batches
import model
import wordnet
import wordpiece

N_TOKENS = 4096
# Wider than all but 0.2 % of the definitions; those are cut while training, never when judged.
WIDTH = 64
# The words of a synset, at most.
WORDS_WIDTH = 16
SHIFT_RATE = 0.1
LONGEST_GRADIENT = 1.0
STEPS_PER_CHECKPOINT = 500
STEPS_PER_REPORT = 50

Data = namedtuple("Data", "training training_labels held_out held_out_labels")


def add_arguments(parser, steps, rate):
    parser.add_argument("--wordnet", default=wordnet.DEFAULT_DIR, help="folder of the data files")
    parser.add_argument("--out", type=Path, default=Path("build/wordnet"), help="work folder")
    parser.add_argument("--steps", type=int, default=steps, help="steps of 4,096 tokens")
    parser.add_argument("--rate", type=float, default=rate, help="highest learning rate")
    parser.add_argument("--words-rate", type=float, default=0.5, help="share of batches with words")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16",
                        help="of the products; bf16 pays where the processor has AMX")


def read_data(arguments):
    tokenizer = wordpiece.WordPiece.load(arguments.out / "vocab.txt")
    training, held_out = wordnet.split(wordnet.read_synsets(arguments.wordnet))
    examples = [
        (tokenizer.encode(s.definition, WIDTH), tokenizer.encode(", ".join(s.words), WORDS_WIDTH))
        for s in training
    ]
    judged = [tokenizer.encode(s.definition, model.SHAPE.positions) for s in held_out]
    labels, judged_labels = (torch.tensor([s.label for s in part]) for part in (training, held_out))
    return Data(examples, labels, judged, judged_labels)


def endless(examples, words_rate):
    packer = batches.Packer(examples, WIDTH, N_TOKENS // WIDTH, words_rate, SHIFT_RATE,
                            model.SHAPE.positions)
    while True:
        yield from packer


@torch.no_grad()
def logits_of(classifier, sequences):
    """fp32 logits[sequences, classes], each sequence computed whole and in the given order."""
    classifier.eval()
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    logits = torch.empty(len(sequences), model.SHAPE.classes)
    for start in range(0, len(order), 128):
        part = order[start : start + 128]
        logits[part] = classifier(batches.one_each([sequences[index] for index in part]))[1]
    classifier.train()
    return logits


def accuracy(classifier, data):
    """Per cent of the held-out definitions."""
    right = logits_of(classifier, data.held_out).argmax(1) == data.held_out_labels
    return 100 * right.float().mean().item()


def groups_of(parameters, decay):
    """Only tables and matrices decay."""
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
    ]


class Trainer:
    """Runs the steps. `modules` is what is trained and saved; the losses `losses_of(taken, batch)`
    are minimised; `after_step(step)` runs after each step. A checkpoint in the work folder is taken
    up where it ended."""

    def __init__(self, name, modules, losses_of, arguments, decay, after_step=None, warm_up=0.06):
        self.path = arguments.out / (name + ".checkpoint")
        self.modules = modules
        self.losses_of = losses_of
        self.after_step = after_step or (lambda step: None)
        self.arguments = arguments
        self.warm_up = warm_up
        self.parameters = list(modules.parameters())
        self.optimizer = torch.optim.AdamW(groups_of(self.parameters, decay), betas=(0.9, 0.98))
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
        torch.nn.utils.clip_grad_norm_(self.parameters, LONGEST_GRADIENT)
        self._set_rate()
        self.optimizer.step()
        return {name: float(loss) for name, loss in losses.items()}

    def run(self, data, classifier):
        random.seed(self.step)
        torch.manual_seed(self.step)
        self.modules.train()
        stream = endless(data.training, self.arguments.words_rate)
        started, first, report = time.monotonic(), self.step, Report()
        while self.step < self.arguments.steps:
            report.add(self._update(*next(stream)))
            self.step += 1
            self.after_step(self.step)
            if self.step % STEPS_PER_REPORT == 0:
                seconds = (time.monotonic() - started) / (self.step - first)
                print(f"step {self.step} {1e3 * seconds:.0f} ms/step {report.take()}", flush=True)
            if self.step % STEPS_PER_CHECKPOINT == 0 or self.step == self.arguments.steps:
                self._save()
                print(f"step {self.step} held out {accuracy(classifier, data):.2f} %", flush=True)


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
