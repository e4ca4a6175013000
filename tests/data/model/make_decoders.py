#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes small decoders twice, with nothing but struct and json: as a Hugging Face directory and as
a GGUF file.  Every weight is exact in both, so the two must read the same.

decoders/NAME/config.json, decoders/NAME/model.safetensors    F16
decoders/NAME.gguf                                            F32, F16, BF16 and Q8_0 in turns
"""
import json
import os
import random
import struct

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "decoders")
HIDDEN, INNER, HEADS, KV_HEADS, VOCAB, POSITIONS = 32, 64, 4, 2, 40, 24
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


class Matrix:
    """Rows of integers from -127 to 127, each worth a power of two."""

    def __init__(self, rng, rows, cols):
        self.rows = [[rng.randint(-127, 127) for _ in range(cols)] for _ in range(rows)]
        for row in self.rows:  # so that a block's largest is 127 and its scale the power of two
            for begin in range(0, cols, 32):
                row[begin + rng.randrange(min(32, cols - begin))] = 127
        self.scale = 2.0 ** rng.randint(-9, -6)

    def transposed(self):
        made = object.__new__(Matrix)
        made.rows, made.scale = [list(column) for column in zip(*self.rows)], self.scale
        return made

    def stacked(self, *others):
        made = object.__new__(Matrix)
        assert all(other.scale == self.scale for other in others)
        made.rows = sum([other.rows for other in others], list(self.rows))
        made.scale = self.scale
        return made

    def permuted(self, heads):
        """The order of llama.cpp's rotation: the two features of a pair side by side."""
        size = len(self.rows) // heads
        made = object.__new__(Matrix)
        made.rows, made.scale = [None] * len(self.rows), self.scale
        for r, row in enumerate(self.rows):
            head, feature = divmod(r, size)
            which, pair = divmod(feature, size // 2)
            made.rows[head * size + 2 * pair + which] = row
        return made

    def shape(self):
        return [len(self.rows), len(self.rows[0])]

    def values(self):
        return [v * self.scale for row in self.rows for v in row]


class Vector(Matrix):
    def __init__(self, rng, n):
        super().__init__(rng, 1, n)

    def shape(self):
        return [len(self.rows[0])]


def vector_of(matrix):
    made = object.__new__(Vector)
    made.rows, made.scale = [[row[0] for row in matrix.rows]], matrix.scale
    return made


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        raw = b"".join(struct.pack("<e", v) for v in tensor.values())
        header[name] = {"dtype": "F16", "shape": tensor.shape(),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def as_f32(tensor):
    return 0, b"".join(struct.pack("<f", v) for v in tensor.values())


def as_f16(tensor):
    return 1, b"".join(struct.pack("<e", v) for v in tensor.values())


def as_bf16(tensor):
    raw = [struct.pack("<f", v) for v in tensor.values()]
    assert all(r[:2] == b"\0\0" for r in raw)
    return 30, b"".join(r[2:] for r in raw)


def as_q8_0(tensor):
    raw = b""
    for row in tensor.rows:
        for begin in range(0, len(row), 32):
            raw += struct.pack("<e32b", tensor.scale, *row[begin:begin + 32])
    return 8, raw


def string(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(kind, v):
    if kind == STRING:
        return string(v)
    if kind == ARRAY:
        element, items = v
        return struct.pack("<IQ", element, len(items)) + b"".join(value(element, i) for i in items)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], v)


def write_gguf(path, keys, tensors):
    alignment = 64
    keys = [("general.alignment", U32, alignment)] + keys
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for key, kind, v in keys:
        out += string(key) + struct.pack("<I", kind) + value(kind, v)
    data = b""
    for i, (name, tensor) in enumerate(tensors.items()):
        shape = tensor.shape()
        forms = [as_f32] if len(shape) == 1 else [as_q8_0, as_f16, as_q8_0, as_bf16, as_f32]
        number, raw = forms[i % len(forms)](tensor)
        data += b"\0" * (-len(data) % alignment)
        out += string(name) + struct.pack("<I", len(shape))
        out += b"".join(struct.pack("<Q", n) for n in reversed(shape))
        out += struct.pack("<IQ", number, len(data))
        data += raw
    out += b"\0" * (-len(out) % alignment)
    with open(path, "wb") as file:
        file.write(out + data)


def write_model(name, config, tensors, keys, gguf_tensors):
    os.makedirs(os.path.join(HERE, name), exist_ok=True)
    with open(os.path.join(HERE, name, "config.json"), "w") as file:
        json.dump(config, file, indent=1)
        file.write("\n")
    write_safetensors(os.path.join(HERE, name, "model.safetensors"), tensors)
    write_gguf(os.path.join(HERE, name + ".gguf"), keys, gguf_tensors)


def scored_tokenizer():
    """Of SentencePiece: bytes to fall back to, and words that grow by the best score."""
    tokens = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    tokens += [("<0x%02X>" % b, 0.0, 6) for b in (0x0A, 0xC3, 0xA9)]
    words = ["\u2581", "a", "b", "n", "e", "s", "t", "an", "\u2581b", "ana", "\u2581ban", "st",
             "est", "\u2581t"]
    tokens += [(w, -float(i), 1) for i, w in enumerate(words)]
    tokens += [("<|x|>", 0.0, 4)]
    tokens += [("<unused%d>" % i, 0.0, 5) for i in range(VOCAB - len(tokens))]
    return [("tokenizer.ggml.model", STRING, "llama"),
            ("tokenizer.ggml.pre", STRING, "default"),
            ("tokenizer.ggml.tokens", ARRAY, (STRING, [t[0] for t in tokens])),
            ("tokenizer.ggml.scores", ARRAY, (F32, [t[1] for t in tokens])),
            ("tokenizer.ggml.token_type", ARRAY, (I32, [t[2] for t in tokens])),
            ("tokenizer.ggml.bos_token_id", U32, 1), ("tokenizer.ggml.eos_token_id", U32, 2),
            ("tokenizer.ggml.unknown_token_id", U32, 0),
            ("tokenizer.ggml.add_bos_token", BOOL, True),
            ("tokenizer.ggml.add_eos_token", BOOL, False)]


def byte_tokenizer(pre):
    """Of GPT-2: every letter used, and merges."""
    tokens = ["<|endoftext|>", "\u0120", "a", "b", "n", "e", "s", "t", "\u00c3", "\u00a9", "1", "2",
              "an", "\u0120b", "ana", "st", "est", "\u0120t", "12"]
    merges = ["a n", "\u0120 b", "an a", "s t", "e st", "\u0120 t", "1 2"]
    types = [3] + [1] * (len(tokens) - 1) + [5] * (VOCAB - len(tokens))
    tokens += ["<unused%d>" % i for i in range(VOCAB - len(tokens))]
    return [("tokenizer.ggml.model", STRING, "gpt2"), ("tokenizer.ggml.pre", STRING, pre),
            ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
            ("tokenizer.ggml.token_type", ARRAY, (I32, types)),
            ("tokenizer.ggml.merges", ARRAY, (STRING, merges)),
            ("tokenizer.ggml.bos_token_id", U32, 0), ("tokenizer.ggml.eos_token_id", U32, 0)]


def llama_like(name, arch, layers, rng, biases, permute, tied, more_config, more_keys, tokenizer):
    head = HIDDEN // HEADS
    config = {"model_type": arch, "architectures": [name.capitalize() + "ForCausalLM"],
              "vocab_size": VOCAB, "hidden_size": HIDDEN, "intermediate_size": INNER,
              "num_hidden_layers": layers, "num_attention_heads": HEADS,
              "num_key_value_heads": KV_HEADS, "max_position_embeddings": POSITIONS,
              "rms_norm_eps": 2.0 ** -16, "tie_word_embeddings": tied, "hidden_act": "silu"}
    config.update(more_config)
    keys = [("general.architecture", STRING, arch), (arch + ".context_length", U32, POSITIONS),
            (arch + ".embedding_length", U32, HIDDEN), (arch + ".block_count", U32, layers),
            (arch + ".feed_forward_length", U32, INNER),
            (arch + ".attention.head_count", U32, HEADS),
            (arch + ".attention.head_count_kv", U32, KV_HEADS),
            (arch + ".rope.dimension_count", U32, head),
            (arch + ".attention.layer_norm_rms_epsilon", F32, 2.0 ** -16)] + more_keys
    hf, gguf = {}, {}

    def add(hf_name, gguf_name, tensor, stored=None):
        hf[hf_name], gguf[gguf_name] = tensor, stored or tensor

    add("model.embed_tokens.weight", "token_embd.weight", Matrix(rng, VOCAB, HIDDEN))
    for i in range(layers):
        p, b = "model.layers.%d." % i, "blk.%d." % i
        add(p + "input_layernorm.weight", b + "attn_norm.weight", Vector(rng, HIDDEN))
        for letter, n in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)):
            w = Matrix(rng, n * head, HIDDEN)
            moved = permute and letter != "v"
            add(p + "self_attn.%s_proj.weight" % letter, b + "attn_%s.weight" % letter, w,
                w.permuted(n) if moved else None)
            if biases:
                bias = Matrix(rng, n * head, 1)
                add(p + "self_attn.%s_proj.bias" % letter, b + "attn_%s.bias" % letter,
                    vector_of(bias), vector_of(bias.permuted(n)) if moved else None)
        add(p + "self_attn.o_proj.weight", b + "attn_output.weight", Matrix(rng, HIDDEN, HIDDEN))
        if biases and arch == "llama":
            add(p + "self_attn.o_proj.bias", b + "attn_output.bias", Vector(rng, HIDDEN))
        add(p + "post_attention_layernorm.weight", b + "ffn_norm.weight", Vector(rng, HIDDEN))
        add(p + "mlp.gate_proj.weight", b + "ffn_gate.weight", Matrix(rng, INNER, HIDDEN))
        add(p + "mlp.up_proj.weight", b + "ffn_up.weight", Matrix(rng, INNER, HIDDEN))
        add(p + "mlp.down_proj.weight", b + "ffn_down.weight", Matrix(rng, HIDDEN, INNER))
    add("model.norm.weight", "output_norm.weight", Vector(rng, HIDDEN))
    if not tied:
        add("lm_head.weight", "output.weight", Matrix(rng, VOCAB, HIDDEN))
    write_model(name, config, hf, keys + tokenizer, gguf)


