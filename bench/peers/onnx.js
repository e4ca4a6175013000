// SPDX-License-Identifier: Apache-2.0
// Writes ONNX models: the few messages of onnx.proto that a graph of weights needs, in
// protobuf's wire format (https://protobuf.dev/programming-guides/encoding/).
"use strict";

const WIRE_VARINT = 0;
const WIRE_BYTES = 2;
const WIRE_FLOAT = 5;

// TensorProto.DataType and AttributeProto.AttributeType
const KIND = { float: 1, uint8: 2, int8: 3, int32: 6, int64: 7 };
const ATTRIBUTE_FLOAT = 1;
const ATTRIBUTE_INT = 2;

const IR_VERSION = 8;
const OPSET = 17;
const MICROSOFT = "com.microsoft";

function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  bytes.push(value);
  return Buffer.from(bytes);
}

function tag(field, wire) {
  return varint(field * 8 + wire);
}

function integer(field, value) {
  return [tag(field, WIRE_VARINT), varint(value)];
}

function float(field, value) {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return [tag(field, WIRE_FLOAT), bytes];
}

// content: a string, a Buffer, or nested arrays of Buffers (a message).
function bytes(field, content) {
  const parts = typeof content === "string" ? [Buffer.from(content)] : [content].flat(Infinity);
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  return [tag(field, WIRE_BYTES), varint(size), ...parts];
}

function tensor(name, kind, shape, data) {
  const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return [shape.map((n) => integer(1, n)), integer(2, KIND[kind]), bytes(8, name), bytes(9, raw)];
}

function attribute(name, value) {
  const isInteger = name !== "epsilon";
  const stored = isInteger ? integer(3, value) : float(2, value);
  return [bytes(1, name), stored, integer(20, isInteger ? ATTRIBUTE_INT : ATTRIBUTE_FLOAT)];
}

function node(operation, inputs, outputs, attributes, domain) {
  return [
    inputs.map((name) => bytes(1, name)),
    outputs.map((name) => bytes(2, name)),
    bytes(4, operation),
    Object.entries(attributes).map(([name, value]) => bytes(5, attribute(name, value))),
    bytes(7, domain),
  ];
}

// An input or output of the graph; its dimensions are names (free) or numbers.
function value(name, kind, dimensions) {
  const dimension = (d) => (typeof d === "string" ? bytes(2, d) : integer(1, d));
  const shape = dimensions.map((d) => bytes(1, dimension(d)));
  return [bytes(1, name), bytes(2, bytes(1, [integer(1, KIND[kind]), bytes(2, shape)]))];
}

class Graph {
  constructor() {
    this.nodes = [];
    this.tensors = [];
    this.inputs = [];
    this.outputs = [];
    this.n_names = 0;
  }

  input(name, kind, dimensions) {
    this.inputs.push(value(name, kind, dimensions));
    return name;
  }

  output(name, kind, dimensions) {
    this.outputs.push(value(name, kind, dimensions));
  }

  // Data is a typed array of the kind; returns the tensor's name.
  constant(kind, shape, data) {
    const name = `t${this.n_names++}`;
    this.tensors.push(tensor(name, kind, shape, data));
    return name;
  }

  // A node of one output or more; an input that is left out is "".  Returns the outputs' names.
  add(operation, inputs, { attributes = {}, domain = "", n_outputs = 1 } = {}) {
    const outputs = Array.from({ length: n_outputs }, () => `v${this.n_names++}`);
    this.nodes.push(node(operation, inputs, outputs, attributes, domain));
    return outputs;
  }

  // An operation of ONNX Runtime's own, with one output.
  fused(operation, inputs, attributes = {}) {
    return this.add(operation, inputs, { attributes, domain: MICROSOFT })[0];
  }

  // The ModelProto.
  encode() {
    const graph = [
      this.nodes.map((each) => bytes(1, each)),
      bytes(2, "graph"),
      this.tensors.map((each) => bytes(5, each)),
      this.inputs.map((each) => bytes(11, each)),
      this.outputs.map((each) => bytes(12, each)),
    ];
    const operators = [["", OPSET], [MICROSOFT, 1]];
    const model = [
      integer(1, IR_VERSION),
      bytes(7, graph),
      operators.map(([domain, version]) => bytes(8, [bytes(1, domain), integer(2, version)])),
    ];
    return Buffer.concat(model.flat(Infinity));
  }
}

module.exports = { Graph };
