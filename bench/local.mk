# SPDX-License-Identifier: Apache-2.0

# Other engines at the same work; run by hand, installed elsewhere.
EXTRA_DIST += \
	bench/peers/bert.js \
	bench/peers/no_amx.c \
	bench/peers/onnx.js \
	bench/peers/onnxruntime.js \
	bench/peers/run-onnxruntime
