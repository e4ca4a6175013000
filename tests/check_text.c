/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers: against an independent implementation, against cases worked out by hand, and
 * against texts that are long, odd or hostile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/text/unicode.h"
#include "tests/text_support.h"

/* A small vocabulary; ids in the order of their letters. */
#define SMALL                                                                                      \
    "'model':{'type':'WordPiece','unk_token':'[UNK]','continuing_subword_prefix':'##',"            \
    "'max_input_chars_per_word':100,'vocab':{'[UNK]':0,'a':1,'b':2,'##a':3,'##b':4,'ab':5,"        \
    "'cafe':6,'.':7,'#':8,'\xe4\xb8\xad':9,'[CLS]':10,'[SEP]':11,'[MASK]':12,'ss':13,"             \
    "'\xc3\xa9':14,'##\xc3\xa9':15,'i':16,'##\xcc\x87':17,'##s':18,'x':19,'\xc3\x9f':20}}"
#define BERT                                                                                       \
    "'normalizer':{'type':'BertNormalizer','clean_text':true,'handle_chinese_chars':true,"         \
    "'strip_accents':null,'lowercase':true},'pre_tokenizer':{'type':'BertPreTokenizer'},"
#define MASK                                                                                       \
    "'added_tokens':[{'id':12,'content':'[MASK]','single_word':false,'lstrip':true,"               \
    "'rstrip':false,'normalized':false,'special':true}],"

struct by_hand {
    const char *text, *expected;
};

static void check_cases(const char *json, const struct by_hand *cases, size_t n)
{
    struct lac_tokenizer *tokenizer = must_open_quoted(json);
    for (size_t i = 0; i < n; i++)
        expect_tokens(tokenizer, cases[i].text, strlen(cases[i].text), NULL, cases[i].expected);
    lac_tokenizer_free(tokenizer);
}

#define CHECK_CASES(json, cases) check_cases(json, cases, sizeof(cases) / sizeof *(cases))

/* One text of expected.tsv and what follows it. */
static size_t unhex(const char *hex, char *text)
{
    size_t n = 0;
    for (; hex[0] > ' ' && hex[1] > ' '; hex += 2) {
        char digits[3] = {hex[0], hex[1], 0};
        text[n++] = (char)strtol(digits, NULL, 16);
    }
    text[n] = '\0';
    return n;
}

/* "id:begin:size ..." to "id:begin:end ..." */
static void with_ends(char *line, char *out)
{
    int id, begin, size, used;
    *out = '\0';
    for (const char *at = line; sscanf(at, "%d:%d:%d%n", &id, &begin, &size, &used) == 3;) {
        out += sprintf(out, "%d:%d:%d", id, begin, begin + size);
        at += used;
        if (*at == ' ')
            *out++ = ' ', *out = '\0', at++;
    }
}

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
            size = unhex(line + 1, text);
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

