// SPDX-License-Identifier: Apache-2.0
// decode_beside.js PEER OURS...: a Markdown table of llama.cpp's lines and of reports of lacuna-bench
// decode that were made in turns with them; medians over the rounds.
"use strict";

const fs = require("fs");
const { median, cell, markdown } = require("./table.js");

// Rates of one engine: [tokens written a second, tokens read a second] of each round.
const engines = new Map();

function add(name, written, read) {
  if (!engines.has(name)) engines.set(name, { written: [], read: [] });
  engines.get(name).written.push(written);
  engines.get(name).read.push(read);
}

let machine = {};
const [peerFile, ...reports] = process.argv.slice(2);
const peers = fs.readFileSync(peerFile, "utf8").trim().split("\n").map((line) => JSON.parse(line));
for (const line of peers)
  add(`llama.cpp ${line.type}`, line.tokens_per_s, line.prompt_tokens_per_s ?? NaN);
for (const report of reports) {
  const { context: facts, rows } = JSON.parse(fs.readFileSync(report, "utf8"));
  machine = facts;
  for (const row of rows.filter((r) => r.phase === "decode")) {
    const twin = rows.find(
      (r) => r.phase === "prefill" && r.pattern === row.pattern && r.head === row.head
    );
    const zeros = row.pattern === "dense" ? "dense" : `${row.pattern}, ${row.sparsity * 100} % zeros`;
    const head = row.pattern === "dense" ? "" : `, head ${row.head}`;
    add(`Lacuna ${row.dtype} ${zeros}${head}`, row.tokens_per_s, twin ? twin.tokens_per_s : NaN);
  }
}

const { name, peer, threads, context, prompt, amx, runs, system } = peers[0];
const baselines = [...engines.keys()].filter((key) => key.startsWith("llama.cpp"));
const facts = {
  ...machine,
  pinned: "each engine to the same processors, by taskset",
  parts: "whole steps of a decoder, in turns with llama.cpp; a second's tokens",
  model: `${name}, random weights`,
  threads,
  written: `tokens after a context of ${context}`,
  read: `tokens of a prompt of ${prompt}`,
  "AMX tiles": amx === "yes" ? "allowed" : "refused",
  rounds: `${reports.length}, medians; llama.cpp ${runs} tokens a round`,
  peer: `${peer}; ${system}`,
};
const header = ["engine", "written/s", "read/s"];
for (const key of baselines) header.push(`written, x ${key}`, `read, x ${key}`);
const rows = [...engines].map(([key, { written, read }]) => {
  const cells = [key, cell(median(written), 2), cell(median(read), 1)];
  for (const base of baselines) {
    const other = engines.get(base);
    cells.push(cell(median(written) / median(other.written), 2));
    cells.push(cell(median(read) / median(other.read), 1));
  }
  return cells;
});
process.stdout.write(markdown(facts, header, 1, rows));
