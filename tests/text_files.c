/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizer files that are wrong, damaged or unsupported, and memory that runs out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/text_support.h"

#define WORDPIECE "'model':{'type':'WordPiece','unk_token':'u','vocab':{'u':0,'a':1}}"
#define BPE(rest) "'model':{'type':'BPE','vocab':{'a':0,'b':1,'ab':2}," rest "}"

/* Each file, its status, and what the message must contain. */
#define CHARSMAP(base64)                                                                           \
    "{'normalizer':{'type':'Precompiled','precompiled_charsmap':'" base64 "'}," WORDPIECE "}"

static const struct {
    const char *json;
    enum lac_status status;
    const char *message;
} wrong[] = {
    {"", LAC_E_FORMAT, "test: tokenizer.json: line 1"},
    {"[]", LAC_E_FORMAT, "expected an object, found array"},
    {"{", LAC_E_FORMAT, "line 1"},
    {"{}", LAC_E_FORMAT, "model: expected an object, found null"},
    {"{'truncation':3," WORDPIECE "}", LAC_E_FORMAT, "truncation: expected an object"},
    {"{'truncation':{'max_length':-1}," WORDPIECE "}", LAC_E_FORMAT, "truncation: max_length: -1"},
    {"{'model':3}", LAC_E_FORMAT, "model: expected an object, found integer"},
    {"{'model':{'type':'Unigram','vocab':[]}}", LAC_E_FORMAT, "vocab: 0 tokens"},
    {"{'model':{'type':'Unigram','vocab':{'a':1}}}", LAC_E_FORMAT, "vocab: expected an array"},
    {"{'model':{'vocab':['a']}}", LAC_E_FORMAT, "vocab: [0]: expected a token and its score"},
    {"{'model':{'vocab':[['a',-1.5],['b','c']]}}", LAC_E_FORMAT, "vocab: [1]: expected"},
    {"{'model':{'vocab':[['a',-1.5]],'unk_id':1}}", LAC_E_FORMAT, "unk_id: 1 is not in the"},
    {"{'model':{'vocab':[['a',-1.5]],'unk_id':-2}}", LAC_E_FORMAT, "unk_id: -2 is not in the"},
    {"{'model':{'vocab':{'a':1}}}", LAC_E_UNSUPPORTED, "\"WordLevel\""},
    {"{'model':{'type':7}}", LAC_E_FORMAT, "type: expected a string"},
    {"{'model':{'type':'WordPiece'}}", LAC_E_FORMAT, "model: vocab: expected an object"},
    {"{'model':{'type':'WordPiece','vocab':{}}}", LAC_E_FORMAT, "vocab: no tokens"},
    {"{'model':{'type':'WordPiece','vocab':{'a':1.5}}}", LAC_E_FORMAT,
     "vocab: \"a\": expected an integer, found real number"},
    {"{'model':{'type':'WordPiece','vocab':{'a':-1}}}", LAC_E_FORMAT, "\"a\": id -1 is not"},
    {"{'model':{'type':'WordPiece','vocab':{'a':99999999}}}", LAC_E_FORMAT, "id 99999999 is not"},
    {"{'model':{'type':'WordPiece','vocab':{'a':99999999999999999999}}}", LAC_E_FORMAT, "line 1"},
    {"{'model':{'type':'WordPiece','vocab':{'a':5,'b':5}}}", LAC_E_FORMAT,
     "vocab: id 5 is given to both \"a\" and \"b\""},
    {"{'model':{'type':'WordPiece','vocab':{'a':5,'a':6}}}", LAC_E_FORMAT, "duplicate"},
    {"{'model':{'type':'WordPiece','vocab':{'a':5}}}", LAC_E_FORMAT,
     "unk_token: \"[UNK]\" is not in the vocabulary"},
    {"{'model':{'type':'WordPiece','max_input_chars_per_word':-3,'vocab':{'[UNK]':0}}}",
     LAC_E_FORMAT, "max_input_chars_per_word"},
    {"{'model':{'type':'WordPiece','vocab':{'a\xff':5}}}", LAC_E_FORMAT, "unable to decode byte"},
    {"{'model':{'type':'WordPiece','continuing_subword_prefix':["
     "'#'],'vocab':{'[UNK]':0}}}",
     LAC_E_FORMAT, "continuing_subword_prefix: expected a string"},
    {"{" BPE("'merges':7") "}", LAC_E_FORMAT, "merges: expected an array"},
    {"{" BPE("'x':7") "}", LAC_E_FORMAT, "merges: expected an array, found null"},
    {"{" BPE("'merges':['a']") "}", LAC_E_FORMAT, "merges[0]: \"a\" is not two tokens"},
    {"{" BPE("'merges':['a b','a  b']") "}", LAC_E_FORMAT, "merges[1]: \"a  b\" is not two"},
    {"{" BPE("'merges':['a c']") "}", LAC_E_FORMAT, "merges[0]: \"c\" is not in the vocab"},
    {"{" BPE("'merges':['b a']") "}", LAC_E_FORMAT, "what \"b\" and \"a\" make is not"},
    {"{" BPE("'merges':[['a']]") "}", LAC_E_FORMAT, "merges[0]: expected two tokens"},
    {"{" BPE("'merges':[['a',1]]") "}", LAC_E_FORMAT, "expected a string, found integer"},
    {"{" BPE("'merges':[],'dropout':0.1") "}", LAC_E_UNSUPPORTED, "dropout: 0.1 is not 0"},
    {"{" BPE("'merges':[],'unk_token':'z'") "}", LAC_E_FORMAT, "unk_token: \"z\""},
    {"{" BPE("'merges':[],'fuse_unk':1") "}", LAC_E_FORMAT, "fuse_unk: expected true or false"},
    {"{'normalizer':[]," WORDPIECE "}", LAC_E_FORMAT, "normalizer: expected an object"},
    {"{'normalizer':{}," WORDPIECE "}", LAC_E_FORMAT, "normalizer: type: missing"},
    {"{'normalizer':{'type':'Nmt'}," WORDPIECE "}", LAC_E_UNSUPPORTED, "\"Nmt\""},
    {"{'normalizer':{'type':'Precompiled'}," WORDPIECE "}", LAC_E_FORMAT,
     "precompiled_charsmap: expected a string, found null"},
    {CHARSMAP("AAA"), LAC_E_FORMAT, "precompiled_charsmap: 3 characters are no base64"},
    {CHARSMAP("AA==AAAA"), LAC_E_FORMAT, "no base64 from character 0 on"},
    {CHARSMAP("AAAA*AAA"), LAC_E_FORMAT, "no base64 from character 4 on"},
    {CHARSMAP("AAAA=AAA"), LAC_E_FORMAT, "no base64 from character 4 on"},
    {CHARSMAP(""), LAC_E_FORMAT, "0 bytes are no table"},
    {CHARSMAP("AAA="), LAC_E_FORMAT, "2 bytes are no table"},
    {CHARSMAP("AAAAAAAA"), LAC_E_FORMAT, "a trie of 0 bytes in a table of 6"},
    {CHARSMAP("BQAAAAAAAAAAAA=="), LAC_E_FORMAT, "a trie of 5 bytes in a table of 10"},
    {CHARSMAP("CAAAAAAAAAA="), LAC_E_FORMAT, "a trie of 8 bytes in a table of 8"},
    {CHARSMAP("BAAAAAAAAAD/"), LAC_E_FORMAT, "byte 0 of the replacements is not UTF-8"},
    {"{'normalizer':{'type':'BertNormalizer','lowercase':1}," WORDPIECE "}", LAC_E_FORMAT,
     "lowercase: expected true or false"},
    {"{'normalizer':{'type':'Sequence'}," WORDPIECE "}", LAC_E_FORMAT, "normalizers: expected an"},
    {"{'normalizer':{'type':'Sequence','normalizers':[{'type':'NFC'},{'type':'X'}]}," WORDPIECE "}",
     LAC_E_UNSUPPORTED, "normalizer: normalizers[1]: "},
    {"{'normalizer':{'type':'Replace','pattern':'x','content':''}," WORDPIECE "}", LAC_E_FORMAT,
     "pattern: expected an object"},
    {"{'normalizer':{'type':'Replace','pattern':{'Regex':'('},'content':''}," WORDPIECE "}",
     LAC_E_FORMAT, "pattern: regular expression, offset 1"},
    {"{'normalizer':{'type':'Replace','pattern':{'Regex':'x'}}," WORDPIECE "}", LAC_E_FORMAT,
     "content: expected a string"},
    {"{'pre_tokenizer':{'type':'Odd'}," WORDPIECE "}", LAC_E_UNSUPPORTED, "pre-tokenizer \"Odd\""},
    {"{'pre_tokenizer':{'type':'Metaspace','replacement':'__'}," WORDPIECE "}", LAC_E_FORMAT,
     "replacement: \"__\" is not one character"},
    {"{'pre_tokenizer':{'type':'Metaspace','replacement':''}," WORDPIECE "}", LAC_E_FORMAT,
     "replacement: \"\" is not one character"},
    {"{'pre_tokenizer':{'type':'Metaspace','prepend_scheme':'last'}," WORDPIECE "}", LAC_E_FORMAT,
     "prepend_scheme: \"last\" is none"},
    {"{'pre_tokenizer':{'type':'Metaspace','add_prefix_space':false,'prepend_scheme':'first'}"
     "," WORDPIECE "}",
     LAC_E_FORMAT, "prepend_scheme: \"first\" without add_prefix_space"},
    {"{'pre_tokenizer':{'type':'Split','pattern':{'String':'a'},'behavior':'Odd'}," WORDPIECE "}",
     LAC_E_FORMAT, "behavior: \"Odd\" is none"},
    {"{'pre_tokenizer':{'type':'Split','pattern':{'Regex':'(?C1)a\\\\C'},'behavior':'Isolated'}"
     "," WORDPIECE "}",
     LAC_E_FORMAT, "regular expression"},
    {"{'added_tokens':{}," WORDPIECE "}", LAC_E_FORMAT, "added_tokens: expected an array"},
    {"{'added_tokens':[{'content':'x'}]," WORDPIECE "}", LAC_E_FORMAT, "added_tokens[0]: id"},
    {"{'added_tokens':[{'id':3}]," WORDPIECE "}", LAC_E_FORMAT, "content: expected a string"},
    {"{'added_tokens':[{'id':3,'content':''}]," WORDPIECE "}", LAC_E_FORMAT, "content: 0 bytes"},
    {"{'added_tokens':[{'id':1,'content':'x'}]," WORDPIECE "}", LAC_E_FORMAT,
     "added_tokens[0]: id 1 is \"a\" in the vocabulary, not \"x\""},
    {"{'added_tokens':[{'id':4,'content':'a'}]," WORDPIECE "}", LAC_E_FORMAT,
     "\"a\" is 1 in the vocabulary, not 4"},
    {"{'added_tokens':[{'id':4,'content':'x'},{'id':5,'content':'x'}]," WORDPIECE "}", LAC_E_FORMAT,
     "added_tokens[1]: \"x\" comes twice"},
    {"{'added_tokens':[{'id':4,'content':'x'},{'id':4,'content':'y'}]," WORDPIECE "}", LAC_E_FORMAT,
     "id 4 is given to both"},
    {"{'added_tokens':[{'id':4,'content':'x','special':'yes'}]," WORDPIECE "}", LAC_E_FORMAT,
     "special: expected true or false"},
    {"{'post_processor':{'type':'Odd'}," WORDPIECE "}", LAC_E_UNSUPPORTED, "post-processor"},
    {"{'post_processor':{'type':'BertProcessing','cls':['a',1]}," WORDPIECE "}", LAC_E_FORMAT,
     "post_processor: sep: expected a token"},
    {"{'post_processor':{'type':'BertProcessing','cls':['a',9],'sep':['a',1]}," WORDPIECE "}",
     LAC_E_FORMAT, "cls: id 9 has no token"},
    {"{'post_processor':{'type':'TemplateProcessing','single':[],'pair':[]}," WORDPIECE "}",
     LAC_E_UNSUPPORTED, "single: each text must occur"},
    {"{'post_processor':{'type':'TemplateProcessing','single':[{'Sequence':{'id':'C'}}]}," WORDPIECE
     "}",
     LAC_E_FORMAT, "single[0]: id: \"C\" is neither"},
    {"{'post_processor':{'type':'TemplateProcessing','single':[{'Sequence':{'id':'A','type_id':"
     "256}}]}," WORDPIECE "}",
     LAC_E_FORMAT, "type_id: 256 is not between"},
    {"{'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'c'}}]}"
     "," WORDPIECE "}",
     LAC_E_FORMAT, "special_tokens: no ids for \"c\""},
    {"{'post_processor':{'type':'Sequence','processors':[{'type':'BertProcessing','cls':['a',1],"
     "'sep':['a',1]},{'type':'BertProcessing','cls':['a',1],'sep':['a',1]}]}," WORDPIECE "}",
     LAC_E_UNSUPPORTED, "processors[1]: a second source"},
    {"{'decoder':{'type':'CTC'}," WORDPIECE "}", LAC_E_UNSUPPORTED, "decoder \"CTC\""},
    {"{'decoder':{'type':'WordPiece','cleanup':3}," WORDPIECE "}", LAC_E_FORMAT, "cleanup"},
    {"{'decoder':{}," WORDPIECE "}", LAC_E_FORMAT, "decoder: type: missing"},
    {"{'decoder':{'type':'Replace','pattern':{'Regex':'a'},'content':'b'}," WORDPIECE "}",
     LAC_E_UNSUPPORTED, "decoder: pattern: decoders know only String"},
    {"{'decoder':{'type':'Replace','pattern':{'String':''},'content':'b'}," WORDPIECE "}",
     LAC_E_FORMAT, "pattern: String: expected a string of 1 to 64 bytes"},
    {"{'decoder':{'type':'Strip','content':'ab','start':1}," WORDPIECE "}", LAC_E_FORMAT,
     "content: \"ab\" is not one character"},
    {"{'decoder':{'type':'Strip','content':'a','start':-1}," WORDPIECE "}", LAC_E_FORMAT,
     "start: -1 is not between"},
    {"{'decoder':{'type':'Sequence','decoders':[{'type':'ByteFallback'},{'type':'Metaspace'}]}"
     "," WORDPIECE "}",
     LAC_E_UNSUPPORTED, "decoders[1]: Metaspace cannot follow ByteFallback without Fuse"},
    {"{'decoder':{'type':'Sequence','decoders':[{'type':'ByteLevel'},{'type':'Metaspace'}]}"
     "," WORDPIECE "}",
     LAC_E_UNSUPPORTED, "decoders[1]: Metaspace cannot follow Fuse or ByteLevel"},
    {"{'decoder':{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'ByteFallback'}]}"
     "," WORDPIECE "}",
     LAC_E_UNSUPPORTED, "decoders[1]: ByteFallback on joined tokens"},
    {"{'decoder':{'type':'Sequence','decoders':[{'type':'Fuse'},"
     "{'type':'Strip','content':'\xc3\xa9'}]}," WORDPIECE "}",
     LAC_E_UNSUPPORTED, "decoders[1]: content: \"\xc3\xa9\" is not ASCII"},
};

