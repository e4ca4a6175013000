#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Medians over the shapes of saved reports of `lacuna-bench spmm`, as Markdown.

usage: medians.py FILE.json...

Between the rows of one N and the next, `step` is the growth of the time per token (1 is none)."""

import json
import statistics
import sys

FIGURES = ["nnz_gops", "gbps", "roof_share", "vs_dense", "vs_onednn", "vs_onednn_vnni", "vs_one_thread"]
KEYS = ["dtype", "pattern", "engine", "n", "threads", "sparsity"]


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def groups_of(rows):
    groups = {}
    for row in rows:
        if row["isa"] == "scalar":
            continue
        # Orientations and instruction sets differ from shape to shape where the faster is shown.
        row["engine"] = row["kernel"].split("_")[0].replace("linear", "lacuna")
        if row["engine"] == "onednn":
            row["engine"] += "/" + row["isa"]
        groups.setdefault(tuple(row[k] for k in KEYS), []).append(row)
    return groups


def add_steps(groups):
    """Median over the shapes of each shape's own growth from the N before."""
    times = {}
    for key, rows in groups.items():
        for row in rows:
            times[key, row["m"], row["k"]] = row["time_us_median"] / row["n"]
    counts = sorted({key[KEYS.index("n")] for key in groups})
    before = dict(zip(counts[1:], counts))
    for key, rows in groups.items():
        at = KEYS.index("n")
        last = key[:at] + (before.get(key[at]),) + key[at + 1 :]
        for row in rows:
            shape = (row["m"], row["k"])
            old = times.get((last, *shape))
            row["step"] = times[(key, *shape)] / old if old else None


def text(value):
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def main():
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        if report["subject"] != "spmm":
            continue
        groups = groups_of(report["rows"])
        add_steps(groups)
        columns = FIGURES + ["step"]
        print(f"\n## {path.rsplit('/', 1)[-1].removesuffix('.json')}\n")
        for fact in ("cpu", "commit", "date", "weights", "output"):
            print(f"- {fact}: {report['context'][fact]}")
        print("\n|", " | ".join(KEYS + ["shapes"] + columns), "|")
        print("|---" * (len(KEYS) + 1 + len(columns)) + "|")
        for key in sorted(groups):
            rows = groups[key]
            cells = [text(v) for v in key] + [str(len(rows))]
            cells += [text(median([row.get(c) for row in rows])) for c in columns]
            print("|", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
