/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as tokenizer files, and then as text: file, NUL, text.  A first byte v means
 * vocab.txt, m vocab.json and merges.txt with a form feed between; all else is tokenizer.json. */
#include <stdlib.h>
#include <string.h>

#include "src/text/tokenizer.h"
#include "src/text/unicode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int condition)
{
    if (!condition)
        abort();
}

/* Pieces one after another are the whole text, and each is whole characters. */
static void decode(const struct lac_tokenizer *tokenizer, const int32_t *ids, size_t n)
{
    size_t size = lac_tokenizer_decode(tokenizer, ids, n, NULL, 0), done = 0;
    size_t room = lac_tokenizer_decode_room(tokenizer);
    char *whole = malloc(size + 1), *piece = malloc(room);
    struct lac_decode_state state = {0};
    expect(whole && piece && lac_tokenizer_decode(tokenizer, ids, n, whole, size + 1) == size);
    for (size_t i = 0; i <= n; i++) {
        size_t added = i < n ? lac_tokenizer_decode_next(tokenizer, &state, ids[i], piece, room)
                             : lac_tokenizer_decode_end(tokenizer, &state, piece, room);
        expect(added < room && done + added <= size);
        expect(memcmp(whole + done, piece, added) == 0);
        expect(lac_utf8_check(piece, added) == added);
        done += added;
    }
    expect(done == size);
    free(whole);
    free(piece);
}

static void encode(const struct lac_tokenizer *tokenizer, const char *text, size_t size)
{
    struct lac_encoding encoding = {0};
    char back[64];
    if (!lac_tokenizer_encode(tokenizer, text, size, text, size, 0, LAC_TRUNCATE_LONGEST,
                              &encoding)) {
        for (size_t i = 0; i < encoding.n; i++) {
            expect(encoding.begin[i] <= encoding.end[i] && encoding.end[i] <= size);
            expect(lac_tokenizer_token(tokenizer, encoding.ids[i]) != NULL);
        }
        (void)lac_tokenizer_decode(tokenizer, encoding.ids, encoding.n, back, sizeof back);
        expect(strlen(back) < sizeof back);
        decode(tokenizer, encoding.ids, encoding.n);
        for (size_t i = 0; i < encoding.n; i++)
            encoding.ids[i] = (int32_t)((i * i + 3) % (lac_tokenizer_vocab_size(tokenizer) + 1));
        decode(tokenizer, encoding.ids, encoding.n);
    }
    lac_encoding_clear(&encoding);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char sample[] =
        "The caf\xc3\xa9, [MASK] \xe4\xb8\xad\xe6\x96\x87 don't 1987 e\xcc\x81";
    if (!size)
        return 0;
    size_t skip = data[0] == 'v' || data[0] == 'm';
    const char *file = (const char *)data + skip;
    size_t left = size - skip;
    const char *end = memchr(file, 0, left);
    size_t n_file = end ? (size_t)(end - file) : left;
    struct lac_tokenizer_texts texts = {.kind = LAC_TOKENIZER_JSON, .main = {file, n_file}};
    if (data[0] == 'v')
        texts.kind = LAC_TOKENIZER_VOCAB;
    const char *merges = data[0] == 'm' ? memchr(file, '\f', n_file) : NULL;
    if (merges) {
        texts.kind = LAC_TOKENIZER_MERGES;
        texts.main.size = (size_t)(merges - file);
        texts.merges = (struct lac_slice){merges + 1, n_file - texts.main.size - 1};
    }
    struct lac_tokenizer *tokenizer;
    struct lac_error error;
    if (lac_tokenizer_open_texts(&lac_default_host, "input", &texts, &tokenizer, &error))
        return 0;
    encode(tokenizer, sample, sizeof sample - 1);
    if (end)
        encode(tokenizer, end + 1, left - n_file - 1);
    lac_tokenizer_free(tokenizer);
    return 0;
}
