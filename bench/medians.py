#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Medians over the shapes of saved reports of lacuna-bench spmm and crossover, as Markdown.

usage: medians.py FILE.json...

Beside each FILE.json a FILE-medians.md is written.  Of spmm the rows of plain C are left out, and
`step` is the growth of the time per token from the N before (1 is none); where N rises by one, the
largest steps stand below the table."""

import json
import statistics
import sys

SUBJECTS = {
    "spmm": {
        "keys": ["dtype", "pattern", "engine", "n", "threads", "sparsity"],
        "figures": ["time_us_median", "nnz_gops", "dense_gops", "gbps", "roof_share", "vs_dense"]
        + ["vs_onednn", "vs_onednn_vnni", "vs_one_thread", "step"],
        "facts": ["cpu", "commit", "date", "weights", "output"],
    },
    "crossover": {
        "keys": ["dtype", "pattern", "n"],
        "figures": ["crossover", "vs_dense_80", "vs_dense_90", "dense_us"],
        "facts": ["cpu", "commit", "date"],
    },
}


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def groups_of(report, keys):
    groups = {}
    for row in report["rows"]:
        if row.get("isa") == "scalar":
            continue
        if report["subject"] == "spmm":
            # Orientations and instruction sets differ from shape to shape where the faster is shown.
            row["engine"] = row["kernel"].split("_")[0].replace("linear", "lacuna")
            if row["engine"] == "onednn":
                row["engine"] += "/" + row["isa"]
        groups.setdefault(tuple(row[k] for k in keys), []).append(row)
    return groups


def add_steps(groups, at):
    """Each shape's own growth from the N before; keys have N at place `at`."""
    times = {}
    for key, rows in groups.items():
        for row in rows:
            times[key, row["m"], row["k"]] = row["time_us_median"] / row["n"]
    counts = sorted({key[at] for key in groups})
    before = dict(zip(counts[1:], counts))
    for key, rows in groups.items():
        last = key[:at] + (before.get(key[at]),) + key[at + 1 :]
        for row in rows:
            old = times.get((last, row["m"], row["k"]))
            row["step"] = times[(key, row["m"], row["k"])] / old if old else None
    return all(n + 1 == m for m, n in before.items()) and len(counts) > 2


def largest_steps(groups, at):
    """Of each series of N: the largest step of a shape, and the largest of the medians."""
    series = {}
    for key, rows in groups.items():
        series.setdefault(key[:at] + key[at + 1 :], []).append((key[at], rows))
    for key in sorted(series):
        single = max(
            (r["step"], n, r["m"], r["k"]) for n, rows in series[key] for r in rows if r["step"]
        )
        middle = max(
            (median([r["step"] for r in rows]), n) for n, rows in series[key] if rows[0]["step"]
        )
        yield (
            f"{' '.join(text(v) for v in key)}: median {middle[0]:.3f} at N = {middle[1]}, "
            f"of one shape {single[0]:.3f} at N = {single[1]} ({single[2]}x{single[3]})"
        )


def text(value):
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def print_table(report, name, file):
    subject = SUBJECTS[report["subject"]]
    keys, figures = subject["keys"], subject["figures"]
    groups = groups_of(report, keys)
    is_dense_in_n = report["subject"] == "spmm" and add_steps(groups, keys.index("n"))
    print(f"# {name}: medians over shapes\n", file=file)
    for fact in subject["facts"]:
        print(f"- {fact}: {report['context'][fact]}", file=file)
    print("\n|", " | ".join(keys + ["shapes"] + figures), "|", file=file)
    print("|---" * len(keys) + "|---:" * (1 + len(figures)) + "|", file=file)
    for key in sorted(groups):
        rows = groups[key]
        cells = [text(v) for v in key] + [str(len(rows))]
        cells += [text(median([row.get(c) for row in rows])) for c in figures]
        print("|", " | ".join(cells), "|", file=file)
    if is_dense_in_n:
        print("\nLargest steps:\n", file=file)
        for line in largest_steps(groups, keys.index("n")):
            print(f"- {line}", file=file)


def main():
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        if report["subject"] not in SUBJECTS:
            sys.exit(f"medians.py: {path}: of {report['subject']} there are no medians")
        stem = path.removesuffix(".json")
        with open(stem + "-medians.md", "w", encoding="utf-8") as file:
            print_table(report, stem.rsplit("/", 1)[-1], file)


if __name__ == "__main__":
    main()
