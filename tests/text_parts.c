/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a tokenizer, in cases worked out by hand. */
#include <string.h>

#include "tests/text_support.h"

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
    const char *json = "{'added_tokens':["
                       "{'id':30,'content':'one','single_word':true,'special':true},"
                       "{'id':31,'content':'B','normalized':true},"
                       "{'id':32,'content':'<'},"
                       "{'id':33,'content':'<<<','rstrip':true},"
                       "{'id':34,'content':'ooo','lstrip':true}]," BERT SMALL "}";
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

void add_text_part_tests(Suite *suite)
{
    add_test(suite, "normalizers", normalizers_by_hand);
    add_test(suite, "pretokenizers", pretokenizers_by_hand);
    add_test(suite, "byte pairs", byte_pairs_by_hand);
    add_test(suite, "added tokens", added_tokens_by_hand);
    add_test(suite, "truncation", truncation_by_hand);
    add_test(suite, "post-processors", post_processors_by_hand);
    add_test(suite, "decoding", decoding_by_hand);
    add_test(suite, "empty matches", empty_matches);
}
