// SPDX-License-Identifier: Apache-2.0
// Times llama.cpp on one decoder and prints a line of JSON.  run-llamacpp starts it.
import fs from "fs";
import path from "path";
import { createRequire } from "module";
import { pathToFileURL } from "url";

const require = createRequire(import.meta.url);
const { SHAPES, TYPES } = require("./gguf.js");

const WARM_UP = 2;

function fail(text) {
  process.stderr.write(`llamacpp.mjs: ${text}\n`);
  process.exit(2);
}

function parse([model, type, ...numbers]) {
  const [context, prompt, threads, runs] = numbers.slice(0, 4).map(Number);
  const settings = { model, type, context, prompt, threads, runs };
  if (!SHAPES[model]) fail(`no model ${model}: ${Object.keys(SHAPES).join(", ")}`);
  if (!TYPES[type] || type === "f32") fail(`no type ${type}: q8_0, q4_0`);
  for (const key of ["context", "threads", "runs"])
    if (!Number.isInteger(settings[key]) || settings[key] < 1) fail(`${key} must be 1 or more`);
  if (!Number.isInteger(prompt) || prompt < 0) fail("prompt must be 0 or more");
  if (Math.max(prompt, context + runs + WARM_UP) > SHAPES[model].positions)
    fail(`texts of at most ${SHAPES[model].positions} tokens`);
  return settings;
}

function words(n, vocabulary) {
  return Array.from({ length: n }, (_, i) => 300 + ((i * 7919) % (vocabulary - 300)));
}

const milliseconds = () => Number(process.hrtime.bigint()) / 1e6;

function median(times) {
  const sorted = [...times].sort((a, b) => a - b);
  return Number(sorted[sorted.length >> 1].toFixed(3));
}

// Each token is the best one, as it would be written.
async function timeTokens(sequence, settings, vocabulary) {
  const prompt = words(settings.context, vocabulary), times = [];
  await sequence.clearHistory();
  let begin = 0;
  for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    void token;
    const now = milliseconds();
    if (begin) times.push(now - begin);
    if (times.length === settings.runs + WARM_UP) break;
    begin = milliseconds();
  }
  return times.slice(WARM_UP);
}

async function timePrompts(sequence, settings, vocabulary) {
  const prompt = words(settings.prompt, vocabulary), times = [];
  const end = milliseconds() + 10000;
  while (settings.prompt && times.length < 3 && (!times.length || milliseconds() < end)) {
    await sequence.clearHistory();
    const begin = milliseconds();
    await sequence.evaluateWithoutGeneratingNewTokens(prompt);
    times.push(milliseconds() - begin);
  }
  return times;
}

async function main() {
  const [modules, file, amx, ...rest] = process.argv.slice(2);
  const settings = parse(rest);
  const root = path.join(modules, "node-llama-cpp");
  const { getLlama } = await import(pathToFileURL(path.join(root, "dist", "index.js")));
  const { version } = JSON.parse(fs.readFileSync(path.join(root, "package.json")));
  const llama = await getLlama({
    gpu: false, build: "never", skipDownload: true, progressLogs: false, logLevel: "error",
    maxThreads: settings.threads,
  });
  const model = await llama.loadModel({ modelPath: file, gpuLayers: 0, useMmap: false });
  const size = Math.max(settings.prompt, settings.context + settings.runs + WARM_UP) + 8;
  const context = await model.createContext({
    contextSize: size, batchSize: 512, threads: settings.threads, sequences: 1,
  });
  const sequence = context.getSequence(), vocabulary = SHAPES[settings.model].vocabulary;
  const tokens = await timeTokens(sequence, settings, vocabulary);
  const prompts = await timePrompts(sequence, settings, vocabulary);
  const line = {
    name: settings.model, peer: `llama.cpp (node-llama-cpp ${version})`, type: settings.type,
    threads: settings.threads, context: settings.context,
    ms_per_token: median(tokens), tokens_per_s: Number((1000 / median(tokens)).toFixed(2)),
    prompt: settings.prompt,
    prompt_ms: prompts.length ? median(prompts) : null,
    prompt_tokens_per_s: prompts.length
      ? Number(((settings.prompt * 1000) / median(prompts)).toFixed(1)) : null,
    runs: tokens.length, amx,
    system: llama.systemInfo.trim(),
  };
  process.stdout.write(JSON.stringify(line) + "\n");
  await llama.dispose();
}

main().catch((error) => fail(error.message));