START_TEST(wrong_files_are_named)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct lac_error error = {.text = "none"};
        struct lac_tokenizer *untouched = (struct lac_tokenizer *)&error, *tokenizer = untouched;
        enum lac_status status = open_quoted(wrong[i].json, &tokenizer, &error);
        ck_assert_msg(status == wrong[i].status, "%s: %d %s", wrong[i].json, status, error.text);
        ck_assert_msg(strstr(error.text, wrong[i].message) != NULL, "%s: %s", wrong[i].json,
                      error.text);
        ck_assert_msg(!strncmp(error.text, "test: tokenizer.json: ", 22), "%s", error.text);
        ck_assert_ptr_eq(tokenizer, untouched);
    }
}
END_TEST

START_TEST(nesting_has_an_end)
{
    char json[4096] = "{'normalizer':";
    for (int i = 0; i < 40; i++)
        strcat(json, "{'type':'Sequence','normalizers':[");
    strcat(json, "{'type':'NFC'}");
    for (int i = 0; i < 40; i++)
        strcat(json, "]}");
    strcat(json, "," WORDPIECE "}");
    struct lac_tokenizer *tokenizer;
    struct lac_error error;
    ck_assert_int_eq(open_quoted(json, &tokenizer, &error), LAC_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(error.text, "nested more than 8 times"));

    static char many[8192];
    strcpy(many, "{'pre_tokenizer':{'type':'Sequence','pretokenizers':[");
    for (int i = 0; i < 65; i++)
        strcat(many, i ? ",{'type':'WhitespaceSplit'}" : "{'type':'WhitespaceSplit'}");
    strcat(many, "]}," WORDPIECE "}");
    ck_assert_int_eq(open_quoted(many, &tokenizer, &error), LAC_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(error.text, "pretokenizers[64]: more than 64 steps"));
}
END_TEST

