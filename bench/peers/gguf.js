// SPDX-License-Identifier: Apache-2.0
// Writes a GGUF file (version 3) of a LLaMA-style decoder with made-up weights, all in one type:
// speed does not depend on their values.  The vocabulary is 3 marks, 256 bytes and numbered words.
"use strict";

const fs = require("fs");

const ALIGNMENT = 32;
const SHAPES = {
  tinyllama: { layers: 22, hidden: 2048, inner: 5632, heads: 32, kvHeads: 4, positions: 2048,
    vocabulary: 32000 },
  "llama-7b": { layers: 32, hidden: 4096, inner: 11008, heads: 32, kvHeads: 32, positions: 4096,
    vocabulary: 32000 },
};

// Number of the type, elements of a block and its bytes; a block begins with an fp16 scale.
const TYPES = {
  f32: { id: 0, elements: 1, bytes: 4 },
  q4_0: { id: 2, elements: 32, bytes: 18, fileType: 2 },
  q8_0: { id: 8, elements: 32, bytes: 34, fileType: 7 },
};

// Kinds of values in the header.
const UINT32 = 4, INT32 = 5, FLOAT32 = 6, STRING = 8, ARRAY = 9;

class Bytes {
  constructor() {
    this.parts = [];
    this.size = 0;
  }
  add(buffer) {
    this.parts.push(buffer);
    this.size += buffer.length;
  }
  number(bytes, write) {
    const buffer = Buffer.alloc(bytes);
    write(buffer);
    this.add(buffer);
  }
  u32(value) {
    this.number(4, (b) => b.writeUInt32LE(value));
  }
  u64(value) {
    this.number(8, (b) => b.writeBigUInt64LE(BigInt(value)));
  }
  text(value) {
    const bytes = Buffer.from(value, "utf8");
    this.u64(bytes.length);
    this.add(bytes);
  }
  value(kind, value) {
    if (kind === UINT32) this.u32(value);
    else if (kind === INT32) this.number(4, (b) => b.writeInt32LE(value));
    else if (kind === FLOAT32) this.number(4, (b) => b.writeFloatLE(value));
    else this.text(value);
  }
  key(name, kind, value) {
    this.text(name);
    if (Array.isArray(value)) {
      this.u32(ARRAY);
      this.u32(kind);
      this.u64(value.length);
      for (const item of value) this.value(kind, item);
    } else {
      this.u32(kind);
      this.value(kind, value);
    }
  }
  pad() {
    const rest = this.size % ALIGNMENT;
    if (rest) this.add(Buffer.alloc(ALIGNMENT - rest));
  }
  whole() {
    return Buffer.concat(this.parts);
  }
}

