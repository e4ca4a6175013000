/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers: against an independent implementation, against cases worked out by hand, and
 * against texts that are long, odd or hostile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/text/unicode.h"
#include "tests/text_support.h"

/* What an independent implementation of the rules found (reference_tokenizers.py). */
START_TEST(agrees_with_reference)
{
    static const char *const names[] = {"uncased", "cased", "added", "roberta", "prefix", "words"};
    enum { N = sizeof names / sizeof *names };
    struct lac_tokenizer *tokenizers[N], *from_vocab = open_data("uncased"),
                                         *from_merges = open_data("roberta");
    for (size_t i = 0; i < N; i++) {
        char file[64];
        snprintf(file, sizeof file, "%s.json", names[i]);
        tokenizers[i] = open_data(file);
    }
    FILE *file = fopen(source_path("tests/data/text/expected.tsv"), "r");
    ck_assert_ptr_nonnull(file);
    static char line[1 << 16], text[1 << 14], expected[1 << 16];
    size_t size = 0, n_compared = 0;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '=')
            size = from_hex(line + 1, text);
        char *tab = strchr(line, '\t');
        if (!tab)
            continue;
        *tab = '\0';
        with_ends(tab + 1, expected);
        for (size_t i = 0; i < N; i++)
            if (!strcmp(line, names[i]))
                expect_tokens(tokenizers[i], text, size, NULL, expected), n_compared++;
        /* The files of old say the same. */
        if (!strcmp(line, "uncased"))
            expect_tokens(from_vocab, text, size, NULL, expected);
        if (!strcmp(line, "roberta"))
            expect_tokens(from_merges, text, size, NULL, expected);
    }
    fclose(file);
    ck_assert_uint_gt(n_compared, 500);
    for (size_t i = 0; i < N; i++)
        lac_tokenizer_free(tokenizers[i]);
    lac_tokenizer_free(from_vocab);
    lac_tokenizer_free(from_merges);
}
END_TEST

START_TEST(wordpiece_by_hand)
{
    static const struct by_hand cases[] = {
        {"", ""},
        {" \t\n\r ", ""},
        {"a", "1:0:1"},
        {"ab", "5:0:2"},
        {"AB", "5:0:2"},
        {"abab", "5:0:2 3:2:3 4:3:4"},
        {"aq", "0:0:2"}, /* a fits, the rest does not: all of it is unknown */
        {"a q a", "1:0:1 0:2:3 1:4:5"},
        {"a.b", "1:0:1 7:1:2 2:2:3"},
        {"##a", "8:0:1 8:1:2 1:2:3"}, /* the mark of a continuation is text here */
        {"caf\xc3\xa9", "6:0:5"},
        {"cafe\xcc\x81", "6:0:4"}, /* the dropped mark belongs to no token */
        {"CAF\xc3\x89", "6:0:5"},
        {"a\xc2\xa0"
         "b",
         "1:0:1 2:3:4"}, /* no-break space */
        {"a\xe3\x80\x80"
         "b",
         "1:0:1 2:4:5"}, /* ideographic space */
        {"a\xe2\x80\xa8"
         "b",
         "1:0:1 2:4:5"}, /* line separator */
        {"a\xe2\x80\x8b"
         "b",
         "5:0:5"}, /* zero width space is dropped, not white */
        {"a\x7f"
         "b",
         "5:0:3"},
        {"a\x0b"
         "b",
         "5:0:3"}, /* vertical tab is a control here */
        {"a\xef\xbf\xbd"
         "b",
         "5:0:5"},
        {"a\xc2\xad"
         "b",
         "5:0:4"}, /* soft hyphen */
        {"a\xe4\xb8\xad"
         "b",
         "1:0:1 9:1:4 2:4:5"}, /* ideographs stand alone */
        {"\xe4\xb8\xad\xe4\xb8\xad", "9:0:3 9:3:6"},
        {"a\xf0\x9f\x98\x80 b", "0:0:5 2:6:7"},
        {"a\xe2\x80\xa6"
         "b",
         "1:0:1 0:1:4 2:4:5"},        /* an ellipsis is punctuation */
        {"a\xe2\x82\xac", "0:0:4"},   /* a euro sign is not */
        {"a$b", "1:0:1 0:1:2 2:2:3"}, /* but all of ASCII's symbols are */
        {"\xc4\xb0", "16:0:2"},       /* dotted I: the dot is stripped as an accent */
        {"\xc3\x9f", "20:0:2"},       /* sharp s is lower case already */
        {"\xe1\xba\x9e", "20:0:3"},   /* its capital */
        {"a [MASK] b", "1:0:1 12:1:8 2:9:10"},
        {"a[MASK]b", "1:0:1 12:1:7 2:7:8"},
        {"[mask]", "0:0:1 0:1:5 0:5:6"},
    };
    CHECK_CASES("{" MASK BERT SMALL "}", cases);
}
END_TEST

