/* SPDX-License-Identifier: Apache-2.0 */
/* Small random BERT models in Hugging Face's files, for tests that need some model. */
#ifndef LACUNA_TESTS_TINY_MODEL_H
#define LACUNA_TESTS_TINY_MODEL_H

enum tiny_head { TINY_CLASSIFY, TINY_TAG, TINY_ANSWER, TINY_FILL };

/* Writes config.json, vocab.txt and model.safetensors into an existing directory.  Words: the a cat
 * dog sat on mat in sun big is who where, single letters, "##" + single letters.  Three labels
 * LOW, MID, HIGH.  At most TINY_MAX_TOKENS tokens. */
enum { TINY_MAX_TOKENS = 48 };
void tiny_model_write(const char *directory, enum tiny_head head);

#endif
