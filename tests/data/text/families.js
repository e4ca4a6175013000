#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Tokenizers in the manner of decoder families, and what the library that reads their files
// elsewhere makes of texts.
//
//   npm install --ignore-scripts tokenizers@0.23.2 && node families.js [COUNT [FILE]]
//
// Rewrites families/ and families.tsv beside it (COUNT random texts, 40 unless said; FILE instead
// of families.tsv).  Vocabularies are made here from a few sentences: they only have to be small
// and to use every rule.
//
//   =HEX                              a text
//   NAME<TAB>ID:BEGIN:SIZE ...        its tokens, special ones included; bytes
//   ~ID ID ...                        ids
//   NAME<TAB>HEX                      their text
'use strict';
const fs = require('fs');
const path = require('path');
const { Tokenizer } = require('tokenizers');

const SPACE = '\u2581';
const sentences = [
  'The quick brown fox jumps over the lazy dog, and the dog doesn\'t care; it\'s 12:30 in 1987.',
  'We\'ll see what they\'ve written: "there is no place like home", he\'d say -- I\'m sure you\'re right!',
  'Stra\u00dfe, na\u00efve caf\u00e9 cr\u00e8me, \u010ce\u0161tina a jej\u00ed h\u00e1\u010dky, \u0394\u03b5\u03bb\u03c4\u03b1 \u03ba\u03b1\u03b9 \u03b1\u03bb\u03c6\u03b1\u03b2\u03b7\u03c4\u03bf.',
  '\u4e2d\u6587\u5206\u8bcd\u4e0d\u7528\u7a7a\u683c\uff0c\u65e5\u672c\u8a9e\u3082\u540c\u3058\u3067\u3059\u3002 \ud55c\uad6d\uc5b4 \ub744\uc5b4\uc4f0\uae30.',
  'for (int i = 0; i < 100; i++) {\n\tsum += values[i];\n}\n\nreturn   sum;\r\n    // done',
  '\u041c\u043e\u0441\u043a\u0432\u0430 \u0438 \u0432\u0435\u0441\u044c \u043c\u0438\u0440 \ud83d\ude00 \ud83d\udc69\u200d\ud83d\udcbb emoji 3.14159 2,718 1000000',
];

// A generator of 32-bit numbers (xorshift), the same every time.
let state = 2463534242;
const below = n => {
  state ^= state << 13; state ^= state >>> 17; state ^= state << 5;
  return (state >>> 0) % n;
};
const pick = list => list[below(list.length)];

// GPT-2's characters for bytes.
const byteChars = [];
for (let b = 0, next = 256; b < 256; b++)
  byteChars.push(String.fromCodePoint(
    (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174 ? b : next++));
const toByteChars = text => [...Buffer.from(text)].map(b => byteChars[b]).join('');

// Merges of the commonest pairs within words.
function train(words, n) {
  const split = words.map(word => [...word]);
  const merges = [];
  while (merges.length < n) {
    const counts = new Map();
    for (const word of split)
      for (let i = 0; i + 1 < word.length; i++) {
        const key = word[i] + '\0' + word[i + 1];
        counts.set(key, (counts.get(key) || 0) + 1);
      }
    const best = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0];
    if (!best || best[1] < 2) break;
    const [left, right] = best[0].split('\0');
    merges.push([left, right]);
    for (const word of split)
      for (let i = 0; i + 1 < word.length; i++)
        if (word[i] === left && word[i + 1] === right) word.splice(i, 2, left + right);
  }
  return merges;
}

const byteNames = [...Array(256).keys()].map(
  b => '<0x' + b.toString(16).toUpperCase().padStart(2, '0') + '>');

function ids(tokens) {
  const vocab = {};
  for (const token of tokens)
    if (!(token in vocab)) vocab[token] = Object.keys(vocab).length;
  return vocab;
}

const gpt2Pattern =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const llama3Pattern = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" +
  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const qwen2Pattern = llama3Pattern.replace('{1,3}', '');