START_TEST(long_words_are_unknown)
{
    struct lac_tokenizer *tokenizer = must_open_quoted("{" BERT SMALL "}");
    struct lac_encoding encoding = {0};
    char word[303];
    /* The bound counts characters: 100 of three bytes pass. */
    for (size_t i = 0; i < 101; i++)
        memcpy(word + 3 * i, "\xe1\x83\x90", 3);
    ck_assert_int_eq(lac_tokenizer_encode(tokenizer, word, 300, NULL, 0, 0, 0, &encoding), 0);
    ck_assert_uint_eq(encoding.n, 1);
    memset(word, 'a', sizeof word);
    ck_assert_int_eq(lac_tokenizer_encode(tokenizer, word, 100, NULL, 0, 0, 0, &encoding), 0);
    ck_assert_uint_eq(encoding.n, 100);
    ck_assert_int_eq(lac_tokenizer_encode(tokenizer, word, 101, NULL, 0, 0, 0, &encoding), 0);
    ck_assert_uint_eq(encoding.n, 1);
    ck_assert_int_eq(encoding.ids[0], 0);
    ck_assert_uint_eq(encoding.end[0], 101);
    lac_encoding_clear(&encoding);
    lac_tokenizer_free(tokenizer);
}
END_TEST

/* Byte pair encoding of 2^20 times one letter, where each doubling is a token: exact, and no
 * quadratic method would end. */
START_TEST(one_word_of_a_megabyte)
{
    struct lac_tokenizer *tokenizer =
        must_open_quoted("{'model':{'type':'BPE','vocab':{'a':0,'aa':1,'aaaa':2,'b':3},"
                         "'merges':[['a','a'],'aa aa']}}");
    enum { SIZE = (1 << 20) + 3 };
    char *word = malloc(SIZE);
    memset(word, 'a', SIZE);
    struct lac_encoding encoding = {0};
    ck_assert_int_eq(lac_tokenizer_encode(tokenizer, word, SIZE, NULL, 0, 0, 0, &encoding), 0);
    ck_assert_uint_eq(encoding.n, (1 << 18) + 2);
    for (size_t i = 0; i < encoding.n; i++) {
        size_t left = encoding.n - 1 - i;
        ck_assert_int_eq(encoding.ids[i], left > 1 ? 2 : left == 1 ? 1 : 0);
        ck_assert_uint_eq(encoding.begin[i], left ? 4 * i : SIZE - 1);
    }
    lac_tokenizer_free(tokenizer);

    /* WordPiece without a bound on the word; the longest token bounds the work. */
    tokenizer = must_open_quoted("{'model':{'type':'WordPiece','unk_token':'[UNK]',"
                                 "'max_input_chars_per_word':99999999,"
                                 "'vocab':{'[UNK]':0,'a':1,'##aaaaaaaa':2,'##a':3}}}");
    ck_assert_int_eq(lac_tokenizer_encode(tokenizer, word, SIZE, NULL, 0, 0, 0, &encoding), 0);
    ck_assert_uint_eq(encoding.n, 1 + (SIZE - 1) / 8 + (SIZE - 1) % 8);
    lac_tokenizer_free(tokenizer);

    /* One run of combining marks, which canonical order must sort. */
    for (size_t i = 0; i + 4 <= SIZE; i += 4)
        memcpy(word + i, "\xcc\x81\xcc\xa3", 4);
    tokenizer = must_open_quoted("{'normalizer':{'type':'NFD'},'model':{'type':'BPE','vocab':"
                                 "{'\xcc\x81':0,'\xcc\xa3':1},'merges':[]}}");
    ck_assert_int_eq(lac_tokenizer_encode(tokenizer, word, 1 << 20, NULL, 0, 0, 0, &encoding), 0);
    ck_assert_uint_eq(encoding.n, 1 << 19);
    for (size_t i = 0; i < encoding.n; i++)
        ck_assert_int_eq(encoding.ids[i], i < 1 << 18);
    lac_encoding_clear(&encoding);
    lac_tokenizer_free(tokenizer);
    free(word);
}
END_TEST

