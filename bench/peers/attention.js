// SPDX-License-Identifier: Apache-2.0
// An ONNX model that is nothing but one head of attention.
"use strict";

const { Graph } = require("./onnx.js");

const NAME = /^attention-(\d+)(-causal)?$/;

// The features of a head and what it sees, from "attention-64" or "attention-64-causal"; else null.
function parseAttention(name) {
  const found = NAME.exec(name);
  return found && { dim: Number(found[1]), isCausal: Boolean(found[2]) };
}

// The bytes of a model with inputs q, k and v, float [sequences, tokens, dim].
function buildAttention({ dim, isCausal }) {
  const graph = new Graph();
  const inputs = ["q", "k", "v"].map((x) => graph.input(x, "float", ["sequences", "tokens", dim]));
  const attributes = { num_heads: 1, unidirectional: isCausal ? 1 : 0 };
  const y = graph.fused("MultiHeadAttention", inputs, attributes);
  graph.output(y, "float", ["sequences", "tokens", dim]);
  return graph.encode();
}

module.exports = { parseAttention, buildAttention };