static enum lac_status open_plain(enum lac_tokenizer_kind kind, const char *main, size_t size,
                                  const char *merges, const char *config,
                                  struct lac_tokenizer **tokenizer, struct lac_error *error)
{
    struct lac_tokenizer_texts texts = {
        kind, {main, size}, {merges, strlen(merges)}, {config, strlen(config)}};
    return lac_tokenizer_open_texts(&lac_default_host, "test", &texts, tokenizer, error);
}

#define LINES "[UNK]\n[CLS]\n[SEP]\na\n"

START_TEST(wrong_plain_files_are_named)
{
    static const struct {
        const char *main;
        size_t size;
        const char *config, *message;
    } vocab[] = {
        {"", 0, "", "test: vocab.txt: no tokens"},
        {"a\nb\n", 4, "", "test: vocab.txt: unk_token: it is not in the vocabulary"},
        {"[UNK]\n[SEP]\n", 12, "", "cls_token: it is not"},
        {"a\nb\0c\n", 6, "", "test: vocab.txt: line 2: the token of id 1 holds a NUL"},
        {"a\nb\xff\n", 5, "", "test: vocab.txt: not UTF-8 at byte 3"},
        {LINES, sizeof LINES - 1, "[]", "test: tokenizer_config.json: expected an object"},
        {LINES, sizeof LINES - 1, "{", "test: tokenizer_config.json: line 1"},
        {LINES, sizeof LINES - 1, "{\"do_lower_case\": 3}", "tokenizer_config.json: do_lower_case"},
        {LINES, sizeof LINES - 1, "{\"cls_token\": 3}", "cls_token: cls_token: expected a string"},
        {LINES, sizeof LINES - 1, "{\"cls_token\": {\"content\": 3}}", "cls_token: content"},
        {LINES, sizeof LINES - 1, "{\"cls_token\": \"x\"}", "cls_token: it is not"},
        {LINES, sizeof LINES - 1, "{\"added_tokens_decoder\": {\"x\": {}}}", "\"x\" is not an id"},
        {LINES, sizeof LINES - 1, "{\"added_tokens_decoder\": {\"1\": {\"content\": \"q\"}}}",
         "id 1 is given to both"},
    };
    struct lac_tokenizer *tokenizer;
    struct lac_error error;
    for (size_t i = 0; i < sizeof vocab / sizeof *vocab; i++) {
        ck_assert_int_eq(open_plain(LAC_TOKENIZER_VOCAB, vocab[i].main, vocab[i].size, "",
                                    vocab[i].config, &tokenizer, &error),
                         LAC_E_FORMAT);
        ck_assert_msg(strstr(error.text, vocab[i].message) != NULL, "%s", error.text);
    }
    static const struct {
        const char *main, *merges, *message;
    } merges[] = {
        {"[]", "", "test: vocab.json: vocab: expected an object"},
        {"{\"a\": 0, \"b\": 1}", "a\n", "test: merges.txt: line 1: not two tokens"},
        {"{\"a\": 0, \"b\": 1}", "#version\na b\n", "merges.txt: line 2: what \"a\" and \"b\""},
        {"{\"a\": 0, \"b\": 1}", "a b c\n", "line 1: not two tokens"},
        {"{\"a\": 0, \"b\": 1}", "a \xff\n", "merges.txt: not UTF-8 at byte 2"},
    };
    for (size_t i = 0; i < sizeof merges / sizeof *merges; i++) {
        ck_assert_int_eq(open_plain(LAC_TOKENIZER_MERGES, merges[i].main, strlen(merges[i].main),
                                    merges[i].merges, "", &tokenizer, &error),
                         LAC_E_FORMAT);
        ck_assert_msg(strstr(error.text, merges[i].message) != NULL, "%s", error.text);
    }
    ck_assert_int_eq(open_plain((enum lac_tokenizer_kind)9, "", 0, "", "", &tokenizer, &error),
                     LAC_E_FORMAT);
}
END_TEST

