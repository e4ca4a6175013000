# SPDX-License-Identifier: Apache-2.0
"""Writes and reads safetensors files: a length, a JSON header, the data."""

import json
import struct
from pathlib import Path

import numpy as np

DTYPES = {"F32": np.dtype("<f4"), "I8": np.dtype("i1"), "U8": np.dtype("u1"),
          "I64": np.dtype("<i8")}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
# The data begins, and each tensor lies, where an aligned load of its elements can read it.
ALIGNMENT = 8


def write(path, tensors, metadata):
    """`tensors` maps names to arrays. Larger elements come first, so that all stay aligned."""
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header, end = {"__metadata__": metadata}, 0
    for name in names:
        start, end = end, end + tensors[name].nbytes
        header[name] = {"dtype": NAMES[tensors[name].dtype], "shape": list(tensors[name].shape),
                        "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            out.write(np.ascontiguousarray(tensors[name]).tobytes())


def read(path):
    """The arrays by name."""
    content = Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    data = memoryview(content)[8 + length :]
    return {name: array_of(data, entry) for name, entry in header.items()}


def array_of(data, entry):
    start, end = entry["data_offsets"]
    return np.frombuffer(data[start:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
