/* SPDX-License-Identifier: Apache-2.0 */
/* From a description to the words that mean it: embeds every definition of a dictionary once, then
 * prints the words whose definitions lie nearest to each line typed.
 *
 * Usage: reverse-dictionary [-c CACHE] [MODEL [DICTIONARY]]
 *
 * DICTIONARY has a line `words<TAB>definition` for each entry.  CACHE keeps the vectors, so that
 * the next start takes no time; it is made anew when the model or the dictionary has changed. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lacuna/lacuna.h>

enum { N_NEAREST = 10, BATCH_TOKENS = 16384 };

struct dictionary {
    char *text; /* the file; lines and columns cut apart by zeros */
    size_t size;
    size_t n;
    const char **words, **definitions;
    uint64_t hash; /* of the file's bytes */
};

struct encoder {
    struct lac_engine *engine;
    struct lac_model *model;
    struct lac_session *session;
    size_t dimension;
};

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "reverse-dictionary: %s: %s\n", what, why);
    return 0;
}

static int fail_session(const struct encoder *e, const char *what)
{
    return fail(what, lac_session_message(e->session));
}

/* Reading the dictionary. */

static int read_file(const char *path, struct dictionary *d)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return fail(path, "cannot be opened");
    size_t capacity = 1 << 16, n;
    d->text = malloc(capacity + 1);
    while (d->text && (n = fread(d->text + d->size, 1, capacity - d->size, file))) {
        d->size += n;
        if (d->size == capacity) {
            char *larger = realloc(d->text, 2 * capacity + 1);
            if (!larger)
                free(d->text);
            d->text = larger;
            capacity *= 2;
        }
    }
    int good = d->text && !ferror(file);
    fclose(file);
    return good ? 1 : fail(path, "cannot be read");
}

/* FNV-1a. */
static uint64_t hash_bytes(const char *bytes, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    return hash;
}

static size_t count_lines(const struct dictionary *d)
{
    size_t n = 1;
    for (size_t i = 0; i < d->size; i++)
        n += d->text[i] == '\n';
    return n;
}

static int cut_lines(struct dictionary *d)
{
    size_t most = count_lines(d);
    d->words = calloc(most, sizeof *d->words);
    d->definitions = calloc(most, sizeof *d->definitions);
    if (!d->words || !d->definitions)
        return fail("dictionary", "out of memory");
    d->text[d->size] = '\0';
    for (char *line = d->text; *line;) {
        char *end = line + strcspn(line, "\n"), *next = *end ? end + 1 : end;
        *end = '\0';
        char *tab = strchr(line, '\t');
        if (tab) {
            *tab = '\0';
            d->words[d->n] = line;
            d->definitions[d->n++] = tab + 1;
        }
        line = next;
    }
    return d->n ? 1 : fail("dictionary", "no line is words<TAB>definition");
}

static int open_dictionary(const char *path, struct dictionary *d)
{
    if (!read_file(path, d))
        return 0;
    d->hash = hash_bytes(d->text, d->size);
    return cut_lines(d);
}

static void close_dictionary(struct dictionary *d)
{
    free(d->text);
    free(d->words);
    free(d->definitions);
}

/* Texts to vectors of length 1. */

static int open_encoder(const char *path, struct encoder *e)
{
    struct lac_session_options *options = NULL;
    char message[512];
    if (lac_engine_new(NULL, &e->engine))
        return fail("lacuna", "the engine does not start");
    int good =
        !lac_model_open(e->engine, path, NULL, &e->model) && !lac_session_options_new(&options);
    if (good) {
        lac_session_options_set_task(options, LAC_TASK_EMBED);
        lac_session_options_set_pooling(options, LAC_POOL_DEFAULT, LAC_NORMALIZE_L2);
        good = !lac_session_new(e->model, options, &e->session);
    }
    lac_session_options_free(options);
    if (!good)
        return fail(path, lac_engine_message(e->engine, message, sizeof message));
    e->dimension = lac_model_hidden_size(e->model);
    return 1;
}

static void close_encoder(struct encoder *e)
{
    lac_session_free(e->session);
    lac_model_free(e->model);
    lac_engine_free(e->engine);
}

/* Runs the n texts in the session into vectors [n, dimension] and clears it. */
static int collect(struct encoder *e, float *vectors, size_t n)
{
    if (lac_session_run(e->session))
        return fail_session(e, "run");
    for (size_t i = 0; i < n; i++) {
        const float *vector;
        size_t size;
        if (lac_session_embedding(e->session, i, &vector, &size))
            return fail_session(e, "embedding");
        memcpy(vectors + i * e->dimension, vector, size * sizeof *vector);
    }
    lac_session_clear(e->session);
    return 1;
}

static int embed(struct encoder *e, const char *const *texts, size_t n, float *vectors)
{
    lac_session_clear(e->session);
    for (size_t done = 0, added = 0; done + added < n;) {
        const char *text = texts[done + added];
        if (lac_session_add_text(e->session, text, strlen(text), NULL, 0, NULL))
            return fail_session(e, text);
        added++;
        if (lac_session_tokens(e->session) < BATCH_TOKENS && done + added < n)
            continue;
        if (!collect(e, vectors + done * e->dimension, added))
            return 0;
        done += added;
        added = 0;
    }
    return 1;
}