function byteLevelBpe(specials, options = {}) {
  const words = sentences.join('\n').match(/ ?\S+|\s+/g).map(toByteChars);
  const merges = train(words, 220);
  const vocab = ids([...byteChars, ...merges.map(m => m.join('')), ...specials]);
  return { type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null,
    end_of_word_suffix: null, fuse_unk: false, byte_fallback: false, ignore_merges: false,
    vocab, merges: merges.map(m => m.join(' ')), ...options };
}

function metaspaceBpe(options = {}, chars = /[ -~\u00df-\u017f\u2581]/u) {
  const words = sentences.join('\n').replace(/ /g, SPACE).match(/\u2581?[^\u2581]+|\u2581/g);
  const known = words.map(word => [...word].filter(c => chars.test(c)).join(''));
  const merges = train(known, 200);
  const spaces = [[SPACE, SPACE], [SPACE + SPACE, SPACE + SPACE]];
  const letters = new Set(known.join(''));
  const vocab = ids(['<unk>', '<s>', '</s>', ...byteNames, ...spaces.map(m => m.join('')),
    ...merges.map(m => m.join('')), ...letters, SPACE]);
  return { type: 'BPE', dropout: null, unk_token: '<unk>', continuing_subword_prefix: null,
    end_of_word_suffix: null, fuse_unk: true, byte_fallback: true, ignore_merges: false, vocab,
    merges: [...spaces, ...merges], ...options };
}

function unigram(byteFallback, first) {
  const words = sentences.join(' ').split(/\s+/).map(word => SPACE + word);
  const counts = new Map();
  for (const word of words)
    for (let i = 0; i < word.length; i++)
      for (let k = i + 1; k <= Math.min(word.length, i + 5); k++) {
        const part = word.slice(i, k);
        if ([...part].every(c => /[ -~\u00df-\u017f\u2581\u4e00-\u9fff]/.test(c)) && !/[\u{10000}-\u{10ffff}]/u.test(part))
          counts.set(part, (counts.get(part) || 0) + 1);
      }
  const kept = [...counts].sort((a, b) => b[1] * b[0].length - a[1] * a[0].length ||
    (a[0] < b[0] ? -1 : 1)).slice(0, 400);
  const vocab = [...first.map(token => [token, 0])];
  if (byteFallback) vocab.push(...byteNames.map(name => [name, 0]));
  for (const [part, count] of kept)
    vocab.push([part, Math.round(Math.log(count / 5000) * 1000) / 1000]);
  return { type: 'Unigram', unk_id: first.indexOf('<unk>'), vocab, byte_fallback: byteFallback };
}

const added = (id, content, more = {}) => ({ id, content, single_word: false, lstrip: false,
  rstrip: false, normalized: false, special: true, ...more });
const idOf = (model, token) => Array.isArray(model.vocab)
  ? model.vocab.findIndex(v => v[0] === token) : model.vocab[token];
const bosTemplate = (token, id) => ({ type: 'TemplateProcessing',
  single: [{ SpecialToken: { id: token, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
  pair: [{ SpecialToken: { id: token, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } },
    { SpecialToken: { id: token, type_id: 1 } }, { Sequence: { id: 'B', type_id: 1 } }],
  special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } } });
const eosTemplate = (token, id) => ({ type: 'TemplateProcessing',
  single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: token, type_id: 0 } }],
  pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 0 } },
    { SpecialToken: { id: token, type_id: 0 } }],
  special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } } });
const byteLevel = (prefix, regex) => ({ type: 'ByteLevel', add_prefix_space: prefix,
  trim_offsets: true, use_regex: regex });
const splitThenBytes = regex => ({ type: 'Sequence', pretokenizers: [
  { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false },
  byteLevel(false, false)] });
const metaspace = (prepend_scheme, split) =>
  ({ type: 'Metaspace', replacement: SPACE, prepend_scheme, split });