/* Offset of the first bad byte; NUL is a character like others. */
START_TEST(text_must_be_utf8)
{
    static const struct {
        const char *text;
        size_t size;
        const char *message;
    } bad[] = {
        {"ab\xff", 3, "the text is not UTF-8 at byte 2"},
        {"\x80", 1, "the text is not UTF-8 at byte 0"},
        {"abcdefghijk\xc3", 12, "the text is not UTF-8 at byte 11"},
        {"a\xc0\x80", 3, "the text is not UTF-8 at byte 1"},
        {"\xed\xa0\x80", 3, "the text is not UTF-8 at byte 0"},
        {"\xf4\x90\x80\x80", 4, "the text is not UTF-8 at byte 0"},
        {"\xe0\x80\x80", 3, "the text is not UTF-8 at byte 0"},
    };
    struct lac_tokenizer *tokenizer = must_open_quoted("{" BERT SMALL "}");
    struct lac_encoding encoding = {0};
    struct lac_error error;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(lac_tokenizer_encode_text(tokenizer, bad[i].text, bad[i].size, NULL, 0, 0,
                                                   0, &encoding, &error),
                         LAC_E_FORMAT);
        ck_assert_str_eq(error.text, bad[i].message);
    }
    ck_assert_int_eq(
        lac_tokenizer_encode_text(tokenizer, "a", 1, "a\xff", 2, 0, 0, &encoding, &error),
        LAC_E_FORMAT);
    ck_assert_str_eq(error.text, "the second text is not UTF-8 at byte 1");
    ck_assert_int_eq(lac_tokenizer_encode(tokenizer, NULL, 1, NULL, 0, 0, 0, &encoding),
                     LAC_E_ARGUMENT);
    ck_assert_int_eq(
        lac_tokenizer_encode(tokenizer, "", 0, NULL, 0, 0, (enum lac_truncate)7, &encoding),
        LAC_E_ARGUMENT);
    ck_assert_ptr_null(encoding.ids);
    expect_tokens(tokenizer, "a\0b a", 5, NULL, "5:0:3 1:4:5");
    expect_tokens(tokenizer, NULL, 0, NULL, "");
    lac_tokenizer_free(tokenizer);
}
END_TEST

/* decode(encode(x)) is x, and the tokens cover all of it in order. */
START_TEST(byte_level_round_trips)
{
    static const char *const names[] = {"roberta.json", "roberta"};
    uint64_t state = test_seed();
    for (size_t k = 0; k < 2; k++) {
        struct lac_tokenizer *tokenizer = open_data(names[k]);
        struct lac_encoding encoding = {0};
        for (size_t i = 0; i < 1500; i++) {
            char text[4 * 80], back[4 * 80 + 1];
            size_t size = random_utf8(&state, 80, i % 2 ? 0x110000 : 0x3000, text);
            ck_assert_int_eq(lac_tokenizer_encode(tokenizer, text, size, NULL, 0, 0, 0, &encoding),
                             0);
            ck_assert_uint_eq(
                lac_tokenizer_decode(tokenizer, encoding.ids, encoding.n, back, sizeof back), size);
            ck_assert(!memcmp(text, back, size));
            uint32_t last = 0;
            for (size_t t = 1; t + 1 < encoding.n; t++) {
                ck_assert_uint_le(encoding.begin[t], encoding.end[t]);
                ck_assert_uint_le(encoding.end[t], size);
                ck_assert_uint_le(last, encoding.end[t]);
                last = encoding.end[t];
            }
        }
        lac_encoding_clear(&encoding);
        lac_tokenizer_free(tokenizer);
    }
}
END_TEST

