// SPDX-License-Identifier: Apache-2.0
// attention_beside.js PEERS AMX OURS...: a Markdown table of the lines of other engines' attention
// and of reports of lacuna-bench attention that were made in turns with them; medians over the
// rounds.
"use strict";

const fs = require("fs");
const { parseAttention } = require("./attention.js");
const { median, cell, markdown } = require("./table.js");

// For each head and what it sees, the milliseconds of each engine.
const heads = new Map();

function add(dim, mode, engine, ms) {
  const key = `${dim} ${mode}`;
  if (!heads.has(key)) heads.set(key, { dim, mode, engines: new Map() });
  const { engines } = heads.get(key);
  if (!engines.has(engine)) engines.set(engine, []);
  engines.get(engine).push(ms);
}

let machine = {};
const [peerFile, amx, ...reports] = process.argv.slice(2);
for (const report of reports) {
  const { context, rows } = JSON.parse(fs.readFileSync(report, "utf8"));
  machine = context;
  for (const row of rows.filter((r) => r.isa !== "scalar"))
    add(row.head_dim, row.mode, `Lacuna ${row.dtype}`, row.time_us_median / 1e3);
}
const text = fs.readFileSync(peerFile, "utf8").trim();
const lines = text ? text.split("\n").map((line) => JSON.parse(line)) : [];
const versions = new Set(lines.map((line) => line.peer));
for (const line of lines) {
  const { dim, isCausal } = parseAttention(line.name);
  const engine = `${line.peer.split(" ")[0]} ${line.dtype ?? `${line.type} ${line.way}`}`;
  add(dim, isCausal ? "causal" : "full", engine, line.ms_median);
}

const tokens = lines[0].tokens;
const facts = {
  ...machine,
  pinned: "each engine to the same processor, by taskset",
  parts: "one head of attention in fp32 or int8, in turns; one thread",
  tokens,
  "AMX tiles": amx === "yes" ? "allowed" : "refused",
  rounds: `${reports.length / heads.size}, medians`,
  peers: [...versions].join("; "),
  "llama.cpp": "flash is its fused attention, plain the one without; keys and values in f32 or " +
    "f16; causal in pieces of 512 queries, as it reads prompts",
};
const ours = ["Lacuna fp32", "Lacuna int8"];
const header = ["features", "sees", "engine", "ms", "10^9 op/s",
  ...ours.map((name) => `${name} is x times as fast`)];
const rows = [];
const order = (a, b) => a.dim - b.dim || b.mode.localeCompare(a.mode); // full before causal
for (const { dim, mode, engines } of [...heads.values()].sort(order)) {
  const pairs = mode === "causal" ? (tokens * (tokens + 1)) / 2 : tokens * tokens;
  for (const [engine, times] of engines) {
    const ms = median(times);
    rows.push([dim, mode, engine, cell(ms, 2), cell((4 * pairs * dim) / (ms * 1e6), 0),
      ...ours.map((name) => cell(ms / median(engines.get(name)), 2))]);
  }
}
process.stdout.write(markdown(facts, header, 3, rows));