const toSpaces = { type: 'Replace', pattern: { String: SPACE }, content: ' ' };
const sequence = (key, list) => ({ type: 'Sequence', [key]: list });

function file(parts) {
  return { version: '1.0', truncation: null, padding: null, added_tokens: [], normalizer: null,
    pre_tokenizer: null, post_processor: null, decoder: null, ...parts };
}

// SentencePiece's table of replacements: a double array (src/text/charsmap.h says how it is packed),
// placed greedily, and the replacements behind it.
function charsmap(pairs) {
  const root = { children: new Map(), value: -1 };
  let strings = Buffer.alloc(0);
  for (const [from, to] of pairs) {
    let node = root;
    for (const byte of Buffer.from(from)) {
      if (!node.children.has(byte)) node.children.set(byte, { children: new Map(), value: -1 });
      node = node.children.get(byte);
    }
    node.value = strings.length;
    strings = Buffer.concat([strings, Buffer.from(to + '\0')]);
  }
  const units = new Map([[0, 0]]);
  const place = (node, at, byte) => {
    const labels = [...(node.value >= 0 ? [0] : []), ...node.children.keys()];
    let base = at + 1;
    while (labels.some(label => units.has(base ^ label))) base++;
    for (const label of labels) units.set(base ^ label, 0);
    const distance = at ^ base;
    if (distance >= 1 << 21) throw new Error('too far');
    units.set(at, (distance << 10 | (node.value >= 0 ? 256 : 0) | byte) >>> 0);
    if (node.value >= 0) units.set(base, (0x80000000 | node.value) >>> 0);
    for (const [label, child] of node.children) place(child, base ^ label, label);
  };
  place(root, 0, 0);
  const n = (Math.max(...units.keys()) | 255) + 1;
  const out = Buffer.alloc(4 + 4 * n);
  out.writeUInt32LE(4 * n, 0);
  for (const [at, unit] of units) out.writeUInt32LE(unit, 4 + 4 * at);
  return Buffer.concat([out, strings]).toString('base64');
}

