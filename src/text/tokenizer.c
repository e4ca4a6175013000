/* SPDX-License-Identifier: Apache-2.0 */
/* Opens and closes tokenizers, and looks up their tokens. */
#include "src/text/tokenizer.h"

#include <string.h>

#include "src/base/file.h"
#include "src/text/parts.h"

enum { MAX_FILE_BYTES = 1 << 28 };

void lac_tokenizer_free(struct lac_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    for (size_t i = 0; i < tokenizer->normalizer.n_steps; i++)
        lac_text_pattern_free(tokenizer->normalizer.steps[i].pattern);
    for (size_t i = 0; i < tokenizer->pretokenizer.n_steps; i++)
        lac_text_pattern_free(tokenizer->pretokenizer.steps[i].pattern);
    lac_arena_clear(&tokenizer->arena);
    lac_free(tokenizer->host, tokenizer);
}

static bool keep(struct lac_tokenizer *tokenizer, struct lac_slice *text)
{
    text->text = lac_arena_strndup(&tokenizer->arena, text->size ? text->text : "", text->size);
    return text->text;
}

static enum lac_status read_texts(struct lac_tokenizer *tokenizer,
                                  const struct lac_tokenizer_names *names, struct lac_error *error)
{
    struct lac_tokenizer_texts *texts = &tokenizer->texts;
    if (texts->main.size > MAX_FILE_BYTES || texts->merges.size > MAX_FILE_BYTES ||
        texts->config.size > MAX_FILE_BYTES)
        return lac_fail(error, LAC_E_LIMIT, "%s: more than %d bytes", names->main, MAX_FILE_BYTES);
    if (!keep(tokenizer, &texts->main) || !keep(tokenizer, &texts->merges) ||
        !keep(tokenizer, &texts->config))
        return lac_no_memory(error);
    switch (texts->kind) {
    case LAC_TOKENIZER_JSON:
        return lac_read_json(tokenizer, names, error);
    case LAC_TOKENIZER_VOCAB:
        return lac_read_vocab_txt(tokenizer, names, error);
    case LAC_TOKENIZER_MERGES:
        return lac_read_vocab_merges(tokenizer, names, error);
    }
    return lac_fail(error, LAC_E_FORMAT, "%s: there is no tokenizer kind %d", names->main,
                    (int)texts->kind);
}

/* error is not NULL. */
static enum lac_status open_named(const struct lac_host *host,
                                  const struct lac_tokenizer_names *names,
                                  const struct lac_tokenizer_texts *texts,
                                  struct lac_tokenizer **tokenizer, struct lac_error *error)
{
    struct lac_tokenizer *made = lac_alloc_zero(host, 1, sizeof *made);
    if (!made)
        return lac_no_memory(error);
    made->host = host;
    made->arena.host = host;
    made->texts = *texts;
    made->mask_id = -1;
    enum lac_status status = read_texts(made, names, error);
    if (status)
        lac_tokenizer_free(made);
    else
        *tokenizer = made;
    return status;
}

enum lac_status lac_tokenizer_open_texts(const struct lac_host *host, const char *name,
                                         const struct lac_tokenizer_texts *texts,
                                         struct lac_tokenizer **tokenizer, struct lac_error *error)
{
    static const struct lac_tokenizer_names names[] = {
        [LAC_TOKENIZER_JSON] = {"tokenizer.json", "", ""},
        [LAC_TOKENIZER_VOCAB] = {"vocab.txt", "", "tokenizer_config.json"},
        [LAC_TOKENIZER_MERGES] = {"vocab.json", "merges.txt", "tokenizer_config.json"},
    };
    struct lac_error own;
    struct lac_error *e = error ? error : &own;
    if (texts->kind < LAC_TOKENIZER_JSON || texts->kind > LAC_TOKENIZER_MERGES)
        return lac_fail(e, LAC_E_FORMAT, "%s: there is no tokenizer kind %d", name,
                        (int)texts->kind);
    enum lac_status status = open_named(host, &names[texts->kind], texts, tokenizer, e);
    return status ? lac_fail_in(e, status, "%s", name) : LAC_OK;
}

