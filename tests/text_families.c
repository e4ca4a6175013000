/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers of decoder families: against another implementation's tokens and texts, and token by
 * token against all at once. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/text/charsmap.h"
#include "src/text/unicode.h"
#include "tests/text_support.h"

static const char *const names[] = {"gpt2",  "llama3", "qwen2", "llama2", "mistral",
                                    "gemma", "t5",     "bytes", "one",    "charsmap"};
enum { N_FAMILIES = sizeof names / sizeof *names };

static void open_families(struct lac_tokenizer *tokenizers[N_FAMILIES])
{
    for (size_t i = 0; i < N_FAMILIES; i++) {
        char file[64];
        snprintf(file, sizeof file, "families/%s.json", names[i]);
        tokenizers[i] = open_data(file);
    }
}

static void close_families(struct lac_tokenizer *tokenizers[N_FAMILIES])
{
    for (size_t i = 0; i < N_FAMILIES; i++)
        lac_tokenizer_free(tokenizers[i]);
}

static bool is_utf8(const char *text, size_t size)
{
    return lac_utf8_check(text, size) == size;
}

/* Decodes token by token; every piece is whole characters, and a call without enough room changes
 * nothing. */
static size_t decode_by_token(const struct lac_tokenizer *tokenizer, const int32_t *ids, size_t n,
                              char *text)
{
    struct lac_decode_state state = {0};
    size_t size = 0, room = lac_tokenizer_decode_room(tokenizer);
    char *piece = malloc(room);
    for (size_t i = 0; i <= n; i++) {
        struct lac_decode_state before = state;
        size_t needed = i < n ? lac_tokenizer_decode_next(tokenizer, &state, ids[i], NULL, 0)
                              : lac_tokenizer_decode_end(tokenizer, &state, NULL, 0);
        ck_assert_mem_eq(&state, &before, sizeof state);
        ck_assert_uint_lt(needed, room);
        size_t written =
            i < n ? lac_tokenizer_decode_next(tokenizer, &state, ids[i], piece, needed + 1)
                  : lac_tokenizer_decode_end(tokenizer, &state, piece, needed + 1);
        ck_assert_uint_eq(written, needed);
        ck_assert_int_eq(piece[written], '\0');
        ck_assert(is_utf8(piece, written));
        memcpy(text + size, piece, written);
        size += written;
    }
    free(piece);
    ck_assert_uint_eq(state.n_tokens, 0);
    text[size] = '\0';
    return size;
}

static void expect_text(const struct lac_tokenizer *tokenizer, const int32_t *ids, size_t n,
                        const char *expected, size_t size)
{
    static char text[1 << 16], again[1 << 16];
    size_t found = lac_tokenizer_decode(tokenizer, ids, n, text, sizeof text);
    ck_assert_uint_lt(found, sizeof text);
    if (found != size || memcmp(text, expected, size))
        ck_abort_msg("expected \"%.*s\"\nfound    \"%s\"", (int)size, expected, text);
    ck_assert_uint_eq(decode_by_token(tokenizer, ids, n, again), size);
    ck_assert_mem_eq(again, expected, size);
}

static size_t read_ids(const char *text, int32_t *ids)
{
    size_t n = 0;
    int used;
    for (; sscanf(text, "%d%n", &ids[n], &used) == 1; n++)
        text += used;
    return n;
}

/* What another implementation found (families.js). */
START_TEST(agrees_with_families)
{
    struct lac_tokenizer *tokenizers[N_FAMILIES];
    static char line[1 << 18], text[1 << 16], expected[1 << 18];
    static int32_t ids[1 << 14];
    size_t size = 0, n_ids = 0, n_compared = 0;
    bool texts = true;
    open_families(tokenizers);
    FILE *file = fopen(source_path("tests/data/text/families.tsv"), "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *tab = strchr(line, '\t');
        if (line[0] == '=')
            size = from_hex(line + 1, text);
        if (line[0] == '~')
            n_ids = read_ids(line + 1, ids);
        if (!tab) {
            texts = line[0] == '=';
            continue;
        }
        *tab = '\0';
        size_t i = 0;
        while (i < N_FAMILIES && strcmp(line, names[i]))
            i++;
        ck_assert_uint_lt(i, N_FAMILIES);
        n_compared++;
        if (texts) {
            with_ends(tab + 1, expected);
            expect_tokens(tokenizers[i], text, size, NULL, expected);
        } else {
            size_t n = from_hex(tab + 1, expected);
            expect_text(tokenizers[i], ids, n_ids, expected, n);
        }
    }
    fclose(file);
    ck_assert_uint_gt(n_compared, 1000);
    close_families(tokenizers);
}
END_TEST