const families = {
  gpt2() {
    const model = byteLevelBpe(['<|endoftext|>'], { unk_token: '' , ignore_merges: undefined });
    delete model.ignore_merges;
    model.unk_token = null;
    return file({ model, pre_tokenizer: byteLevel(false, true), decoder: byteLevel(true, true),
      post_processor: byteLevel(true, true),
      added_tokens: [added(idOf(model, '<|endoftext|>'), '<|endoftext|>', { normalized: true })] });
  },
  llama3() {
    const model = byteLevelBpe([], { ignore_merges: true });
    // Whole words that no merges make.
    for (const word of ['\u0120written', '\u0120brown', '1987', 'leading'])
      if (!(word in model.vocab)) model.vocab[word] = Object.keys(model.vocab).length;
    const bos = Object.keys(model.vocab).length;
    return file({ model, pre_tokenizer: splitThenBytes(llama3Pattern),
      post_processor: sequence('processors', [byteLevel(true, true),
        bosTemplate('<|begin_of_text|>', bos)]),
      decoder: byteLevel(true, true),
      added_tokens: [added(bos, '<|begin_of_text|>'), added(bos + 1, '<|eot_id|>')] });
  },
  qwen2() {
    const model = byteLevelBpe([]);
    const n = Object.keys(model.vocab).length;
    return file({ model, normalizer: { type: 'NFC' }, pre_tokenizer: splitThenBytes(qwen2Pattern),
      post_processor: byteLevel(false, false), decoder: byteLevel(false, false),
      added_tokens: [added(n, '<|im_start|>'), added(n + 1, '<|im_end|>'),
        added(n + 2, '<tool>', { special: false })] });
  },
  llama2() {
    const model = metaspaceBpe();
    return file({ model,
      normalizer: sequence('normalizers', [{ type: 'Prepend', prepend: SPACE },
        { type: 'Replace', pattern: { String: ' ' }, content: SPACE }]),
      post_processor: bosTemplate('<s>', 1),
      decoder: sequence('decoders', [toSpaces, { type: 'ByteFallback' }, { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 }]),
      added_tokens: [added(0, '<unk>'), added(1, '<s>'), added(2, '</s>')] });
  },
  mistral() {
    const model = metaspaceBpe({ byte_fallback: false });
    return file({ model, pre_tokenizer: metaspace('first', false),
      decoder: sequence('decoders', [toSpaces, { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 }]),
      added_tokens: [added(0, '<unk>'), added(1, '<s>'), added(2, '</s>', { lstrip: true }),
        added(Object.keys(model.vocab).length, 'fox', { special: false, single_word: true })] });
  },
  gemma() {
    const model = metaspaceBpe({ fuse_unk: false });
    return file({ model,
      normalizer: { type: 'Replace', pattern: { String: ' ' }, content: SPACE },
      pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious',
        invert: false },
      decoder: sequence('decoders', [toSpaces, { type: 'ByteFallback' }, { type: 'Fuse' }]),
      added_tokens: [added(0, '<unk>'), added(1, '<s>'), added(2, '</s>', { rstrip: true })] });
  },
  t5() {
    const model = unigram(false, ['<pad>', '</s>', '<unk>']);
    return file({ model,
      normalizer: sequence('normalizers', [{ type: 'NFKC' }, { type: 'Strip', strip_left: false,
        strip_right: true }, { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' }]),
      pre_tokenizer: sequence('pretokenizers', [{ type: 'WhitespaceSplit' },
        metaspace('always', true)]),
      post_processor: eosTemplate('</s>', 1), decoder: metaspace('always', true),
      added_tokens: [added(0, '<pad>'), added(1, '</s>'), added(2, '<unk>')] });
  },
  bytes() {
    const model = unigram(true, ['<unk>', '<s>']);
    return file({ model, normalizer: sequence('normalizers', [{ type: 'NFKD' },
        { type: 'StripAccents' }, { type: 'Lowercase' }]),
      pre_tokenizer: metaspace('never', true),
      decoder: sequence('decoders', [toSpaces, { type: 'ByteFallback' }, { type: 'Fuse' }]),
      added_tokens: [added(0, '<unk>'), added(1, '<s>', { normalized: true })] });
  },
  one() {
    // A whole text as one word, spaces kept where they are.
    const model = unigram(false, ['<unk>']);
    return file({ model, pre_tokenizer: metaspace('first', false),
      decoder: metaspace('first', false), added_tokens: [added(0, '<unk>')] });
  },
  charsmap() {
    // Longer and shorter replacements, empty ones, keys that begin other keys, clusters.
    const model = unigram(false, ['<s>', '<pad>', '</s>', '<unk>']);
    const pairs = [['\n', ' '], ['\r', ' '], ['\t', ' '], ['\u00a0', ' '], ['\u3000', ' '],
      ['\u2028', ' '], ['\ufb01', 'fi'], ['\u1e9e', 'SS'], ['\u00bd', '1/2'], ['\u200b', ''],
      ['e\u0301', '\u00e9'], ['e\u0301x', '!'], ['a', 'b'], ['\u0662', '2'], ['\ufffd', '\u2581'],
      ['\ud83d\ude00', ':-)'], ['\u4e2d\u6587', 'zhongwen'], ['\u6587', 'wen'], ['...', '\u2026'],
      ['\u1101\u1161', '\uae4c'], ['\ud83c\udde8', 'C'], ['\u0301', '\'']];
    return file({ model,
      normalizer: sequence('normalizers', [
        { type: 'Precompiled', precompiled_charsmap: charsmap(pairs) },
        { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' }]),
      pre_tokenizer: metaspace('always', true), decoder: metaspace('always', true),
      post_processor: bosTemplate('<s>', 0),
      added_tokens: [added(0, '<s>'), added(2, '</s>'), added(3, '<unk>')] });
  },
};

const pieces = [...sentences.flatMap(s => s.match(/\S+|\s+/g)), ' ', '  ', '\n', '\r\n', '\t', '\n\n  ',
  '\u00a0', '\u3000', '\u2028', 'e\u0301', '\u1e9e', '\ufb01', '\u0130', '\u2581', '\u2581\u2581', '<s>',
  ' </s> ', '<unk>', '<|endoftext|>', '<|im_start|>', '<tool>', '<0x41>', '\'S', '\'LL', '\'\u017f',
  '12345', '\u0662\u0663', '\u00bd', '...', '!!!\n', ' fox ', 'foxes', '\ud83c\udde8\ud83c\uddff', '\u0000', '\ufffd',
  '\u10d0\u10d1', '\u200b'];
const texts = ['', ' ', '  ', ' a', 'a ', '\n', 'Hello', ' Hello  world ', ...sentences,
  '<s>fox</s>fox <s> fox', '   leading', 'trailing   ', '\u2581\u2581a\u2581b', 'a\n \n b', '\'\u017f don\'T'];

const clusters = ['e\u0301', 'e\u0301xa', 'ae\u0301\u0302', '\u00bd\u0301b', '\r\n', 'a\r\n\r\nb',
  '\u1101\u1161', '\u1101\u1161\u11a8', '\u4e2d\u6587', 'y\u200b\u200ba', 'x\u200b', '\ud83d\ude00\u200d',
  '\ud83c\udde8\ud83c\uddff', 'a\u0301', '\u0301', 'o\u0301\u0301\u0301\u0301', '\u0915\u094d\u0937'];

const hex = text => Buffer.from(text).toString('hex');

// Characters to bytes, for the ranges of tokens.
function byteOffsets(text) {
  const at = [0];
  for (const c of text) at.push(at[at.length - 1] + Buffer.byteLength(c));
  return at;
}

async function main() {
  const count = Number(process.argv[2] || 40);
  const tokenizers = {};
  for (const [name, make] of Object.entries(families)) {
    const json = JSON.stringify(make());
    fs.writeFileSync(path.join(__dirname, 'families', name + '.json'), json + '\n');
    tokenizers[name] = Tokenizer.fromString(json);
  }
  for (let i = 0; i < count; i++) {
    let text = '';
    for (let n = 1 + below(8); n; n--) text += pick(pieces) + (below(2) ? ' ' : '');
    texts.push(text);
  }
  texts.push(...clusters);
  const lines = [];
  const seen = {};
  for (const text of texts) {
    const at = byteOffsets(text);
    lines.push('=' + hex(text));
    for (const [name, tokenizer] of Object.entries(tokenizers)) {
      const encoding = await tokenizer.encode(text);
      const tokens = encoding.getIds().map((id, i) => {
        const [begin, end] = encoding.getOffsets()[i];
        return id + ':' + at[begin] + ':' + (at[end] - at[begin]);
      });
      lines.push(name + '\t' + tokens.join(' '));
      (seen[name] = seen[name] || []).push(encoding.getIds());
    }
  }
  // What encoding gave, and any ids: the bytes of a run there would be judged as a whole, so that
  // only complete runs are compared.
  for (const [name, tokenizer] of Object.entries(tokenizers)) {
    const n = Object.keys(tokenizer.getVocab(true)).length;
    const lists = seen[name].filter(list => list.length).slice(-count);
    for (let i = 0; i < count; i++) {
      const list = [];
      for (let k = below(12); k; k--) {
        const id = below(n);
        if (!/^<0x..>$/.test(tokenizer.idToToken(id) || '')) list.push(id);
      }
      if (list.length) lists.push(list);
    }
    for (const list of lists) {
      lines.push('~' + list.join(' '));
      lines.push(name + '\t' + hex(await tokenizer.decode(list, true)));
    }
  }
  fs.writeFileSync(process.argv[3] || path.join(__dirname, 'families.tsv'), lines.join('\n') + '\n');
}

main();