/* Paths and mapped files of one tokenizer; all zeros but for host is empty. */
struct sources {
    const struct lac_host *host;
    enum lac_tokenizer_kind kind;
    char *paths[3]; /* main, merges, config */
    struct lac_file files[3];
};

enum { MAIN, MERGES, CONFIG };

static void close_sources(struct sources *sources)
{
    for (size_t i = 0; i < 3; i++) {
        lac_file_close(&sources->files[i]);
        lac_free(sources->host, sources->paths[i]);
    }
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && !strcmp(text + n - n_end, end);
}

/* The directory a path names or lies in, on the host's memory. */
static char *directory_of(const struct lac_host *host, const char *path)
{
    if (lac_path_is_directory(path))
        return lac_strndup(host, path, strlen(path));
    const char *base = base_name(path);
    return base == path ? lac_strndup(host, ".", 1)
                        : lac_strndup(host, path, (size_t)(base - path));
}

/* Sets paths[i] to a file of the directory when it is there; false without memory. */
static bool take_if_there(struct sources *sources, size_t i, const char *directory,
                          const char *name)
{
    char *path = lac_path_join(sources->host, directory, name);
    if (!path)
        return false;
    if (lac_path_is_file(path))
        sources->paths[i] = path;
    else
        lac_free(sources->host, path);
    return true;
}

/* Which files of a directory make a tokenizer. */
static enum lac_status choose_files(struct sources *sources, const char *directory,
                                    struct lac_error *error)
{
    static const struct {
        enum lac_tokenizer_kind kind;
        const char *names[3];
    } choices[] = {
        {LAC_TOKENIZER_JSON, {"tokenizer.json", NULL, NULL}},
        {LAC_TOKENIZER_VOCAB, {"vocab.txt", NULL, "tokenizer_config.json"}},
        {LAC_TOKENIZER_MERGES, {"vocab.json", "merges.txt", "tokenizer_config.json"}},
    };
    bool given = sources->paths[MAIN] != NULL; /* by the caller; then kind is, too */
    for (size_t k = 0; k < sizeof choices / sizeof *choices; k++) {
        if (given && sources->kind != choices[k].kind)
            continue;
        for (size_t i = 0; i < 3; i++)
            if (choices[k].names[i] && !sources->paths[i] &&
                !take_if_there(sources, i, directory, choices[k].names[i]))
                return lac_no_memory(error);
        sources->kind = choices[k].kind;
        if (sources->paths[MAIN] && (!choices[k].names[MERGES] || sources->paths[MERGES]))
            return LAC_OK;
    }
    return lac_fail(error, LAC_E_IO,
                    "%s: no tokenizer.json, no vocab.txt, no vocab.json with merges.txt",
                    directory);
}

static enum lac_status find_sources(struct sources *sources, const char *path,
                                    struct lac_error *error)
{
    if (!lac_path_is_directory(path)) {
        sources->kind = ends_with(path, ".txt")                  ? LAC_TOKENIZER_VOCAB
                        : !strcmp(base_name(path), "vocab.json") ? LAC_TOKENIZER_MERGES
                                                                 : LAC_TOKENIZER_JSON;
        sources->paths[MAIN] = lac_strndup(sources->host, path, strlen(path));
        if (!sources->paths[MAIN])
            return lac_no_memory(error);
    }
    char *directory = directory_of(sources->host, path);
    if (!directory)
        return lac_no_memory(error);
    enum lac_status status = choose_files(sources, directory, error);
    lac_free(sources->host, directory);
    for (size_t i = 0; i < 3 && !status; i++)
        if (sources->paths[i])
            status = lac_file_open(sources->paths[i], &sources->files[i], error);
    return status;
}

static struct lac_slice slice_of(const struct lac_file *file)
{
    return (struct lac_slice){(const char *)file->data, file->size};
}

