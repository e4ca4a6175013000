# SPDX-License-Identifier: Apache-2.0
"""Trains the model that finds what it has read."""

import argparse
import math
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import haystack
import words
from retriever import LOOKING_BACK, MASKED, RETRIEVING, SHAPE, Retriever

# Tokens of an entry before its full stop: the name, then its number.
ENTRY = 1 + haystack.DIGIT_PAIRS
# Keys this near are left alone by `crowd`.
NEAR = 16
BETAS = 0.9, 0.98
LONGEST_GRADIENT = 1.0
WARM_UP = 0.05
# Of the rate.
ATTENTION_SHARE = 0.1


def row(draw, length):
    """(ids, place) of a row. place[i] is 5 e + j for the j-th token of entry e, -1 elsewhere."""
    n_entries = draw.randint(2, length // 24)
    items = [(-1, haystack.sentence(draw)) for _ in range(length // 9)]
    for number, entry in enumerate(haystack.entries(draw, n_entries)):
        items += [(number, haystack.entry_words(entry))] * draw.randint(2, 3)
    draw.shuffle(items)
    ids, place, begins = [words.BOS], [-1], []
    for number, item in items:
        begins.append(len(ids))
        ids += words.ids_of(item)
        place += ([-1] * len(item) if number < 0
                  else [*range(ENTRY * number, ENTRY * (number + 1)), -1])
    return ids[:length], place[:length], [begin for begin in begins if begin < length]


def spread(draw, begins, length, furthest):
    """Positions of a row's tokens: gaps before some of its items, so that short rows teach long
    distances (Zhu and others, "PoSE", 2023)."""
    position = torch.arange(length)
    room = draw.choice([0, furthest // 16, furthest // 4, furthest]) - length
    if room > 0:
        cuts = sorted(draw.sample(begins, min(len(begins), draw.randint(1, 8))))
        ends = sorted(draw.randint(0, room) for _ in cuts)
        for cut, end, before in zip(cuts, ends, [0, *ends]):
            position[cut:] += end - before
    return position


class Batch:
    def __init__(self, draw, n_rows, length, furthest, crowd):
        rows = [row(draw, length) for _ in range(n_rows)]
        self.ids = torch.tensor([ids for ids, _, _ in rows])
        place = torch.tensor([place for _, place, _ in rows])
        self.positions = torch.stack([spread(draw, begins, length, furthest)
                                      for _, _, begins in rows])
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        # Idle words further away count as if there were so many more of them.
        far = torch.ones(length, length, dtype=torch.bool).tril(-NEAR)
        more = torch.tensor([draw.uniform(0, math.log(crowd)) for _ in rows])
        idle = (place < 0)[:, None, :] & far
        self.bias = torch.where(causal, idle * more[:, None, None], MASKED)[:, None]
        # [rows, queries, keys]: the key is what comes next after the query, as read before.
        asks = (place >= 0) & (place % ENTRY < ENTRY - 1)
        self.found = ((place[:, :, None] + 1 == place[:, None, :]) & asks[:, :, None] & causal)
        self.answers = self.found.any(2)[:, :-1]


def losses_of(model, batch):
    logits, seen = model(batch.ids, batch.positions, batch.bias)
    right = F.cross_entropy(logits[:, :-1].flatten(0, 1), batch.ids[:, 1:].flatten(),
                            reduction="none").view_as(batch.answers)
    answers, idle = right[batch.answers], right[~batch.answers]
    back = []
    for k in range(1, LOOKING_BACK + 1):
        beside = batch.positions[:, k:] - batch.positions[:, :-k] == k
        weights = seen[0][:, k - 1].diagonal(-k, 1, 2)
        back.append(-(weights[beside] + 1e-9).log().mean())
    weights = (seen[-1][:, RETRIEVING] * batch.found).sum(2)[:, :-1][batch.answers]
    accuracy = (logits[:, :-1].argmax(-1) == batch.ids[:, 1:])[batch.answers].float().mean()
    return {"answers": answers.mean(), "idle": idle.mean(), "back": sum(back) / len(back),
            "found": -(weights + 1e-9).log().mean(), "wrong": 1 - accuracy}


def rate_at(done, highest):
    """Linear warm-up, then a cosine to zero."""
    cosine = 0.5 + 0.5 * math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))
    return highest * min(done / WARM_UP, cosine)


def groups_of(model):
    """Attention begins as it is to be, the rest from nothing."""
    attention = [p for name, p in model.named_parameters() if "self_attn" in name]
    rest = [p for name, p in model.named_parameters() if "self_attn" not in name]
    return [{"params": attention, "share": ATTENTION_SHARE}, {"params": rest, "share": 1.0}]


def save(path, model, optimizer, step):
    unfinished = path.with_suffix(".unfinished")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step},
               unfinished)
    unfinished.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/needle"), help="work folder")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--rows", type=int, default=4, help="of a step")
    parser.add_argument("--length", type=int, default=96, help="tokens of a row")
    parser.add_argument("--crowd", type=float, default=256, help="how many tokens a far idle one "
                        "stands for at most")
    parser.add_argument("--taught", type=float, default=0.5,
                        help="weight of the losses of heads at first")
    arguments = parser.parse_args()
    path = arguments.out / "retriever.checkpoint"
    torch.manual_seed(1)
    model = Retriever()
    optimizer = torch.optim.AdamW(groups_of(model), betas=BETAS, weight_decay=0.0)
    step = 0
    if path.exists():
        saved = torch.load(path)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
    draw, started, sums, n = random.Random(step), time.monotonic(), {}, 0
    while step < arguments.steps:
        done = step / arguments.steps
        batch = Batch(draw, arguments.rows, arguments.length, SHAPE.positions, arguments.crowd)
        losses = losses_of(model, batch)
        taught = arguments.taught * max(0.1, 1 - 2 * done)
        loss = (losses["answers"] + 0.2 * losses["idle"]
                + taught * (losses["back"] + losses["found"]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), LONGEST_GRADIENT)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(done, arguments.rate) * group["share"]
        optimizer.step()
        step, n = step + 1, n + 1
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value)
        if step % 20 == 0:
            means = " ".join(f"{name} {total / n:.4f}" for name, total in sums.items())
            print(f"step {step} {(time.monotonic() - started) / n:.2f} s/step {means}", flush=True)
            started, sums, n = time.monotonic(), {}, 0
        if step % 20 == 0 or step == arguments.steps:
            save(path, model, optimizer, step)
    torch.save(model.state_dict(), arguments.out / "retriever.pt")


if __name__ == "__main__":
    main()
