/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer inside a GGUF file. */
#ifndef LACUNA_RUN_GGUF_TOKENIZER_H
#define LACUNA_RUN_GGUF_TOKENIZER_H

#include "src/model/gguf.h"
#include "src/text/tokenizer.h"

/* Makes a tokenizer of the keys tokenizer.ggml.*; *tokenizer is NULL when the file has none.
 * SentencePiece's BPE ("llama") and byte-level BPE ("gpt2", with the words of GPT-2, Llama 3 and
 * Qwen2) can be read; LAC_E_UNSUPPORTED names others.  name begins the messages. */
enum lac_status lac_gguf_tokenizer_open(const struct lac_host *host, const char *name,
                                        const struct lac_gguf *gguf,
                                        struct lac_tokenizer **tokenizer, struct lac_error *error);

/* Opens the file as well. */
enum lac_status lac_gguf_tokenizer_open_path(const struct lac_host *host, const char *path,
                                             struct lac_tokenizer **tokenizer,
                                             struct lac_error *error);

#endif
