# SPDX-License-Identifier: Apache-2.0
"""Matrices as int8 with row scales, as bitmasks where they are sparse, and the way back."""

import json

import numpy as np
import torch

# Symmetric: -128 is never used, so that |q| <= 127.
LARGEST = 127
# Of a sparse-bitmask matrix.
PARTS = ("shape", "compressed", "bitmask", "row_offsets")


def quantized(matrix):
    """(int8[rows, columns], scale[rows, 1])"""
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    scale = np.where(largest > 0, largest / LARGEST, 1.0).astype(np.float32)
    return np.clip(np.rint(matrix / scale), -LARGEST, LARGEST).astype(np.int8), scale


def tensors_of(state):
    tensors = {}
    for name, value in state.items():
        array = value.numpy().astype(np.float32)
        if array.ndim == 2:
            tensors[name], tensors[name + "_scale"] = quantized(array)
        else:
            tensors[name] = array
    return tensors


def bitmask(matrix):
    """The parts of a sparse-bitmask matrix: nonzeros row after row, and which elements they are."""
    kept = matrix != 0
    counts = kept.sum(1)
    return {
        "shape": np.array(matrix.shape, np.int64),
        "compressed": matrix[kept],
        "bitmask": np.packbits(kept, axis=1, bitorder="little"),
        "row_offsets": (counts.cumsum() - counts).astype(np.int64),
    }


def from_bitmask(parts):
    kept = np.unpackbits(parts["bitmask"], axis=1, count=parts["shape"][1], bitorder="little")
    matrix = np.zeros(parts["shape"], np.int8)
    matrix[kept == 1] = parts["compressed"]
    return matrix


def with_bitmasks(tensors, is_sparse):
    """Matrices that are sparse by name become their parts, as compressed-tensors names them."""
    result = {}
    for name, array in tensors.items():
        if array.ndim == 2 and name.endswith(".weight") and is_sparse(name):
            parts = bitmask(array)
            result.update({name.removesuffix("weight") + part: parts[part] for part in parts})
        else:
            result[name] = array
    return result


def without_bitmasks(tensors):
    result = {}
    for name, array in tensors.items():
        module, _, part = name.rpartition(".")
        if part == "compressed":
            parts = {part: tensors[f"{module}.{part}"] for part in PARTS}
            result[module + ".weight"] = from_bitmask(parts)
        elif part not in PARTS:
            result[name] = array
    return result


def dequantized(tensors):
    """What tensors_of stored, as a state in fp32."""
    state, tensors = {}, without_bitmasks(tensors)
    for name, array in tensors.items():
        if not name.endswith("_scale"):
            scale = tensors.get(name + "_scale", np.float32(1))
            state[name] = torch.from_numpy(array.astype(np.float32) * scale)
    return state


def quantization_config(sparsity=None):
    """As compressed-tensors writes it. Embedding tables are quantised like linear weights, row by
    row; activations are not, so no input scheme is given. `sparsity` is the share of zeros in
    linear weights that are kept as bitmasks."""
    weights = {
        "num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False,
        "group_size": None, "block_structure": None, "actorder": None, "observer": "minmax",
        "observer_kwargs": {},
    }
    group = {"targets": ["Linear", "Embedding"], "weights": weights, "input_activations": None,
             "output_activations": None}
    result = {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": [],
        "kv_cache_scheme": None,
        "global_compression_ratio": None,
    }
    if sparsity is not None:
        result["sparsity_config"] = {
            "format": "sparse-bitmask", "global_sparsity": sparsity, "targets": ["Linear"],
            "ignore": ["lm_head"], "registry_requires_subclass": False,
            "sparsity_structure": "unstructured",
        }
    return result


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