/* The cache: a header, then the vectors.  It fits this machine and library only. */

struct cache_header {
    char magic[8];
    uint64_t n, dimension, dictionary_hash;
};

static struct cache_header make_header(const struct dictionary *d, const struct encoder *e)
{
    return (struct cache_header){{"lacdict"}, d->n, e->dimension, d->hash};
}

/* The first vector stands for the model: another model would give another. */
static int read_cache(const char *path, const struct dictionary *d, struct encoder *e,
                      float *vectors)
{
    struct cache_header expected = make_header(d, e), found;
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    int good =
        fread(&found, sizeof found, 1, file) == 1 && !memcmp(&found, &expected, sizeof found) &&
        fread(vectors, e->dimension * sizeof *vectors, d->n, file) == d->n && fgetc(file) == EOF;
    fclose(file);
    float *first = malloc(e->dimension * sizeof *first);
    good = good && first && embed(e, d->definitions, 1, first) &&
           !memcmp(first, vectors, e->dimension * sizeof *first);
    free(first);
    return good;
}

static void write_cache(const char *path, const struct dictionary *d, const struct encoder *e,
                        const float *vectors)
{
    struct cache_header header = make_header(d, e);
    FILE *file = fopen(path, "wb");
    int good = file && fwrite(&header, sizeof header, 1, file) == 1 &&
               fwrite(vectors, e->dimension * sizeof *vectors, d->n, file) == d->n;
    if (file)
        good &= !fclose(file);
    if (!good)
        fail(path, "the cache cannot be written");
}

static int get_vectors(const char *cache, const struct dictionary *d, struct encoder *e,
                       float *vectors)
{
    if (cache && read_cache(cache, d, e, vectors))
        return 1;
    if (!embed(e, d->definitions, d->n, vectors))
        return 0;
    if (cache)
        write_cache(cache, d, e, vectors);
    return 1;
}

/* Looking up. */

struct neighbour {
    float cosine;
    size_t entry;
};

/* Keeps the best so far in falling order. */
static void keep(struct neighbour *best, size_t *n, struct neighbour one)
{
    if (*n == N_NEAREST && best[*n - 1].cosine >= one.cosine)
        return;
    size_t i = *n < N_NEAREST ? (*n)++ : N_NEAREST - 1;
    for (; i > 0 && best[i - 1].cosine < one.cosine; i--)
        best[i] = best[i - 1];
    best[i] = one;
}

static void print_nearest(const struct dictionary *d, const float *vectors, const float *query,
                          size_t dimension)
{
    struct neighbour best[N_NEAREST];
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        float cosine = 0;
        for (size_t k = 0; k < dimension; k++)
            cosine += vectors[i * dimension + k] * query[k];
        keep(best, &n, (struct neighbour){cosine, i});
    }
    for (size_t i = 0; i < n; i++)
        printf("%6.3f  %s: %s\n", (double)best[i].cosine, d->words[best[i].entry],
               d->definitions[best[i].entry]);
    putchar('\n');
    fflush(stdout);
}

static int look_up_lines(const struct dictionary *d, struct encoder *e, const float *vectors)
{
    int interactive = isatty(STDIN_FILENO), good = 1;
    float *query = malloc(e->dimension * sizeof *query);
    char *line = NULL;
    size_t capacity = 0;
    if (!query)
        return fail("query", "out of memory");
    for (;;) {
        if (interactive)
            fputs("describe a word> ", stdout), fflush(stdout);
        ssize_t size = getline(&line, &capacity, stdin);
        if (size < 0)
            break;
        line[strcspn(line, "\r\n")] = '\0';
        const char *text = line;
        if (!*text)
            continue;
        if (embed(e, &text, 1, query))
            print_nearest(d, vectors, query, e->dimension);
        else
            good = 0;
    }
    free(line);
    free(query);
    return good;
}

int main(int argc, char **argv)
{
    const char *model = "models/wordnet-encoder-sparse";
    const char *path = "models/wordnet-glosses-sample.tsv", *cache = NULL;
    for (int option; (option = getopt(argc, argv, "c:")) != -1;) {
        if (option != 'c') {
            fputs("usage: reverse-dictionary [-c CACHE] [MODEL [DICTIONARY]]\n", stderr);
            return 2;
        }
        cache = optarg;
    }
    if (optind < argc)
        model = argv[optind++];
    if (optind < argc)
        path = argv[optind++];

    struct dictionary dictionary = {0};
    struct encoder encoder = {0};
    float *vectors = NULL;
    int good = open_dictionary(path, &dictionary) && open_encoder(model, &encoder);
    if (good) {
        vectors = calloc(dictionary.n, encoder.dimension * sizeof *vectors);
        good =
            vectors ? get_vectors(cache, &dictionary, &encoder, vectors) : fail(path, "too long");
    }
    if (good)
        good = look_up_lines(&dictionary, &encoder, vectors);
    free(vectors);
    close_encoder(&encoder);
    close_dictionary(&dictionary);
    return good ? 0 : 1;
}