/* Options and tokens of tokenizer_config.json. */
START_TEST(configuration_counts)
{
    struct lac_tokenizer *tokenizer;
    struct lac_error error;
    static const char lines[] =
        "<u>\r\n<c>\r\n<e>\r\na\r\nA\r\n\r\n\xc3\xa9\r\n\xe4\xb8\xad\r\n<m>";
    ck_assert_int_eq(
        open_plain(LAC_TOKENIZER_VOCAB, lines, sizeof lines - 1, "",
                   "{\"do_lower_case\": false, \"tokenize_chinese_chars\": false,"
                   "\"unk_token\": \"<u>\", \"cls_token\": {\"content\": \"<c>\"},"
                   "\"sep_token\": \"<e>\", \"mask_token\": \"<m>\", \"added_tokens_decoder\":"
                   "{\"8\": {\"content\": \"<m>\", \"rstrip\": true, \"special\": true},"
                   "\"9\": {\"content\": \"new\", \"normalized\": true}}}",
                   &tokenizer, &error),
        LAC_OK);
    expect_tokens(tokenizer, "A a<m>  \xc3\xa9", 10, NULL, "1:0:0 4:0:1 3:2:3 8:3:8 6:8:10 2:0:0");
    expect_tokens(tokenizer, "\xe4\xb8\xad\xe4\xb8\xad", 6, NULL, "1:0:0 0:0:6 2:0:0");
    expect_tokens(tokenizer, "anew", 4, NULL, "1:0:0 3:0:1 9:1:4 2:0:0");
    ck_assert_int_eq(lac_tokenizer_mask_id(tokenizer), 8);
    ck_assert_uint_eq(lac_tokenizer_vocab_size(tokenizer), 10);
    ck_assert_ptr_null(lac_tokenizer_token(tokenizer, 5));
    /* What it was made of comes back, and makes the same again. */
    struct lac_tokenizer *again;
    const struct lac_tokenizer_texts *texts = lac_tokenizer_texts(tokenizer);
    ck_assert_int_eq(texts->kind, LAC_TOKENIZER_VOCAB);
    ck_assert_uint_eq(texts->main.size, sizeof lines - 1);
    ck_assert_int_eq(lac_tokenizer_open_texts(&lac_default_host, "x", texts, &again, &error), 0);
    lac_tokenizer_free(tokenizer);
    expect_tokens(again, "A", 1, NULL, "1:0:0 4:0:1 2:0:0");
    lac_tokenizer_free(again);

    /* GPT-2: no special tokens round the text; the space may be put before it. */
    static const char vocab[] = "{\"a\": 0, \"\xc4\xa0\": 1, \"\xc4\xa0"
                                "a\": 2, \"<|endoftext|>\": 3}";
    static const char merges[] = "#version: 0.2\n\xc4\xa0 a\n";
    ck_assert_int_eq(open_plain(LAC_TOKENIZER_MERGES, vocab, sizeof vocab - 1, merges,
                                "{\"add_prefix_space\": true, \"unk_token\": \"<|endoftext|>\"}",
                                &tokenizer, &error),
                     LAC_OK);
    expect_tokens(tokenizer, "a a", 3, NULL, "2:0:1 2:1:3");
    expect_tokens(tokenizer, "a<|endoftext|>a", 15, NULL, "2:0:1 3:1:14 2:14:15");
    ck_assert(lac_tokenizer_is_special(tokenizer, 3));
    lac_tokenizer_free(tokenizer);
}
END_TEST