START_TEST(normalizers_by_hand)
{
    static const struct by_hand cased[] = {
        {"caf\xc3\xa9", "0:0:5"},
        {"\xc3\xa9", "14:0:2"},
        {"e\xcc\x81", "0:0:3"}, /* not composed */
        {"AB", "0:0:2"},
    };
    CHECK_CASES("{'normalizer':{'type':'BertNormalizer','lowercase':false},"
                "'pre_tokenizer':{'type':'BertPreTokenizer'}," SMALL "}",
                cased);
    /* Lower case without stripping: U+0130 becomes two characters of one origin. */
    static const struct by_hand lower[] = {{"\xc4\xb0", "16:0:2 17:0:2"}, {"AB", "5:0:2"}};
    CHECK_CASES("{'normalizer':{'type':'BertNormalizer','strip_accents':false}," SMALL "}", lower);
    static const struct by_hand spaced[] = {{"a\xe4\xb8\xad", "0:0:4"}, {"a b", "1:0:1 2:2:3"}};
    CHECK_CASES("{'normalizer':{'type':'BertNormalizer','handle_chinese_chars':false},"
                "'pre_tokenizer':{'type':'WhitespaceSplit'}," SMALL "}",
                spaced);
    static const struct by_hand composed[] = {
        {"e\xcc\x81", "14:0:1"},
        {"ae\xcc\x81", "1:0:1 15:1:2"},
        {"a\xcc\x81", "0:0:1"}, /* the origin is the starter's */
    };
    CHECK_CASES("{'normalizer':{'type':'NFC'}," SMALL "}", composed);
    /* Compatibility: a ligature, a full-width letter, a superscript. */
    static const struct by_hand compatible[] = {
        {"\xef\xbd\x81", "1:0:3"},
        {"x\xe1\xb5\x83", "19:0:1 3:1:4"},
    };
    CHECK_CASES("{'normalizer':{'type':'NFKC'}," SMALL "}", compatible);
    CHECK_CASES("{'normalizer':{'type':'NFKD'}," SMALL "}", compatible);
    static const struct by_hand sequence[] = {
        {"  E\xcc\x81 ", "0:2:3"},
        {" A ", "1:1:2"},
        {"A\xcc\x81"
         "77B",
         "1:0:1 3:4:5 4:5:6"},
    };
    CHECK_CASES("{'normalizer':{'type':'Sequence','normalizers':[{'type':'Strip'},{'type':'NFD'},"
                "{'type':'StripAccents'},{'type':'Lowercase'},{'type':'Replace','pattern':"
                "{'Regex':'[0-9]+'},'content':'a'}]}," SMALL "}",
                sequence);
    static const struct by_hand prepended[] = {{"", ""}, {"b", "5:0:1"}};
    CHECK_CASES("{'normalizer':{'type':'Prepend','prepend':'a'}," SMALL "}", prepended);
    static const struct by_hand literal[] = {{"ax.xb", "5:0:5"}, {"ax,xb", "0:0:5"}};
    CHECK_CASES("{'normalizer':{'type':'Replace','pattern':{'String':'x.x'},'content':''}," SMALL
                "}",
                literal);
}
END_TEST