def gpt2(rng):
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": VOCAB,
              "n_embd": HIDDEN, "n_layer": 1, "n_head": HEADS, "n_inner": None,
              "n_positions": POSITIONS, "layer_norm_epsilon": 2.0 ** -16,
              "activation_function": "gelu_new", "bos_token_id": 0, "eos_token_id": 0}
    keys = [("general.architecture", STRING, "gpt2"), ("gpt2.context_length", U32, POSITIONS),
            ("gpt2.embedding_length", U32, HIDDEN), ("gpt2.block_count", U32, 1),
            ("gpt2.feed_forward_length", U32, 4 * HIDDEN),
            ("gpt2.attention.head_count", U32, HEADS),
            ("gpt2.attention.layer_norm_epsilon", F32, 2.0 ** -16)]
    hf, gguf = {}, {}

    def linear(hf_name, gguf_name, out, size):
        """Conv1D is [in, out]; GGUF has it the usual way."""
        w = Matrix(rng, out, size)
        hf[hf_name + ".weight"], gguf[gguf_name + ".weight"] = w.transposed(), w
        hf[hf_name + ".bias"] = gguf[gguf_name + ".bias"] = Vector(rng, out)

    def norm(hf_name, gguf_name):
        for part in (".weight", ".bias"):
            hf[hf_name + part] = gguf[gguf_name + part] = Vector(rng, HIDDEN)

    hf["transformer.wte.weight"] = gguf["token_embd.weight"] = Matrix(rng, VOCAB, HIDDEN)
    hf["transformer.wpe.weight"] = gguf["position_embd.weight"] = Matrix(rng, POSITIONS, HIDDEN)
    p, b = "transformer.h.0.", "blk.0."
    norm(p + "ln_1", b + "attn_norm")
    linear(p + "attn.c_attn", b + "attn_qkv", 3 * HIDDEN, HIDDEN)
    linear(p + "attn.c_proj", b + "attn_output", HIDDEN, HIDDEN)
    norm(p + "ln_2", b + "ffn_norm")
    linear(p + "mlp.c_fc", b + "ffn_up", 4 * HIDDEN, HIDDEN)
    linear(p + "mlp.c_proj", b + "ffn_down", HIDDEN, 4 * HIDDEN)
    norm("transformer.ln_f", "output_norm")
    write_model("gpt2", config, hf, keys + byte_tokenizer("gpt-2"), gguf)


def main():
    llama_like("llama", "llama", 2, random.Random(1), True, True, False,
               {"attention_bias": True, "rope_theta": 5000.0, "bos_token_id": 1, "eos_token_id": 2,
                "rope_scaling": {"rope_type": "linear", "factor": 4.0}},
               [("llama.rope.freq_base", F32, 5000.0),
                ("llama.rope.scaling.type", STRING, "linear"),
                ("llama.rope.scaling.factor", F32, 4.0), ("llama.vocab_size", U32, VOCAB)],
               scored_tokenizer())
    llama_like("qwen2", "qwen2", 1, random.Random(2), True, False, True,
               {"bos_token_id": 0, "eos_token_id": 0}, [], byte_tokenizer("qwen2"))
    gpt2(random.Random(3))


if __name__ == "__main__":
    main()