static void write_file(const char *directory, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

/* Which files of a directory count, and how messages call them. */
START_TEST(directories)
{
    char directory[400], path[512];
    struct lac_tokenizer *tokenizer;
    struct lac_error error;
    snprintf(directory, sizeof directory, "%s/model", scratch_directory());
    ck_assert_int_eq(lac_tokenizer_open_path(&lac_default_host, directory, &tokenizer, &error),
                     LAC_E_IO);
    ck_assert_int_eq(mkdir(directory, 0777), 0);
    ck_assert_int_eq(lac_tokenizer_open_path(&lac_default_host, directory, &tokenizer, &error),
                     LAC_E_IO);
    ck_assert_ptr_nonnull(strstr(error.text, "no tokenizer.json"));
    write_file(directory, "vocab.json", "{\"a\": 7}");
    ck_assert_int_eq(lac_tokenizer_open_path(&lac_default_host, directory, &tokenizer, NULL),
                     LAC_E_IO);
    write_file(directory, "merges.txt", "");
    ck_assert_int_eq(lac_tokenizer_open_path(&lac_default_host, directory, &tokenizer, &error), 0);
    ck_assert_int_eq(lac_tokenizer_id(tokenizer, "a"), 7);
    lac_tokenizer_free(tokenizer);
    snprintf(path, sizeof path, "%s/vocab.json", directory);
    ck_assert_int_eq(lac_tokenizer_open_path(&lac_default_host, path, &tokenizer, &error), 0);
    lac_tokenizer_free(tokenizer);
    write_file(directory, "vocab.txt", LINES);
    write_file(directory, "tokenizer_config.json", "{\"do_lower_case\": 3}");
    ck_assert_int_eq(lac_tokenizer_open_path(&lac_default_host, directory, &tokenizer, &error),
                     LAC_E_FORMAT);
    snprintf(path, sizeof path, "%s/tokenizer_config.json: do_lower_case", directory);
    ck_assert_msg(strstr(error.text, path) != NULL, "%s", error.text);
    write_file(directory, "tokenizer_config.json", "{\"do_lower_case\": false}");
    snprintf(path, sizeof path, "%s/vocab.txt", directory);
    ck_assert_int_eq(lac_tokenizer_open_path(&lac_default_host, path, &tokenizer, &error), 0);
    expect_tokens(tokenizer, "A", 1, NULL, "1:0:0 0:0:1 2:0:0");
    lac_tokenizer_free(tokenizer);
    write_file(directory, "tokenizer.json", "{\"model\": null}");
    ck_assert_int_eq(lac_tokenizer_open_path(&lac_default_host, directory, &tokenizer, &error),
                     LAC_E_FORMAT);
    snprintf(path, sizeof path, "%s/tokenizer.json: model: expected", directory);
    ck_assert_msg(strstr(error.text, path) != NULL, "%s", error.text);
    lac_tokenizer_free(NULL);
}
END_TEST

static const char *const sample =
    "The caf\xc3\xa9 [MASK] <mask> New York \xe4\xb8\xad\xe6\x96\x87 e\xcc\x81 don't  stop 1987 "
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/* Every allocation in turn fails: a status, no leak, and the outputs as they were. */
START_TEST(memory_runs_out)
{
    static const char *const names[] = {"added.json", "prefix.json", "words.json", "uncased",
                                        "roberta"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        char path[128];
        enum lac_status status = LAC_E_MEMORY;
        snprintf(path, sizeof path, "tests/data/text/%s", names[k]);
        for (size_t fail_at = 1; status; fail_at++) {
            struct counting_host counting;
            struct lac_tokenizer *tokenizer = NULL;
            struct lac_encoding encoding = {0};
            counting_host_init(&counting, fail_at);
            status = lac_tokenizer_open_path(&counting.host, source_path(path), &tokenizer, NULL);
            if (!status)
                status = lac_tokenizer_encode(tokenizer, sample, strlen(sample), sample,
                                              strlen(sample), 0, 0, &encoding);
            ck_assert(status == LAC_OK || status == LAC_E_MEMORY);
            ck_assert_uint_eq(status ? encoding.n : 0, 0);
            lac_encoding_clear(&encoding);
            lac_tokenizer_free(tokenizer);
            ck_assert_uint_eq(counting.n_live, 0);
        }
    }
}
END_TEST

/* Damaged files open or fail; texts then encode or fail. */
START_TEST(damaged_files)
{
    static const char *const names[] = {"added.json", "prefix.json", "words.json"};
    uint64_t state = test_seed();
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        struct lac_tokenizer *whole = open_data(names[k]);
        struct lac_slice text = lac_tokenizer_texts(whole)->main;
        char *copy = malloc(text.size);
        size_t n_opened = 0;
        for (size_t i = 0; i < 400; i++) {
            memcpy(copy, text.text, text.size);
            size_t size = random_below(&state, 8) ? text.size : random_below(&state, text.size);
            for (size_t n = 1 + random_below(&state, 3); n; n--) {
                static const char bytes[] = "0129-\"{}[]:, \\utnaz\xc3\xff";
                copy[random_below(&state, text.size)] =
                    bytes[random_below(&state, sizeof bytes - 1)];
            }
            struct lac_tokenizer_texts texts = {.kind = LAC_TOKENIZER_JSON, .main = {copy, size}};
            struct lac_tokenizer *tokenizer = NULL;
            struct lac_encoding encoding = {0};
            if (lac_tokenizer_open_texts(&lac_default_host, "x", &texts, &tokenizer, NULL))
                continue;
            n_opened++;
            lac_tokenizer_encode(tokenizer, sample, strlen(sample), NULL, 0, 0, 0, &encoding);
            lac_tokenizer_decode(tokenizer, encoding.ids, encoding.n, NULL, 0);
            lac_encoding_clear(&encoding);
            lac_tokenizer_free(tokenizer);
        }
        ck_assert_uint_gt(n_opened, 0);
        free(copy);
        lac_tokenizer_free(whole);
    }
}
END_TEST

void add_text_file_tests(Suite *suite)
{
    add_test(suite, "wrong files", wrong_files_are_named);
    add_test(suite, "nesting", nesting_has_an_end);
    add_test(suite, "wrong plain files", wrong_plain_files_are_named);
    add_test(suite, "configuration", configuration_counts);
    add_test(suite, "directories", directories);
    add_test(suite, "memory", memory_runs_out);
    add_test(suite, "damaged files", damaged_files);
}
