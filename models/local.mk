# SPDX-License-Identifier: Apache-2.0

# The sparse model is installed, and is what `lacuna` runs when it is told of no other.
wordnetsparsedir = $(pkgdatadir)/wordnet-encoder-sparse
dist_wordnetsparse_DATA = \
	models/LICENSE.WordNet \
	models/wordnet-encoder-sparse/config.json \
	models/wordnet-encoder-sparse/model.safetensors \
	models/wordnet-encoder-sparse/tokenizer.json \
	models/wordnet-encoder-sparse/tokenizer_config.json \
	models/wordnet-encoder-sparse/vocab.txt
EXTRA_DIST += \
	models/README.md \
	models/wordnet-encoder-dense/config.json \
	models/wordnet-encoder-dense/model.safetensors \
	models/wordnet-encoder-dense/tokenizer.json \
	models/wordnet-encoder-dense/tokenizer_config.json \
	models/wordnet-encoder-dense/vocab.txt \
	models/wordnet-encoder-heldout.tsv \
	models/wordnet-glosses-sample.tsv \
	models/wordnet-samples.txt
