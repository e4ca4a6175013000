#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the golden files of tests/check_model.c with nothing but struct and json.

every_dtype.safetensors   one tensor of each storage, odd offsets included
every_dtype.expected      for each tensor a line: name, n, n x bits of the fp32 value in hex
bitmask.safetensors       sparse-bitmask and sparse-24-bitmask matrices with the dense ones beside
                          them
"""
import json
import math
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


def write_safetensors(name, tensors, metadata=None):
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for key, (dtype, shape, raw) in tensors.items():
        offsets = [len(data), len(data) + len(raw)]
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    with open(os.path.join(HERE, name), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def pack(code, values):
    return struct.pack("<%d%s" % (len(values), code), *values)


def f32_bits(value):
    """Round to nearest; what is too large becomes infinite."""
    try:
        return struct.unpack("<I", struct.pack("<f", value))[0]
    except OverflowError:
        return 0xFF800000 if value < 0 else 0x7F800000


def half_to_f32_bits(half):
    """By the definition of binary16, not by shifting; NaN keeps its payload."""
    sign, exponent, fraction = half >> 15, half >> 10 & 31, half & 1023
    if exponent == 31:
        return sign << 31 | 0xFF << 23 | fraction << 13
    scale = 2.0 ** -24 if exponent == 0 else 2.0 ** (exponent - 25)
    value = (fraction if exponent == 0 else fraction + 1024) * scale
    return f32_bits(math.copysign(value, -1.0 if sign else 1.0))


def every_dtype():
    patterns = [i * 257 & 0xFFFF for i in range(256)]
    halves = patterns + [0, 0x8000, 1, 0x3FF, 0x400, 0x7BFF, 0x7C00, 0xFC00, 0x7C01, 0x7E00,
                         0xFE55, 0x3C00, 0x8001, 0x83FF]
    bfloats = patterns + [0, 0x8000, 1, 0x7F, 0x80, 0x7F7F, 0x7F80, 0xFF80, 0x7F81]
    floats = [0, 0x80000000, 1, 0x7FFFFF, 0x800000, 0x7F7FFFFF, 0x7F800000, 0xFF800000,
              0x7FC00001, 0x7F800001, 0x3F800000, 0xC0490FDB]
    doubles = [0.0, -0.0, 1.0, 0.1, -1 / 3, 1e300, -1e300, 1e-300, 5e-324, 3.4028235e38,
               3.40282357e38, 1.401298464324817e-45, 0.7e-45, 16777217.0, math.inf, -math.inf]
    i64 = [0, 1, -1, 2**63 - 1, -2**63, 2**24 + 1, 2**53 + 1, -12345678901]
    i32 = [0, 1, -1, 2**31 - 1, -2**31, 2**24 + 1, 2**25 + 3]
    i16, i8, u8 = [0, 1, -1, 32767, -32768], [0, 1, -1, 127, -128], [0, 1, 127, 128, 255]
    spec = [
        ("u8", "U8", "B", u8, None),  # five bytes: all that follows is at odd offsets
        ("f16", "F16", "H", halves, half_to_f32_bits),
        ("bf16", "BF16", "H", bfloats, lambda b: b << 16),
        ("f32", "F32", "I", floats, lambda b: b),
        ("f64", "F64", "d", doubles, f32_bits),
        ("i64", "I64", "q", i64, None),
        ("i32", "I32", "i", i32, None),
        ("i16", "I16", "h", i16, None),
        ("i8", "I8", "b", i8, None),
        ("bool", "BOOL", "B", [0, 1, 1], None),
    ]
    tensors, lines = {}, []
    for name, dtype, code, values, bits in spec:
        tensors[name] = (dtype, [len(values)], pack(code, values))
        bits = bits or (lambda v: f32_bits(float(v) if abs(v) < 2**53 else exact(v)))
        expected = [bits(v) for v in values]
        lines.append(" ".join([name, str(len(values))] + ["%08x" % b for b in expected]))
    tensors["scalar"] = ("F32", [], struct.pack("<f", 2.5))
    lines.append("scalar 1 %08x" % f32_bits(2.5))
    tensors["empty"] = ("F32", [3, 0, 2], b"")
    tensors["f8"] = ("F8_E4M3", [3], b"\x01\x02\x03")
    tensors["f4"] = ("F4", [2, 3], b"\x01\x02\x03")
    write_safetensors("every_dtype.safetensors", tensors, {"format": "pt", "note": "gr\u00fcn"})
    with open(os.path.join(HERE, "every_dtype.expected"), "w") as file:
        file.write("\n".join(lines) + "\n")


def exact(value):
    """A large integer as the float it rounds to in one step: 24 bits, half to even."""
    sign, size = (-1 if value < 0 else 1), abs(value)
    shift = size.bit_length() - 24
    low, high = size & (1 << shift) - 1, size >> shift
    half = 1 << shift - 1
    high += low > half or (low == half and high & 1)
    return float(sign * high) * 2.0 ** shift


def bitmask():
    tensors = {}
    for name, rows, cols, dtype, code in [("a", 5, 19, "F32", "f"), ("b", 4, 16, "I8", "b"),
                                          ("c", 1, 1, "BF16", "H"), ("d", 3, 8, "F16", "H")]:
        dense, values, bits, offsets = [], [], b"", []
        for r in range(rows):
            kept = [(r * cols + c) * 2654435761 % 97 < 30 and r != 2 for c in range(cols)]
            row = [(7 * r + 3 * c) % 11 + 1 if kept[c] else 0 for c in range(cols)]
            offsets.append(len(values))
            values += [v for v in row if v]
            packed = bytearray((cols + 7) // 8)
            for c, v in enumerate(row):
                packed[c // 8] |= (v != 0) << c % 8
            bits += bytes(packed)
            dense += row
        tensors[name + ".compressed"] = (dtype, [len(values)], pack(code, values))
        tensors[name + ".bitmask"] = ("U8", [rows, (cols + 7) // 8], bits)
        tensors[name + ".shape"] = ("I64", [2], pack("q", [rows, cols]))
        tensors[name + ".row_offsets"] = ("I64", [rows], pack("q", offsets))
        tensors[name + ".dense"] = (dtype, [rows, cols], pack(code, dense))
    two_of_four(tensors)
    write_safetensors("bitmask.safetensors", tensors)


def two_of_four(tensors):
    """Two of every four columns are kept, zeros among them; only some say their shape."""
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    for name, rows, cols, dtype, code, has_shape in [
            ("p", 5, 12, "F32", "f", True), ("q", 3, 8, "I8", "b", False),
            ("r", 2, 20, "BF16", "H", True), ("s", 1, 4, "F16", "H", False)]:
        dense, values, bits = [], [], b""
        for r in range(rows):
            row, packed = [0] * cols, bytearray((cols + 7) // 8)
            for four in range(0, cols, 4):
                for i in pairs[(r * 7 + four * 3 + 1) % 6]:
                    column = four + i
                    row[column] = (7 * r + 3 * column) % 5
                    values.append(row[column])
                    packed[column // 8] |= 1 << column % 8
            bits += bytes(packed)
            dense += row
        tensors[name + ".compressed"] = (dtype, [rows, cols // 2], pack(code, values))
        tensors[name + ".bitmask"] = ("U8", [rows, (cols + 7) // 8], bits)
        if has_shape:
            tensors[name + ".shape"] = ("I64", [2], pack("q", [rows, cols]))
        tensors[name + ".dense"] = (dtype, [rows, cols], pack(code, dense))


if __name__ == "__main__":
    every_dtype()
    bitmask()