/* The scanner for the GPT-2 pattern and the pattern itself make the same words. */
START_TEST(gpt2_scanner_is_its_pattern)
{
#define LETTERS                                                                                    \
    "'model':{'type':'BPE','unk_token':'?','fuse_unk':true,'vocab':{'?':0},'merges':[]}}"
    struct lac_tokenizer *regex = must_open_quoted(
        "{'pre_tokenizer':{'type':'Split','behavior':'Isolated','invert':false,'pattern':{'Regex':"
        "'\\u0027s|\\u0027t|\\u0027re|\\u0027ve|\\u0027m|\\u0027ll|\\u0027d| ?\\\\p{L}+|"
        " ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)|\\\\s+'}}," LETTERS);
    /* Byte characters become one unknown token a word. */
    struct lac_tokenizer *scanner =
        must_open_quoted("{'pre_tokenizer':{'type':'ByteLevel','add_prefix_space':false}," LETTERS);
    static const char *const parts[] = {"'",        "s",
                                        "re",       "ll",
                                        "d",        " ",
                                        "  ",       "\n",
                                        "1",        "12",
                                        "x",        "!",
                                        "\xc3\xa9", "\xe3\x80\x80",
                                        "\xd9\xa3", "\xe2\x80\xa6",
                                        "\t",       "\xcc\x81",
                                        "'ve",      "\xc2\xa0"};
    uint64_t state = test_seed();
    struct lac_encoding a = {0}, b = {0};
    for (size_t i = 0; i < 3000; i++) {
        char text[128] = "";
        for (size_t n = random_below(&state, 16); n; n--)
            strcat(text, parts[random_below(&state, sizeof parts / sizeof *parts)]);
        size_t size = strlen(text);
        ck_assert_int_eq(lac_tokenizer_encode(regex, text, size, NULL, 0, 0, 0, &a), 0);
        ck_assert_int_eq(lac_tokenizer_encode(scanner, text, size, NULL, 0, 0, 0, &b), 0);
        ck_assert_uint_eq(a.n, b.n);
        for (size_t t = 0; t < a.n; t++)
            ck_assert_msg(a.begin[t] == b.begin[t] && a.end[t] == b.end[t], "%s", text);
    }
    lac_encoding_clear(&a);
    lac_encoding_clear(&b);
    lac_tokenizer_free(regex);
    lac_tokenizer_free(scanner);
}
END_TEST

/* A pattern that backtracks exponentially is given up, not waited for. */
START_TEST(hostile_patterns_end)
{
    static const char *const patterns[] = {"(a+)+$",         "(a|aa)+$",         "(.*)*x\\\\1",
                                           "(?=(a+))\\\\1b", "(?:a?){30}a{30}$", "a*?a*?a*?a*?b"};
    static char text[20001];
    memset(text, 'a', 20000);
    text[19999] = '!';
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        char json[512];
        snprintf(json, sizeof json,
                 "{'pre_tokenizer':{'type':'Split','pattern':{'Regex':'%s'},'behavior':"
                 "'Isolated','invert':false}," LETTERS,
                 patterns[i]);
        struct lac_tokenizer *tokenizer = must_open_quoted(json);
        struct lac_encoding encoding = {0};
        struct lac_error error;
        enum lac_status status =
            lac_tokenizer_encode_text(tokenizer, text, 20000, NULL, 0, 0, 0, &encoding, &error);
        ck_assert(status == LAC_OK || status == LAC_E_LIMIT);
        if (i < 2)
            ck_assert_int_eq(status, LAC_E_LIMIT);
        lac_encoding_clear(&encoding);
        lac_tokenizer_free(tokenizer);
    }
    /* Replacements that double the text again and again. */
    struct lac_tokenizer *tokenizer = must_open_quoted(
        "{'normalizer':{'type':'Sequence','normalizers':["
        "{'type':'Replace','pattern':{'String':'a'},'content':'aaaaaaaaaaaaaaaa'},"
        "{'type':'Replace','pattern':{'String':'a'},'content':'aaaaaaaaaaaaaaaa'},"
        "{'type':'Replace','pattern':{'String':'a'},'content':'aaaaaaaaaaaaaaaa'}]}," LETTERS);
    struct lac_encoding encoding = {0};
    ck_assert_int_eq(lac_tokenizer_encode(tokenizer, text, 20000, NULL, 0, 0, 0, &encoding),
                     LAC_E_LIMIT);
    lac_tokenizer_free(tokenizer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    add_test(suite, "reference", agrees_with_reference);
    add_test(suite, "wordpiece", wordpiece_by_hand);
    add_test(suite, "long words", long_words_are_unknown);
    add_test(suite, "megabyte", one_word_of_a_megabyte);
    add_test(suite, "utf-8", text_must_be_utf8);
    add_test(suite, "round trips", byte_level_round_trips);
    add_test(suite, "gpt-2 scanner", gpt2_scanner_is_its_pattern);
    add_test(suite, "hostile patterns", hostile_patterns_end);
    add_text_part_tests(suite);
    add_text_file_tests(suite);
    add_text_family_tests(suite);
    return run_suite(suite);
}