/* Any ids: pieces one after another are the whole, whatever waits in between. */
START_TEST(pieces_make_the_whole)
{
    uint64_t state = test_seed();
    struct lac_tokenizer *tokenizers[N_FAMILIES];
    open_families(tokenizers);
    static char text[1 << 16], again[1 << 16];
    for (int round = 0; round < 4000; round++) {
        const struct lac_tokenizer *tokenizer = tokenizers[random_below(&state, N_FAMILIES)];
        size_t n_vocab = lac_tokenizer_vocab_size(tokenizer);
        int32_t ids[64];
        size_t n = random_below(&state, 64);
        for (size_t i = 0; i < n; i++)
            /* The first ids are bytes, which meet as half characters this way. */
            ids[i] = (int32_t)random_below(&state, random_below(&state, 2) ? n_vocab + 2 : 260) - 1;
        size_t size = lac_tokenizer_decode(tokenizer, ids, n, text, sizeof text);
        ck_assert(is_utf8(text, size));
        ck_assert_uint_eq(decode_by_token(tokenizer, ids, n, again), size);
        ck_assert_mem_eq(text, again, size);
    }
    close_families(tokenizers);
}
END_TEST

/* decode(encode(x)) is x where nothing is normalized away. */
START_TEST(texts_come_back)
{
    static const size_t exact[] = {0, 1, 3, 5}; /* gpt2, llama3, llama2, gemma */
    uint64_t state = test_seed();
    struct lac_tokenizer *tokenizers[N_FAMILIES];
    struct lac_encoding encoding = {0};
    static char text[4096], back[1 << 14];
    open_families(tokenizers);
    for (int round = 0; round < 2000; round++) {
        size_t size = random_utf8(&state, 60, round & 1 ? 0x110000 : 0x500, text);
        for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
            const struct lac_tokenizer *tokenizer = tokenizers[exact[i]];
            ck_assert_int_eq(lac_tokenizer_encode(tokenizer, text, size, NULL, 0, 0, 0, &encoding),
                             0);
            ck_assert_uint_eq(
                lac_tokenizer_decode(tokenizer, encoding.ids, encoding.n, back, sizeof back), size);
            ck_assert_mem_eq(back, text, size);
        }
    }
    lac_encoding_clear(&encoding);
    close_families(tokenizers);
}
END_TEST

#define SOME_TOKENS                                                                                \
    "'model':{'type':'Unigram','unk_id':0,'vocab':[['<unk>',0],['_a',-1],['b',-2],['<0xE4>',-3],"  \
    "['<0xB8>',-3],['<0xAD>',-3],['<0x41>',-3],['_',-4],['__',-5],['c_',-5],['<0xZZ>',-9],"        \
    "['\xc3\xa9',-9],['\xc3\xa8',-9]]}}"

struct decoded {
    const char *ids, *text;
};

static void check_decoded(const char *decoder, const struct decoded *cases, size_t n)
{
    char json[2048];
    snprintf(json, sizeof json, "{'decoder':%s," SOME_TOKENS, decoder);
    struct lac_tokenizer *tokenizer = must_open_quoted(json);
    for (size_t i = 0; i < n; i++) {
        int32_t ids[32];
        expect_text(tokenizer, ids, read_ids(cases[i].ids, ids), cases[i].text,
                    strlen(cases[i].text));
    }
    lac_tokenizer_free(tokenizer);
}
#define CHECK_DECODED(decoder, ...)                                                                \
    check_decoded(decoder, (const struct decoded[]){__VA_ARGS__},                                  \
                  sizeof((const struct decoded[]){__VA_ARGS__}) / sizeof(struct decoded))