enum lac_status lac_tokenizer_open_path(const struct lac_host *host, const char *path,
                                        struct lac_tokenizer **tokenizer, struct lac_error *error)
{
    struct lac_error own;
    struct lac_error *e = error ? error : &own;
    struct sources sources = {.host = host};
    enum lac_status status = find_sources(&sources, path, e);
    if (!status) {
        struct lac_tokenizer_names names = {sources.paths[MAIN], sources.paths[MERGES],
                                            sources.paths[CONFIG]};
        struct lac_tokenizer_texts texts = {sources.kind, slice_of(&sources.files[MAIN]),
                                            slice_of(&sources.files[MERGES]),
                                            slice_of(&sources.files[CONFIG])};
        status = open_named(host, &names, &texts, tokenizer, e);
    }
    close_sources(&sources);
    return status;
}

const struct lac_tokenizer_texts *lac_tokenizer_texts(const struct lac_tokenizer *tokenizer)
{
    return &tokenizer->texts;
}

size_t lac_tokenizer_vocab_size(const struct lac_tokenizer *tokenizer)
{
    return tokenizer->n_ids;
}

const char *lac_tokenizer_token(const struct lac_tokenizer *tokenizer, int32_t id)
{
    const char *name = lac_vocab_spelling(&tokenizer->added_names, id, NULL);
    return name ? name : lac_vocab_spelling(&tokenizer->model.vocab, id, NULL);
}

int32_t lac_tokenizer_id(const struct lac_tokenizer *tokenizer, const char *token)
{
    size_t size = strlen(token);
    int32_t id = lac_vocab_find(&tokenizer->added_names, token, size);
    return id >= 0 ? id : lac_vocab_find(&tokenizer->model.vocab, token, size);
}

int32_t lac_tokenizer_mask_id(const struct lac_tokenizer *tokenizer)
{
    return tokenizer->mask_id;
}

size_t lac_tokenizer_truncation(const struct lac_tokenizer *tokenizer)
{
    return tokenizer->truncation;
}

bool lac_tokenizer_is_special(const struct lac_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && (size_t)id < tokenizer->n_ids && tokenizer->special[id];
}

/* Writes the text of a token to sink; special and unknown ones have none. */
static void decode_id(const struct lac_tokenizer *tokenizer, struct lac_decode_state *state,
                      int32_t id, struct lac_decode_sink *sink)
{
    size_t size;
    const char *spelling = lac_vocab_spelling(&tokenizer->added_names, id, &size);
    if (!spelling)
        spelling = lac_vocab_spelling(&tokenizer->model.vocab, id, &size);
    if (spelling && !lac_tokenizer_is_special(tokenizer, id))
        lac_decode_token(&tokenizer->decoder, state, spelling, size, sink);
}

static size_t end_sink(struct lac_decode_sink *sink)
{
    if (sink->size)
        sink->text[sink->n < sink->size ? sink->n : sink->size - 1] = '\0';
    return sink->n;
}

size_t lac_tokenizer_decode(const struct lac_tokenizer *tokenizer, const int32_t *ids, size_t n,
                            char *text, size_t size)
{
    struct lac_decode_state state = {0};
    struct lac_decode_sink sink = {text, size, 0};
    for (size_t i = 0; i < n; i++)
        decode_id(tokenizer, &state, ids[i], &sink);
    lac_decode_end(&tokenizer->decoder, &state, &sink);
    return end_sink(&sink);
}

/* Only what fits counts. */
static size_t commit(struct lac_decode_state *state, const struct lac_decode_state *next,
                     struct lac_decode_sink *sink)
{
    if (sink->n < sink->size)
        *state = *next;
    return end_sink(sink);
}

size_t lac_tokenizer_decode_next(const struct lac_tokenizer *tokenizer,
                                 struct lac_decode_state *state, int32_t id, char *text,
                                 size_t size)
{
    struct lac_decode_state next = *state;
    struct lac_decode_sink sink = {text, size, 0};
    decode_id(tokenizer, &next, id, &sink);
    return commit(state, &next, &sink);
}

size_t lac_tokenizer_decode_end(const struct lac_tokenizer *tokenizer,
                                struct lac_decode_state *state, char *text, size_t size)
{
    struct lac_decode_state next = *state;
    struct lac_decode_sink sink = {text, size, 0};
    lac_decode_end(&tokenizer->decoder, &next, &sink);
    return commit(state, &next, &sink);
}

size_t lac_tokenizer_decode_room(const struct lac_tokenizer *tokenizer)
{
    return tokenizer->decoder.room;
}
