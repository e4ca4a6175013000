// SPDX-License-Identifier: Apache-2.0
// Times ONNX Runtime on one encoder or one head of attention and prints a line of JSON.
// run-onnxruntime starts it.
"use strict";

const fs = require("fs");
const path = require("path");
const { parseAttention, buildAttention } = require("./attention.js");
const { SHAPES, VOCABULARY, POSITIONS, buildModel } = require("./bert.js");

const WARM_UP = 3;
const AMX = ["amx_tile", "amx_int8", "amx_bf16"];
const FEATURES = ["avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", ...AMX];

function fail(text) {
  process.stderr.write(`onnxruntime.js: ${text}\n`);
  process.exit(2);
}

// What the processor offers and we allow; ONNX Runtime chooses among these and does not say.
function processorFeatures(amx) {
  try {
    const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(fs.readFileSync("/proc/cpuinfo", "utf8"));
    const all = new Set(flags[1].trim().split(/\s+/));
    return FEATURES.filter((name) => all.has(name) && (amx === "yes" || !AMX.includes(name)));
  } catch {
    return [];
  }
}

function attentionTensors(ort, n_sequences, n_tokens, dim) {
  const random = () => Float32Array.from({ length: n_sequences * n_tokens * dim },
    () => Math.random() * 2 - 1);
  const tensor = () => new ort.Tensor("float32", random(), [n_sequences, n_tokens, dim]);
  return { q: tensor(), k: tensor(), v: tensor() };
}

function encoderTensors(ort, n_sequences, n_tokens) {
  const n = n_sequences * n_tokens;
  const shape = [n_sequences, n_tokens];
  const ids = Int32Array.from({ length: n }, (_, i) => (i * 7919 + 13) % VOCABULARY);
  return {
    ids: new ort.Tensor("int32", ids, shape),
    types: new ort.Tensor("int32", new Int32Array(n), shape),
  };
}

function parse([model, dtype, ...numbers]) {
  const [tokens, sequences, threads, runs] = numbers.slice(0, 4).map(Number);
  const settings = { model, dtype, tokens, sequences, threads, runs, amx: numbers[4] };
  settings.attention = parseAttention(model);
  if (!settings.attention && !SHAPES[model])
    fail(`no model ${model}: ${Object.keys(SHAPES).join(", ")}, attention-DIM[-causal]`);
  if (settings.attention && dtype !== "fp32") fail("attention alone is in fp32");
  if (!["fp32", "int8"].includes(settings.dtype)) fail(`no dtype ${settings.dtype}: fp32, int8`);
  for (const key of ["tokens", "sequences", "threads", "runs"])
    if (!Number.isInteger(settings[key]) || settings[key] < 1) fail(`${key} must be 1 or more`);
  if (!settings.attention && settings.tokens > POSITIONS) fail(`tokens: at most ${POSITIONS}`);
  return settings;
}

async function time(session, inputs, n_runs) {
  const times = [];
  let output;
  for (let i = -WARM_UP; i < n_runs; i++) {
    const begin = process.hrtime.bigint();
    output = await session.run(inputs);
    const end = process.hrtime.bigint();
    if (i >= 0) times.push(Number(end - begin) / 1e6);
  }
  const values = Object.values(output)[0].data;
  if (!values.every(Number.isFinite)) fail("the output is not finite");
  return times.sort((a, b) => a - b);
}

async function main() {
  const [modules, ...rest] = process.argv.slice(2);
  const settings = parse(rest);
  const ort = require(path.join(modules, "onnxruntime-node"));
  const { version } = require(path.join(modules, "onnxruntime-node", "package.json"));
  const { attention } = settings;
  const model = attention ? buildAttention(attention) : buildModel(settings.model, settings.dtype);
  const session = await ort.InferenceSession.create(model, {
    intraOpNumThreads: settings.threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    executionProviders: ["cpu"],
  });
  const { sequences, tokens } = settings;
  const inputs = attention ? attentionTensors(ort, sequences, tokens, attention.dim)
    : encoderTensors(ort, sequences, tokens);
  const times = await time(session, inputs, settings.runs);
  const median = times[times.length >> 1];
  const line = {
    name: settings.model, peer: `onnxruntime ${version}`, dtype: settings.dtype,
    tokens: settings.tokens, sequences: settings.sequences, threads: settings.threads,
    ms_median: Number(median.toFixed(3)), ms_min: Number(times[0].toFixed(3)),
    runs: settings.runs, cpu: processorFeatures(settings.amx),
  };
  process.stdout.write(JSON.stringify(line) + "\n");
}

main().catch((error) => fail(error.message));