#define FFFD "\xef\xbf\xbd"
START_TEST(decoders_by_hand)
{
    CHECK_DECODED("null", {"", ""}, {"2 1 99 -1 2", "b _a b"});
    CHECK_DECODED("{'type':'Fuse'}", {"2 1 2", "b_ab"});
    CHECK_DECODED("{'type':'Metaspace','replacement':'_'}", {"1 2 1", "ab a"}, {"8 1", " a"},
                  {"9 9", "cc "});
    CHECK_DECODED("{'type':'Metaspace','replacement':'_','prepend_scheme':'never'}",
                  {"1 2 1", " ab a"});
    CHECK_DECODED("{'type':'Metaspace','replacement':'_','add_prefix_space':false}",
                  {"1 2 1", " ab a"});
    /* Whole characters come out, and one U+FFFD for each byte that is part of none. */
    CHECK_DECODED("{'type':'ByteFallback'}", {"3 4 5", "\xe4\xb8\xad"}, {"3 4", FFFD FFFD},
                  {"3 4 2", FFFD FFFD "b"}, {"3 4 5 4 3 4 5", "\xe4\xb8\xad" FFFD "\xe4\xb8\xad"},
                  {"3 6 10", FFFD "A<0xZZ>"}, {"5 3 3", FFFD FFFD FFFD});
    /* Tokens one by one: each is stripped and replaced in. */
    CHECK_DECODED("{'type':'Strip','content':'_','start':1,'stop':1}", {"1 1", "aa"}, {"8 8", ""},
                  {"7", ""}, {"9 2", "cb"});
    CHECK_DECODED("{'type':'Replace','pattern':{'String':'_a'},'content':'xyz'}",
                  {"1 7 2", "xyz_b"});
    /* The whole text: what may still go waits. */
    CHECK_DECODED("{'type':'Sequence','decoders':[{'type':'Fuse'},"
                  "{'type':'Strip','content':'_','start':3,'stop':2}]}",
                  {"8 8 1", "__a"}, {"7 1", "a"}, {"2 8 8", "b__"}, {"2 8 7 2 7", "b___b"},
                  {"8", ""}, {"2 7", "b"}, {"", ""});
    CHECK_DECODED("{'type':'Sequence','decoders':[{'type':'Fuse'},"
                  "{'type':'Replace','pattern':{'String':'__b_'},'content':'+'},"
                  "{'type':'Strip','content':'+','stop':1}]}",
                  {"8 2 7", ""}, {"8 7 2 1", "_+a"}, {"7 8 2 8 2 7", "_+_b_"}, {"8 2 8 8", "+___"},
                  {"8 2", "__b"}, {"9 7 2 7 2", "c+b"});
    /* A held beginning that ends inside a character leaves with all of it. */
    CHECK_DECODED("{'type':'Sequence','decoders':[{'type':'Fuse'},"
                  "{'type':'Replace','pattern':{'String':'\xc3\xa9"
                  "b'},'content':''}]}",
                  {"11 12 2", "\xc3\xa9\xc3\xa8"
                              "b"},
                  {"12 11 2 11", "\xc3\xa8\xc3\xa9"});
    CHECK_DECODED("{'type':'Sequence','decoders':[{'type':'Sequence','decoders':["
                  "{'type':'Replace','pattern':{'String':'_'},'content':' '}]},"
                  "{'type':'ByteFallback'},{'type':'Fuse'},"
                  "{'type':'Strip','content':' ','start':1}]}",
                  {"1 1 3 4 5 8", "a a\xe4\xb8\xad  "}, {"8 1", "  a"});
}
END_TEST

/* A copied state goes on by itself. */
START_TEST(states_are_copied)
{
    struct lac_tokenizer *tokenizer = open_data("families/llama2.json");
    struct lac_decode_state state = {0}, copy;
    char text[4096];
    int32_t e4 = lac_tokenizer_id(tokenizer, "<0xE4>"), b8 = lac_tokenizer_id(tokenizer, "<0xB8>"),
            ad = lac_tokenizer_id(tokenizer, "<0xAD>");
    ck_assert_uint_le(lac_tokenizer_decode_room(tokenizer), sizeof text);
    ck_assert_uint_eq(lac_tokenizer_decode_next(tokenizer, &state, e4, text, sizeof text), 0);
    ck_assert_uint_eq(lac_tokenizer_decode_next(tokenizer, &state, b8, text, sizeof text), 0);
    copy = state;
    ck_assert_uint_eq(lac_tokenizer_decode_next(tokenizer, &state, ad, text, sizeof text), 3);
    ck_assert_str_eq(text, "\xe4\xb8\xad");
    ck_assert_uint_eq(lac_tokenizer_decode_end(tokenizer, &copy, text, sizeof text), 6);
    ck_assert_str_eq(text, FFFD FFFD);
    lac_tokenizer_free(tokenizer);
}
END_TEST

