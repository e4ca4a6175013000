// SPDX-License-Identifier: Apache-2.0
// BERT encoders as ONNX models of random weights, made of the fused operations that ONNX Runtime's
// transformer optimiser leaves, in fp32 or dynamically quantised to int8.
"use strict";

const { Graph } = require("./onnx.js");

const SHAPES = {
  "bert-base": { hidden: 768, layers: 12, heads: 12, ffn: 3072 },
  distilbert: { hidden: 768, layers: 6, heads: 12, ffn: 3072 },
  minilm: { hidden: 384, layers: 6, heads: 12, ffn: 1536 },
};
const VOCABULARY = 1000;
const POSITIONS = 512;
const EPSILON = 1e-12;

// xorshift32 (Marsaglia 2003): numbers need only be neither zero nor tiny.
function uniform(n, seed) {
  const out = new Float32Array(n);
  let x = seed;
  for (let i = 0; i < n; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    out[i] = (x | 0) / 2147483648;
  }
  return out;
}

class Builder {
  constructor(shape, dtype) {
    this.shape = shape;
    this.dtype = dtype;
    this.graph = new Graph();
    this.seed = 1;
  }

  random(shape, amplitude, offset = 0) {
    const n = shape.reduce((a, b) => a * b);
    const data = uniform(n, (this.seed += 7919)).map((x) => offset + amplitude * x);
    return this.graph.constant("float", shape, data);
  }

  // Weights [inputs, outputs]; int8 ones come with one scale and no zero point.
  weight(n_in, n_out) {
    const amplitude = Math.sqrt(3 / n_in);
    if (this.dtype === "fp32") return { values: this.random([n_in, n_out], amplitude) };
    const drawn = uniform(n_in * n_out, (this.seed += 7919));
    const data = Int8Array.from(drawn, (x) => Math.round(127 * x));
    return {
      values: this.graph.constant("int8", [n_in, n_out], data),
      scale: this.graph.constant("float", [1], Float32Array.of(amplitude / 127)),
      zero: this.graph.constant("int8", [1], Int8Array.of(0)),
    };
  }

  // The product without its bias, which the next operation adds.
  product(x, n_in, n_out) {
    const w = this.weight(n_in, n_out);
    if (this.dtype === "fp32") return this.graph.add("MatMul", [x, w.values])[0];
    return this.graph.fused("DynamicQuantizeMatMul", [x, w.values, w.scale, w.zero]);
  }

  attention(x) {
    const { hidden, heads } = this.shape;
    const w = this.weight(hidden, 3 * hidden);
    const bias = this.random([3 * hidden], 0.1);
    if (this.dtype === "fp32")
      return this.graph.fused("Attention", [x, w.values, bias], { num_heads: heads });
    const [bytes, scale, zero] = this.graph.add("DynamicQuantizeLinear", [x], { n_outputs: 3 });
    const inputs = [bytes, w.values, bias, scale, w.scale, "", zero, w.zero];
    return this.graph.fused("QAttention", inputs, { num_heads: heads });
  }

  normalize(x, residual) {
    const { hidden } = this.shape;
    const [gamma, beta, bias] = [1, 0, 0].map((offset) => this.random([hidden], 0.1, offset));
    const inputs = [x, residual, gamma, beta, bias];
    return this.graph.fused("SkipLayerNormalization", inputs, { epsilon: EPSILON });
  }

  layer(x) {
    const { hidden, ffn } = this.shape;
    const attended = this.normalize(this.product(this.attention(x), hidden, hidden), x);
    const up = this.product(attended, hidden, ffn);
    const inner = this.graph.fused("BiasGelu", [up, this.random([ffn], 0.1)]);
    return this.normalize(this.product(inner, ffn, hidden), attended);
  }

  embed() {
    const { hidden } = this.shape;
    const ids = this.graph.input("ids", "int32", ["sequences", "tokens"]);
    const types = this.graph.input("types", "int32", ["sequences", "tokens"]);
    const tables = [VOCABULARY, POSITIONS, 2].map((rows) => this.random([rows, hidden], 1));
    const norm = [this.random([hidden], 0.1, 1), this.random([hidden], 0.1)];
    const [x] = this.graph.add("EmbedLayerNormalization", [ids, types, ...tables, ...norm],
      { attributes: { epsilon: EPSILON }, domain: "com.microsoft", n_outputs: 2 });
    return x;
  }

  model() {
    let x = this.embed();
    for (let layer = 0; layer < this.shape.layers; layer++) x = this.layer(x);
    this.graph.output(x, "float", ["sequences", "tokens", this.shape.hidden]);
    return this.graph.encode();
  }
}

// The bytes of an ONNX model with inputs ids and types, int32 [sequences, tokens].
function buildModel(name, dtype) {
  return new Builder(SHAPES[name], dtype).model();
}

module.exports = { SHAPES, VOCABULARY, POSITIONS, buildModel };
