# SPDX-License-Identifier: Apache-2.0

# The sparse models are installed, and are what `lacuna` runs when it is told of no other.
wordnetsparsedir = $(pkgdatadir)/wordnet-encoder-sparse
dist_wordnetsparse_DATA = \
	models/LICENSE.WordNet \
	models/wordnet-encoder-sparse/config.json \
	models/wordnet-encoder-sparse/model.safetensors \
	models/wordnet-encoder-sparse/tokenizer.json \
	models/wordnet-encoder-sparse/tokenizer_config.json \
	models/wordnet-encoder-sparse/vocab.txt
wordnetdecoderdir = $(pkgdatadir)/wordnet-decoder-sparse
dist_wordnetdecoder_DATA = \
	models/wordnet-decoder-sparse/config.json \
	models/wordnet-decoder-sparse/generation_config.json \
	models/wordnet-decoder-sparse/model.safetensors \
	models/wordnet-decoder-sparse/tokenizer.json \
	models/wordnet-decoder-sparse/tokenizer_config.json
EXTRA_DIST += \
	models/README.md \
	models/needle/attention.json \
	models/needle/config.json \
	models/needle/generation_config.json \
	models/needle/heads.json \
	models/needle/model.safetensors \
	models/needle/tokenizer.json \
	models/wordnet-decoder-dense/config.json \
	models/wordnet-decoder-dense/generation_config.json \
	models/wordnet-decoder-dense/model.safetensors \
	models/wordnet-decoder-dense/tokenizer.json \
	models/wordnet-decoder-dense/tokenizer_config.json \
	models/wordnet-encoder-dense/config.json \
	models/wordnet-encoder-dense/model.safetensors \
	models/wordnet-encoder-dense/tokenizer.json \
	models/wordnet-encoder-dense/tokenizer_config.json \
	models/wordnet-encoder-dense/vocab.txt \
	models/wordnet-encoder-heldout.tsv \
	models/wordnet-glosses-sample.tsv \
	models/wordnet-samples.txt