/* Steps that would make a token grow without bound are refused. */
START_TEST(growth_is_bounded)
{
    char json[8192] = "{'decoder':{'type':'Sequence','decoders':[", content[101];
    struct lac_tokenizer *tokenizer;
    struct lac_error error;
    memset(content, 'b', 100);
    content[100] = '\0';
    for (int i = 0; i < 5; i++)
        sprintf(json + strlen(json), "%s{'type':'Replace','pattern':{'String':'b'},'content':'%s'}",
                i ? "," : "", content);
    strcat(json, "]}," SOME_TOKENS);
    ck_assert_int_eq(open_quoted(json, &tokenizer, &error), LAC_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(error.text, "longer than 16384 bytes"));
}
END_TEST

START_TEST(unigram_by_hand)
{
    /* The best sum, not the longest token; the penalty of an unknown character is 10. */
    static const struct by_hand cases[] = {
        {"", ""},
        {"a", "1:0:1"},
        {"ab", "3:0:2"},
        {"abc", "1:0:1 4:1:3"},
        {"xy", "0:0:2"},
        {"axb", "1:0:1 0:1:2 2:2:3"},
        {"bb", "2:0:1 2:1:2"},
        {"cab", "0:0:1 3:1:3"},
    };
    CHECK_CASES("{'model':{'type':'Unigram','unk_id':0,'vocab':[['<unk>',0],['a',-1],['b',-2],"
                "['ab',-2.5],['bc',-1],['bbb',-30]]}}",
                cases);
    /* A spelling that comes twice counts with its last id and score. */
    static const struct by_hand twice[] = {{"aa", "4:0:2"}, {"a", "2:0:1"}};
    CHECK_CASES("{'model':{'type':'Unigram','unk_id':0,'vocab':[['<unk>',0],['a',-1],['a',-9],"
                "['aa',-1],['aa',-17]]}}",
                twice);
    /* Bytes of a run of unknown characters, where all of them have tokens. */
    static const struct by_hand bytes[] = {
        {"\xc3\xa9", "1:0:2 2:0:2"},
        {"\xc3\xa9\xc3\xa9", "1:0:4 2:0:4 1:0:4 2:0:4"},
        {"\xc3\xa8", "0:0:2"},
        {"\xc3\xa8\xc3\xa9", "0:0:4"},
    };
    CHECK_CASES("{'model':{'type':'Unigram','unk_id':0,'byte_fallback':true,'vocab':"
                "[['<unk>',0],['<0xC3>',-1],['<0xA9>',-1]]}}",
                bytes);
    /* Nothing for unknown characters: they are left out. */
    static const struct by_hand none[] = {{"xax", "0:1:2"}};
    CHECK_CASES("{'model':{'type':'Unigram','vocab':[['a',-1]]}}", none);
}
END_TEST

START_TEST(metaspace_by_hand)
{
#define METASPACE(options)                                                                         \
    "{'pre_tokenizer':{'type':'Metaspace','replacement':'_'" options "},'added_tokens':["          \
    "{'id':9,'content':'|'}],'model':{'type':'Unigram','unk_id':0,'vocab':"                        \
    "[['?',0],['_',-1],['a',-1],['_a',-1],['a_a',-0.5],['_a_',-0.5]]}}"
    static const struct by_hand always[] = {
        {"a", "3:0:1"},
        {" a", "3:0:2"},
        {"a a", "3:0:1 3:1:3"},
        {"  a ", "1:0:1 3:1:3 1:3:4"},
        {"a|a", "3:0:1 9:1:2 3:2:3"},
        {"_a", "3:0:2"},
        {"a_a", "3:0:1 3:1:3"},
    };
    CHECK_CASES(METASPACE(), always);
    CHECK_CASES(METASPACE(",'add_prefix_space':true,'prepend_scheme':'always'"), always);
    static const struct by_hand first[] = {
        {"a a", "3:0:1 3:1:3"}, {"a|a", "3:0:1 9:1:2 2:2:3"}, {"|a", "9:0:1 2:1:2"}};
    CHECK_CASES(METASPACE(",'prepend_scheme':'first'"), first);
    static const struct by_hand never[] = {{"a a", "2:0:1 3:1:3"}, {" a", "3:0:2"}};
    CHECK_CASES(METASPACE(",'prepend_scheme':'never'"), never);
    CHECK_CASES(METASPACE(",'add_prefix_space':false"), never);
    static const struct by_hand whole[] = {{"a a", "1:0:1 4:0:3"}, {"a a|", "1:0:1 4:0:3 9:3:4"}};
    CHECK_CASES(METASPACE(",'split':false"), whole);
}
END_TEST

