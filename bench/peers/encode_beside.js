// SPDX-License-Identifier: Apache-2.0
// encode_beside.js PEER AMX OURS...: a Markdown table of ONNX Runtime's lines and of reports of
// lacuna-bench encode that were made in turns with them; medians over the rounds.
"use strict";

const fs = require("fs");
const { median, cell, markdown } = require("./table.js");

// The milliseconds of each engine in each round.
const engines = new Map();

function add(name, ms) {
  if (!engines.has(name)) engines.set(name, []);
  engines.get(name).push(ms);
}

let machine = {};
const [peerFile, amx, ...reports] = process.argv.slice(2);
const peers = fs.readFileSync(peerFile, "utf8").trim().split("\n").map((line) => JSON.parse(line));
for (const line of peers) add(`ONNX Runtime ${line.dtype}`, line.ms_median);
const baselines = [...engines.keys()];
for (const report of reports) {
  const { context, rows } = JSON.parse(fs.readFileSync(report, "utf8"));
  machine = context;
  for (const row of rows) {
    const zeros = row.pattern === "dense" ? "dense" : `${row.pattern}, ${row.sparsity * 100} % zeros`;
    add(`Lacuna ${row.dtype} ${zeros}`, row.time_ms_median);
  }
}

const { name, peer, tokens, sequences, threads, runs } = peers[0];
const facts = {
  ...machine,
  pinned: "each engine to the same processors, by taskset",
  parts: `${name}, random weights, in turns; milliseconds of a batch`,
  sequences: `${sequences} of ${tokens} tokens`,
  threads,
  "AMX tiles": amx === "yes" ? "allowed" : "refused",
  rounds: `${reports.length}, medians; ONNX Runtime ${runs} runs a round`,
  peer,
};
const header = ["engine", "ms", ...baselines.map((key) => `x ${key}`)];
const rows = [...engines].map(([key, times]) => [key, cell(median(times), 2),
  ...baselines.map((base) => cell(median(engines.get(base)) / median(times), 2))]);
process.stdout.write(markdown(facts, header, 1, rows));