START_TEST(pretokenizers_by_hand)
{
#define SPLIT(behavior, invert)                                                                    \
    "{'pre_tokenizer':{'type':'Split','pattern':{'String':'.'},'behavior':'" behavior              \
    "','invert':" invert "}," SMALL "}"
    static const struct by_hand removed[] = {{"a.b", "1:0:1 2:2:3"}, {"..", ""}};
    CHECK_CASES(SPLIT("Removed", "false"), removed);
    static const struct by_hand isolated[] = {{"a..b", "1:0:1 7:1:2 7:2:3 2:3:4"}};
    CHECK_CASES(SPLIT("Isolated", "false"), isolated);
    static const struct by_hand contiguous[] = {{"a..b", "1:0:1 0:1:3 2:3:4"}};
    CHECK_CASES(SPLIT("Contiguous", "false"), contiguous);
    static const struct by_hand previous[] = {{"a..b", "0:0:2 7:2:3 2:3:4"}, {".a", "7:0:1 1:1:2"}};
    CHECK_CASES(SPLIT("MergedWithPrevious", "false"), previous);
    static const struct by_hand next[] = {{"a..b", "1:0:1 7:1:2 7:2:3 4:3:4"},
                                          {"a.", "1:0:1 7:1:2"}};
    CHECK_CASES(SPLIT("MergedWithNext", "false"), next);
    static const struct by_hand inverted[] = {{"a.b", "7:1:2"}};
    CHECK_CASES(SPLIT("Removed", "true"), inverted);
    static const struct by_hand words[] = {{"a.. b\xc3\xa9", "1:0:1 0:1:3 2:4:5 15:5:7"},
                                           {"a_b", "0:0:3"}};
    CHECK_CASES("{'pre_tokenizer':{'type':'Whitespace'}," SMALL "}", words);
    static const struct by_hand digits[] = {{"a12b", "1:0:1 0:1:2 0:2:3 2:3:4"}};
    CHECK_CASES("{'pre_tokenizer':{'type':'Digits','individual_digits':true}," SMALL "}", digits);
    static const struct by_hand numbers[] = {{"a12b", "1:0:1 0:1:3 2:3:4"}};
    CHECK_CASES("{'pre_tokenizer':{'type':'Digits'}," SMALL "}", numbers);
    static const struct by_hand both[] = {{"a .b", "1:0:1 7:2:3 4:3:4"}};
    CHECK_CASES("{'pre_tokenizer':{'type':'Sequence','pretokenizers':[{'type':'WhitespaceSplit'},"
                "{'type':'Punctuation','behavior':'MergedWithNext'}]}," SMALL "}",
                both);
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

START_TEST(byte_pairs_by_hand)
{
    /* Ranks decide, not length: b c merges before a b. */
    static const struct by_hand ranks[] = {{"abc", "0:0:1 4:1:3"},
                                           {"ab", "3:0:2"},
                                           {"abbc", "3:0:2 4:2:4"},
                                           {"aab", "0:0:1 3:1:3"},
                                           {"axb", "3:0:3"}};
    CHECK_CASES("{'model':{'type':'BPE','vocab':{'a':0,'b':1,'c':2,'ab':3,'bc':4,'abc':5},"
                "'merges':['b c','a b']}}",
                ranks);
    static const struct by_hand whole[] = {{"abc", "5:0:3"}, {"abcb", "0:0:1 4:1:3 1:3:4"}};
    CHECK_CASES("{'model':{'type':'BPE','ignore_merges':true,'vocab':{'a':0,'b':1,'c':2,'ab':3,"
                "'bc':4,'abc':5},'merges':['b c','a b']}}",
                whole);
    static const struct by_hand unknown[] = {{"axyb", "0:0:1 2:1:2 2:2:3 1:3:4"}};
    CHECK_CASES("{'model':{'type':'BPE','unk_token':'?','vocab':{'a':0,'b':1,'?':2},"
                "'merges':[]}}",
                unknown);
    static const struct by_hand fused[] = {{"axyb", "0:0:1 2:1:3 1:3:4"},
                                           {"xay", "2:0:1 0:1:2 2:2:3"}};
    CHECK_CASES("{'model':{'type':'BPE','unk_token':'?','fuse_unk':true,'vocab':{'a':0,'b':1,"
                "'?':2},'merges':[]}}",
                fused);
    static const struct by_hand bytes[] = {{"a\xc3\xa9\xc3\xa8", "0:0:1 2:1:3 3:1:3 1:3:5"}};
    CHECK_CASES("{'model':{'type':'BPE','unk_token':'?','byte_fallback':true,'vocab':{'a':0,'?':1,"
                "'<0xC3>':2,'<0xA9>':3},'merges':[]}}",
                bytes);
}
END_TEST

START_TEST(added_tokens_by_hand)
{
#define ADDED(id, content, flags) "{'id':" id ",'content':'" content "'" flags "}"
    const char *json =
        "{'added_tokens':[" ADDED("30", "one", ",'single_word':true,'special':true") "," ADDED(
            "31", "B",
            ",'normalized':true") "," ADDED("32", "<",
                                            "") "," ADDED("33", "<<<",
                                                          ",'rstrip':true") "," ADDED("34", "ooo",
                                                                                      ",'lstrip':"
                                                                                      "true") "]"
                                                                                              "," BERT
                                                                                                  SMALL
                                                                                              "}";
    static const struct by_hand cases[] = {
        {"one", "30:0:3"},
        {"a one.", "1:0:1 30:2:5 7:5:6"},
        {"aone", "0:0:4"},
        {"\xc3\xa9one", "0:0:5"},
        {"One", "0:0:3"},               /* not normalized: case counts */
        {"b.B", "31:0:1 7:1:2 31:2:3"}, /* normalized: it does not */
        {"ab", "1:0:1 31:1:2"},
        {"<<", "32:0:1 32:1:2"},
        {"<<<<", "33:0:3 32:3:4"}, /* the longest that begins first */
        {"<<<  a", "33:0:5 1:5:6"},
        {"<<<  ooo a", "33:0:5 34:5:8 1:9:10"}, /* taken spaces are taken once */
        {"  ooo", "34:0:5"},
        {"oooo", "34:0:3 0:3:4"},
    };
    CHECK_CASES(json, cases);
    struct lac_tokenizer *tokenizer = must_open_quoted(json);
    ck_assert_uint_eq(lac_tokenizer_vocab_size(tokenizer), 35);
    ck_assert_str_eq(lac_tokenizer_token(tokenizer, 33), "<<<");
    ck_assert_ptr_null(lac_tokenizer_token(tokenizer, 25));
    ck_assert_ptr_null(lac_tokenizer_token(tokenizer, -1));
    ck_assert_ptr_null(lac_tokenizer_token(tokenizer, 35));
    ck_assert_int_eq(lac_tokenizer_id(tokenizer, "one"), 30);
    ck_assert_int_eq(lac_tokenizer_id(tokenizer, "##b"), 4);
    ck_assert_int_eq(lac_tokenizer_id(tokenizer, "none"), -1);
    ck_assert_int_eq(lac_tokenizer_mask_id(tokenizer), 12);
    ck_assert(lac_tokenizer_is_special(tokenizer, 30));
    ck_assert(!lac_tokenizer_is_special(tokenizer, 31));
    ck_assert(!lac_tokenizer_is_special(tokenizer, -1));
    ck_assert(!lac_tokenizer_is_special(tokenizer, 99));
    lac_tokenizer_free(tokenizer);
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

static void expect_cut(const struct lac_tokenizer *tokenizer, const char *text, const char *pair,
                       size_t max_tokens, enum lac_truncate truncate, const char *ids,
                       size_t n_dropped)
{
    struct lac_encoding encoding = {0};
    struct lac_error error = {.text = "none"};
    enum lac_status status =
        lac_tokenizer_encode_text(tokenizer, text, strlen(text), pair, pair ? strlen(pair) : 0,
                                  max_tokens, truncate, &encoding, &error);
    if (!ids) {
        ck_assert_int_eq(status, LAC_E_LIMIT);
        ck_assert_uint_eq(encoding.n, 0);
    } else {
        ck_assert_msg(!status, "%s", error.text);
        ck_assert_str_eq(ids_of(&encoding), ids);
        ck_assert_uint_eq(encoding.n_dropped, n_dropped);
    }
    lac_encoding_clear(&encoding);
}

#define PAIRED "'post_processor':{'type':'BertProcessing','sep':['[SEP]',11],'cls':['[CLS]',10]},"

START_TEST(truncation_by_hand)
{
    struct lac_tokenizer *t = must_open_quoted("{" BERT PAIRED SMALL "}");
    expect_cut(t, "a b a b", NULL, 0, LAC_TRUNCATE_ERROR, "10 1 2 1 2 11", 0);
    expect_cut(t, "a b a b", NULL, 6, LAC_TRUNCATE_ERROR, "10 1 2 1 2 11", 0);
    expect_cut(t, "a b a b", NULL, 5, LAC_TRUNCATE_ERROR, NULL, 0);
    expect_cut(t, "a b a b", NULL, 5, LAC_TRUNCATE_LONGEST, "10 1 2 1 11", 1);
    expect_cut(t, "a b a b", NULL, 2, LAC_TRUNCATE_LONGEST, "10 11", 4);
    expect_cut(t, "a b a b", NULL, 1, LAC_TRUNCATE_LONGEST, NULL, 0);
    expect_cut(t, "a b a b", NULL, 5, LAC_TRUNCATE_SECOND, NULL, 0);
    /* Pairs: three special tokens. */
    expect_cut(t, "a b a b", "b", 8, LAC_TRUNCATE_LONGEST, "10 1 2 1 2 11 2 11", 0);
    expect_cut(t, "a b a b", "b", 6, LAC_TRUNCATE_LONGEST, "10 1 2 11 2 11", 2);
    expect_cut(t, "a", "b b b b", 6, LAC_TRUNCATE_LONGEST, "10 1 11 2 2 11", 2);
    /* Room for five of four and four: the second of equals has the odd one. */
    expect_cut(t, "a a a a", "b b b b", 8, LAC_TRUNCATE_LONGEST, "10 1 1 11 2 2 2 11", 3);
    expect_cut(t, "a a a a a", "b b b b", 8, LAC_TRUNCATE_LONGEST, "10 1 1 1 11 2 2 11", 4);
    expect_cut(t, "a a a a", "b b b b", 3, LAC_TRUNCATE_LONGEST, "10 11 11", 8);
    expect_cut(t, "a a", "b b b b", 6, LAC_TRUNCATE_SECOND, "10 1 1 11 2 11", 3);
    expect_cut(t, "a a", "b b b b", 5, LAC_TRUNCATE_SECOND, NULL, 0);
    expect_cut(t, "a a", "b b b b", 8, LAC_TRUNCATE_ERROR, NULL, 0);
    lac_tokenizer_free(t);
}
END_TEST

static void expect_roles(const char *json, const char *text, const char *pair, const char *ids,
                         const char *types, const char *sequences)
{
    struct lac_tokenizer *tokenizer = must_open_quoted(json);
    struct lac_encoding encoding = {0};
    ck_assert_int_eq(lac_tokenizer_encode(tokenizer, text, strlen(text), pair,
                                          pair ? strlen(pair) : 0, 0, 0, &encoding),
                     0);
    ck_assert_str_eq(ids_of(&encoding), ids);
    ck_assert_uint_eq(encoding.n, strlen(types));
    for (size_t i = 0; i < encoding.n; i++) {
        ck_assert_int_eq(encoding.type_ids[i], types[i] - '0');
        ck_assert_int_eq(encoding.sequence[i], sequences[i] == '-' ? 255 : sequences[i] - '0');
        if (sequences[i] == '-')
            ck_assert_uint_eq(encoding.begin[i] + encoding.end[i], 0);
    }
    lac_encoding_clear(&encoding);
    lac_tokenizer_free(tokenizer);
}

START_TEST(post_processors_by_hand)
{
    expect_roles("{" BERT PAIRED SMALL "}", "a", NULL, "10 1 11", "000", "-0-");
    expect_roles("{" BERT PAIRED SMALL "}", "a", "b b", "10 1 11 2 2 11", "000111", "-0-11-");
    expect_roles("{" BERT PAIRED SMALL "}", "a", "", "10 1 11 11", "0001", "-0--");
    expect_roles("{" BERT SMALL "}", "a", "b b", "1 2 2", "011", "011");
    expect_roles("{" BERT "'post_processor':{'type':'RobertaProcessing','sep':['[SEP]',11],"
                 "'cls':['[CLS]',10],'trim_offsets':true,'add_prefix_space':false}," SMALL "}",
                 "a", "b", "10 1 11 11 2 11", "000000", "-0--1-");
    expect_roles("{" BERT "'post_processor':{'type':'Sequence','processors':[{'type':'ByteLevel',"
                 "'trim_offsets':false},{'type':'TemplateProcessing','single':[{'Sequence':{'id':"
                 "'A','type_id':3}},{'SpecialToken':{'id':'x','type_id':2}}],'pair':[{'Sequence':"
                 "{'id':'B','type_id':1}},{'Sequence':{'id':'A','type_id':0}}],'special_tokens':"
                 "{'x':{'id':'x','ids':[11,12],'tokens':['a','b']}}}]}," SMALL "}",
                 "a", NULL, "1 11 12", "322", "0--");
    expect_roles("{" BERT "'post_processor':{'type':'TemplateProcessing','single':[{'Sequence':"
                 "{'id':'A','type_id':0}}],'pair':[{'Sequence':{'id':'B','type_id':1}},"
                 "{'Sequence':{'id':'A','type_id':0}}],'special_tokens':{}}," SMALL "}",
                 "a", "b", "2 1", "10", "10");
}
END_TEST

static void expect_text(const struct lac_tokenizer *tokenizer, const int32_t *ids, size_t n,
                        const char *expected)
{
    char text[256];
    ck_assert_uint_eq(lac_tokenizer_decode(tokenizer, ids, n, text, sizeof text), strlen(expected));
    ck_assert_str_eq(text, expected);
    ck_assert_uint_eq(lac_tokenizer_decode(tokenizer, ids, n, NULL, 0), strlen(expected));
    /* Cut like snprintf. */
    memset(text, 'Z', sizeof text);
    lac_tokenizer_decode(tokenizer, ids, n, text, 3);
    ck_assert_int_eq(text[3], 'Z');
    ck_assert(!strncmp(text, expected, strlen(text)));
    ck_assert_uint_eq(strlen(text), strlen(expected) < 2 ? strlen(expected) : 2);
}

START_TEST(decoding_by_hand)
{
    struct lac_tokenizer *t =
        must_open_quoted("{'added_tokens':[{'id':12,'content':'[MASK]','special':true}],"
                         "'decoder':{'type':'WordPiece','prefix':'##','cleanup':true}," SMALL "}");
    expect_text(t, (int32_t[]){1, 3, 4, 2, 7, 12, 1, 999, -5, 3}, 10, "aab b. aa");
    expect_text(t, NULL, 0, "");
    expect_text(t, (int32_t[]){4, 1}, 2, "##b a");
    lac_tokenizer_free(t);
    t = must_open_quoted("{" SMALL "}");
    expect_text(t, (int32_t[]){1, 3, 7}, 3, "a ##a .");
    lac_tokenizer_free(t);
    /* Bytes that make no character become U+FFFD, each longest beginning once. */
    t = must_open_quoted("{'decoder':{'type':'ByteLevel'},'model':{'type':'BPE','vocab':{"
                         "'\xc3\xa2':0,'\xc4\xa4':1,'\xc2\xac':2,'A':3,'\xc3\xbf':4,'\xc4\xa0':5,"
                         "'\xe4\xb8\xad':6},'merges':[]}}");
    expect_text(t, (int32_t[]){0, 1, 2}, 3, "\xe2\x82\xac"); /* E2 82 AC */
    expect_text(t, (int32_t[]){0, 1, 3}, 3,
                "\xef\xbf\xbd"
                "A");
    expect_text(t, (int32_t[]){0, 0, 1, 2}, 4, "\xef\xbf\xbd\xe2\x82\xac");
    expect_text(t, (int32_t[]){4, 3, 0, 1}, 4,
                "\xef\xbf\xbd"
                "A\xef\xbf\xbd");
    expect_text(t, (int32_t[]){3, 5, 3, 6}, 4, "A A\xe4\xb8\xad");
    lac_tokenizer_free(t);
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

/* Matches may be empty: between any two characters, but not twice in one place. */
START_TEST(empty_matches)
{
    static const struct by_hand cases[] = {{"ab\xc3\xa9", "1:0:1 2:1:2 14:2:4"}, {"", ""}};
    CHECK_CASES("{'pre_tokenizer':{'type':'Split','pattern':{'Regex':''},'behavior':'Isolated',"
                "'invert':false}," SMALL "}",
                cases);
    static const struct by_hand runs[] = {{"xxab", "0:0:2 1:2:3 2:3:4"}};
    CHECK_CASES("{'pre_tokenizer':{'type':'Split','pattern':{'Regex':'x*'},'behavior':'Isolated',"
                "'invert':false}," SMALL "}",
                runs);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    add_test(suite, "reference", agrees_with_reference);
    add_test(suite, "wordpiece", wordpiece_by_hand);
    add_test(suite, "normalizers", normalizers_by_hand);
    add_test(suite, "pretokenizers", pretokenizers_by_hand);
    add_test(suite, "long words", long_words_are_unknown);
    add_test(suite, "megabyte", one_word_of_a_megabyte);
    add_test(suite, "byte pairs", byte_pairs_by_hand);
    add_test(suite, "added tokens", added_tokens_by_hand);
    add_test(suite, "utf-8", text_must_be_utf8);
    add_test(suite, "truncation", truncation_by_hand);
    add_test(suite, "post-processors", post_processors_by_hand);
    add_test(suite, "decoding", decoding_by_hand);
    add_test(suite, "round trips", byte_level_round_trips);
    add_test(suite, "gpt-2 scanner", gpt2_scanner_is_its_pattern);
    add_test(suite, "hostile patterns", hostile_patterns_end);
    add_test(suite, "empty matches", empty_matches);
    add_text_file_tests(suite);
    return run_suite(suite);
}