#define SLICE(text)                                                                                \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }
START_TEST(plain_arrays_make_tokenizers)
{
    static const struct lac_slice scored[] = {SLICE("<unk>"),
                                              SLICE("<s>"),
                                              SLICE("<0xC3>"),
                                              SLICE("<0xA9>"),
                                              SLICE("\xe2\x96\x81"),
                                              SLICE("a"),
                                              SLICE("b"),
                                              SLICE("ab"),
                                              SLICE("\xe2\x96\x81"
                                                    "a")};
    static const uint8_t types[] = {2, 3, 6, 6, 1, 1, 1, 1, 1};
    static const float scores[] = {0, 0, 0, 0, -9, -9, -9, -1, -2};
    struct lac_tokenizer_parts parts = {.kind = LAC_PARTS_SCORED,
                                        .n_tokens = 9,
                                        .tokens = scored,
                                        .types = types,
                                        .scores = scores,
                                        .add_space_prefix = true,
                                        .before = -1,
                                        .after = -1};
    struct lac_tokenizer *tokenizer;
    struct lac_error error;
    if (lac_tokenizer_open_parts(&lac_default_host, "test", &parts, &tokenizer, &error))
        ck_abort_msg("%s", error.text);
    expect_tokens(tokenizer, "ab", 2, NULL, "4:0:1 7:0:2");
    expect_tokens(tokenizer, "aa b\xc3\xa9", 6, NULL, "8:0:1 5:1:2 4:2:3 6:3:4 2:4:6 3:4:6");
    expect_tokens(tokenizer, "<s>a", 4, NULL, "1:0:3 5:3:4");
    static const int32_t ids[] = {1, 8, 4, 2, 3};
    expect_text(tokenizer, ids, 5, "a \xc3\xa9", 4);
    lac_tokenizer_free(tokenizer);
    parts.before = 1;
    parts.after = 0;
    if (lac_tokenizer_open_parts(&lac_default_host, "test", &parts, &tokenizer, &error))
        ck_abort_msg("%s", error.text);
    expect_tokens(tokenizer, "ab", 2, NULL, "1:0:0 4:0:1 7:0:2 0:0:0");
    expect_tokens(tokenizer, "a", 1, "b", "1:0:0 8:0:1 0:0:0 1:0:0 4:0:1 6:0:1 0:0:0");
    lac_tokenizer_free(tokenizer);
    parts.after = 9;
    ck_assert_int_eq(
        lac_tokenizer_open_parts(&lac_default_host, "test", &parts, &tokenizer, &error),
        LAC_E_FORMAT);
    ck_assert_str_eq(error.text, "test: the special token 9 is not below 9");
    parts.after = -1;
    parts.scores = NULL;
    ck_assert_int_eq(
        lac_tokenizer_open_parts(&lac_default_host, "test", &parts, &tokenizer, &error),
        LAC_E_FORMAT);
    parts.scores = (const float[]){0, 0, 0, 0, NAN, 0, 0, 0, 0};
    ck_assert_int_eq(
        lac_tokenizer_open_parts(&lac_default_host, "test", &parts, &tokenizer, &error),
        LAC_E_FORMAT);
    ck_assert_str_eq(error.text, "test: the score of token 4 is not finite");

    static const struct lac_slice tokens[] = {SLICE("a"), SLICE("b"), SLICE("\xc4\xa0"),
                                              SLICE("ab"), SLICE("<end>")};
    static const struct lac_slice merges[] = {SLICE("a b")};
    static const uint8_t kinds[] = {1, 1, 1, 1, 3};
    struct lac_tokenizer_parts bytes = {.n_tokens = 5,
                                        .tokens = tokens,
                                        .types = kinds,
                                        .n_merges = 1,
                                        .merges = merges,
                                        .pattern = " ?\\p{L}+",
                                        .unknown = -1,
                                        .before = -1,
                                        .after = -1};
    if (lac_tokenizer_open_parts(&lac_default_host, "test", &bytes, &tokenizer, &error))
        ck_abort_msg("%s", error.text);
    expect_tokens(tokenizer, "ab ab<end>", 10, NULL, "3:0:2 2:2:3 3:3:5 4:5:10");
    lac_tokenizer_free(tokenizer);
    bytes.compose = bytes.whole_words = true;
    bytes.n_merges = 0;
    bytes.after = 4;
    if (lac_tokenizer_open_parts(&lac_default_host, "test", &bytes, &tokenizer, &error))
        ck_abort_msg("%s", error.text);
    expect_tokens(tokenizer, "ab ba", 5, NULL, "3:0:2 2:2:3 1:3:4 0:4:5 4:0:0");
    lac_tokenizer_free(tokenizer);
    bytes.unknown = 5;
    ck_assert_int_eq(
        lac_tokenizer_open_parts(&lac_default_host, "test", &bytes, &tokenizer, &error),
        LAC_E_FORMAT);
    bytes.unknown = -1;
    bytes.tokens =
        (const struct lac_slice[]){SLICE("a"), SLICE("b"), SLICE("b"), SLICE("ab"), SLICE("\xff")};
    ck_assert_int_eq(
        lac_tokenizer_open_parts(&lac_default_host, "test", &bytes, &tokenizer, &error),
        LAC_E_FORMAT);
    ck_assert_str_eq(error.text, "test: token 2, \"b\", comes twice");
}
END_TEST