function vocabulary(n) {
  const NORMAL = 1, UNKNOWN = 2, CONTROL = 3, BYTE = 6;
  const words = ["<unk>", "<s>", "</s>"], types = [UNKNOWN, CONTROL, CONTROL];
  for (let i = 0; i < 256; i++) {
    words.push(`<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
    types.push(BYTE);
  }
  while (words.length < n) {
    words.push(`\u2581w${words.length}`);
    types.push(NORMAL);
  }
  return { words, types, scores: words.map((_, i) => -i) };
}

function keys(header, shape, type) {
  const { words, types, scores } = vocabulary(shape.vocabulary);
  const list = [
    ["general.architecture", STRING, "llama"],
    ["general.name", STRING, "made up"],
    ["general.file_type", UINT32, TYPES[type].fileType],
    ["general.alignment", UINT32, ALIGNMENT],
    ["llama.block_count", UINT32, shape.layers],
    ["llama.context_length", UINT32, shape.positions],
    ["llama.embedding_length", UINT32, shape.hidden],
    ["llama.feed_forward_length", UINT32, shape.inner],
    ["llama.attention.head_count", UINT32, shape.heads],
    ["llama.attention.head_count_kv", UINT32, shape.kvHeads],
    ["llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5],
    ["llama.rope.dimension_count", UINT32, shape.hidden / shape.heads],
    ["llama.vocab_size", UINT32, shape.vocabulary],
    ["tokenizer.ggml.model", STRING, "llama"],
    ["tokenizer.ggml.tokens", STRING, words],
    ["tokenizer.ggml.scores", FLOAT32, scores],
    ["tokenizer.ggml.token_type", INT32, types],
    ["tokenizer.ggml.bos_token_id", UINT32, 1],
    ["tokenizer.ggml.eos_token_id", UINT32, 2],
    ["tokenizer.ggml.unknown_token_id", UINT32, 0],
  ];
  header.u64(list.length);
  for (const key of list) header.key(...key);
}

// Inputs first, as the format has dimensions.
function tensors(shape, type) {
  const { hidden, inner } = shape;
  const kv = (hidden / shape.heads) * shape.kvHeads;
  const list = [["token_embd", [hidden, shape.vocabulary], type]];
  for (let i = 0; i < shape.layers; i++)
    list.push(
      [`blk.${i}.attn_norm`, [hidden], "f32"],
      [`blk.${i}.attn_q`, [hidden, hidden], type],
      [`blk.${i}.attn_k`, [hidden, kv], type],
      [`blk.${i}.attn_v`, [hidden, kv], type],
      [`blk.${i}.attn_output`, [hidden, hidden], type],
      [`blk.${i}.ffn_norm`, [hidden], "f32"],
      [`blk.${i}.ffn_gate`, [hidden, inner], type],
      [`blk.${i}.ffn_up`, [hidden, inner], type],
      [`blk.${i}.ffn_down`, [inner, hidden], type]
    );
  list.push(["output_norm", [hidden], "f32"], ["output", [hidden, shape.vocabulary], type]);
  return list.map(([name, dims, kind]) => {
    const elements = dims.reduce((a, b) => a * b, 1);
    const { elements: inBlock, bytes } = TYPES[kind];
    return { name: `${name}.weight`, dims, kind, size: (elements / inBlock) * bytes };
  });
}

// Blocks to write again and again; scales so that a layer's results stay near 1.
function pattern(kind, hidden) {
  const { bytes } = TYPES[kind], n = 1 << 15;
  const buffer = Buffer.alloc(n * bytes);
  if (kind === "f32") {
    for (let i = 0; i < n; i++) buffer.writeFloatLE(1, i * 4);
    return buffer;
  }
  let state = 1;
  for (let i = 0; i < buffer.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    buffer[i] = state >>> 24;
  }
  const deviation = kind === "q8_0" ? 73 : 4.6;
  const exponent = Math.floor(Math.log2(1 / (deviation * Math.sqrt(hidden))));
  for (let i = 0; i < n; i++) buffer.writeUInt16LE((exponent + 15) << 10, i * bytes);
  return buffer;
}

function writeTensor(file, tensor, blocks) {
  for (let left = tensor.size; left > 0; ) {
    const part = left < blocks.length ? blocks.subarray(0, left) : blocks;
    fs.writeSync(file, part);
    left -= part.length;
  }
  const rest = tensor.size % ALIGNMENT;
  if (rest) fs.writeSync(file, Buffer.alloc(ALIGNMENT - rest));
}

function writeModel(path, name, type) {
  const shape = SHAPES[name], list = tensors(shape, type), header = new Bytes();
  header.add(Buffer.from("GGUF"));
  header.u32(3);
  header.u64(list.length);
  keys(header, shape, type);
  let offset = 0;
  for (const tensor of list) {
    header.text(tensor.name);
    header.u32(tensor.dims.length);
    for (const n of tensor.dims) header.u64(n);
    header.u32(TYPES[tensor.kind].id);
    header.u64(offset);
    offset += Math.ceil(tensor.size / ALIGNMENT) * ALIGNMENT;
  }
  header.pad();
  const file = fs.openSync(path, "w");
  fs.writeSync(file, header.whole());
  const blocks = { f32: pattern("f32"), [type]: pattern(type, shape.hidden) };
  for (const tensor of list) writeTensor(file, tensor, blocks[tensor.kind]);
  fs.closeSync(file);
}

module.exports = { SHAPES, TYPES };

// gguf.js FILE MODEL TYPE
if (require.main === module) {
  const [file, name, type] = process.argv.slice(2);
  if (!SHAPES[name] || !TYPES[type] || type === "f32") {
    process.stderr.write(`gguf.js: no model ${name} in ${type}\n`);
    process.exit(2);
  }
  writeModel(file, name, type);
}
