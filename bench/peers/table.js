// SPDX-License-Identifier: Apache-2.0
// What tables of engines beside one another share: medians, and Markdown.
"use strict";

function median(values) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  return sorted.length ? sorted[sorted.length >> 1] : NaN;
}

const cell = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits) : "-");

// facts: an object; header and rows: cells, of which the first n_texts of a row are no numbers.
function markdown(facts, header, n_texts, rows) {
  const lines = Object.entries(facts).map(([key, value]) => `- ${key}: ${value}`);
  const rule = header.map((_, i) => (i < n_texts ? "---|" : "---:|")).join("");
  lines.push("", `| ${header.join(" | ")} |`, `|${rule}`);
  for (const cells of rows) lines.push(`| ${cells.join(" | ")} |`);
  return `${lines.join("\n")}\n`;
}

module.exports = { median, cell, markdown };