/* A broken table may replace anything, but by UTF-8 of its own and within its bytes. */
START_TEST(broken_charsmaps_do_no_harm)
{
    static const char key[] = "\"precompiled_charsmap\":\"";
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint64_t seed = test_seed();
    size_t n_read = 0, n_found = 0;
    FILE *file = fopen(source_path("tests/data/text/families/charsmap.json"), "rb");
    ck_assert_ptr_nonnull(file);
    static char json[1 << 16];
    ck_assert_uint_gt(fread(json, 1, sizeof json - 1, file), 0);
    fclose(file);
    const char *begin = strstr(json, key) + strlen(key);
    size_t size = strcspn(begin, "\"");
    char *base64 = malloc(size);
    for (size_t turn = 0; turn < 4000; turn++) {
        struct lac_arena arena = {.host = &lac_default_host};
        struct lac_charsmap map;
        struct lac_error error;
        memcpy(base64, begin, size);
        for (size_t i = random_below(&seed, 20); i; i--)
            base64[random_below(&seed, size - 4)] = digits[random_below(&seed, 64)];
        size_t cut = turn % 8 ? size : 4 * random_below(&seed, size / 4);
        if (!lac_charsmap_read(base64, cut, &arena, &map, &error)) {
            n_read++;
            for (size_t i = 0; i < 50; i++) {
                uint8_t text[3];
                const char *replacement;
                size_t n;
                for (size_t k = 0; k < sizeof text; k++)
                    text[k] = (uint8_t)random_below(&seed, 256);
                if (!lac_charsmap_find(&map, text, sizeof text, &replacement, &n))
                    continue;
                n_found++;
                ck_assert(is_utf8(replacement, n));
            }
        }
        lac_arena_clear(&arena);
    }
    ck_assert_uint_gt(n_read, 500);
    ck_assert_uint_gt(n_found, 500);
    free(base64);
}
END_TEST

void add_text_family_tests(Suite *suite)
{
    TCase *tcase = tcase_create("families");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, agrees_with_families);
    tcase_add_test(tcase, pieces_make_the_whole);
    tcase_add_test(tcase, texts_come_back);
    tcase_add_test(tcase, decoders_by_hand);
    tcase_add_test(tcase, states_are_copied);
    tcase_add_test(tcase, growth_is_bounded);
    tcase_add_test(tcase, unigram_by_hand);
    tcase_add_test(tcase, metaspace_by_hand);
    tcase_add_test(tcase, plain_arrays_make_tokenizers);
    tcase_add_test(tcase, broken_charsmaps_do_no_harm);
    suite_add_tcase(suite, tcase);
}
