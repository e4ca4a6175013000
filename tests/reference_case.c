/* SPDX-License-Identifier: Apache-2.0 */
/* Writes checkpoints made of hashes; tests/data/reference/generated.py defines them. */
#include "tests/reference_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support.h"

enum { CHUNK_ELEMENTS = 1 << 14, MAX_NAME = 256, MAX_PATH = 4096 };

struct recipe {
    char name[MAX_NAME];
    size_t rows, columns; /* columns: 0 for a vector */
    double amplitude, offset;
    size_t block_outputs; /* of zero blocks; 0: none */
};

/* What recipes share. */
struct generator {
    uint64_t seed;
    size_t block_inputs;
    uint64_t zero_per_mille;
    uint64_t checksum;
};

json_t *reference_load(const char *name)
{
    char relative[MAX_NAME];
    snprintf(relative, sizeof relative, "tests/data/%s.json", name);
    json_error_t error;
    json_t *json = json_load_file(source_path(relative), JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(json != NULL, "%s: %s at line %d", relative, error.text, error.line);
    return json;
}

json_t *reference_get(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    ck_assert_msg(value != NULL, "no key %s", key);
    return value;
}

uint64_t reference_key(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

uint32_t reference_draw(uint64_t key, uint64_t i)
{
    uint64_t state = key + i * 0x9e3779b97f4a7c15u;
    return (uint32_t)(random_u64(&state) >> 40);
}

static size_t n_elements(const struct recipe *recipe)
{
    return recipe->rows * (recipe->columns ? recipe->columns : 1);
}

/* One byte a block: is it kept? */
static uint8_t *draw_blocks(const struct recipe *recipe, const struct generator *generator)
{
    if (!recipe->block_outputs || !recipe->columns)
        return NULL;
    char name[MAX_NAME + 8];
    snprintf(name, sizeof name, "%s#blocks", recipe->name);
    uint64_t key = reference_key(name) ^ generator->seed;
    size_t down = (recipe->rows + recipe->block_outputs - 1) / recipe->block_outputs;
    size_t across = (recipe->columns + generator->block_inputs - 1) / generator->block_inputs;
    uint8_t *kept = malloc(down * across);
    ck_assert_ptr_nonnull(kept);
    for (size_t i = 0; i < down * across; i++)
        kept[i] = (uint64_t)reference_draw(key, i) * 1000 >= generator->zero_per_mille << 24;
    return kept;
}

static int is_kept(const struct recipe *recipe, const struct generator *generator,
                   const uint8_t *kept, size_t i)
{
    if (!kept)
        return 1;
    size_t across = (recipe->columns + generator->block_inputs - 1) / generator->block_inputs;
    size_t row = i / recipe->columns / recipe->block_outputs;
    return kept[row * across + i % recipe->columns / generator->block_inputs];
}

static void write_tensor(FILE *file, const struct recipe *recipe, struct generator *generator)
{
    uint64_t key = reference_key(recipe->name) ^ generator->seed;
    uint8_t *kept = draw_blocks(recipe, generator);
    double unit = recipe->amplitude / (1 << 23);
    float chunk[CHUNK_ELEMENTS];
    uint32_t bits[CHUNK_ELEMENTS];
    size_t n = n_elements(recipe);
    for (size_t begin = 0; begin < n; begin += CHUNK_ELEMENTS) {
        size_t n_chunk = n - begin < CHUNK_ELEMENTS ? n - begin : CHUNK_ELEMENTS;
        for (size_t i = 0; i < n_chunk; i++) {
            double k = (double)reference_draw(key, begin + i) - (1 << 23);
            int keep = is_kept(recipe, generator, kept, begin + i);
            chunk[i] = keep ? (float)(recipe->offset + unit * k) : 0.0f;
        }
        memcpy(bits, chunk, n_chunk * sizeof *chunk);
        for (size_t i = 0; i < n_chunk; i++)
            generator->checksum += bits[i];
        ck_assert_uint_eq(fwrite(chunk, sizeof *chunk, n_chunk, file), n_chunk);
    }
    free(kept);
}

/* item: [name, shape, amplitude, offset]; '%' in the name becomes the layer. */
static struct recipe read_recipe(const json_t *item, size_t layer, size_t block_outputs)
{
    struct recipe recipe = {.block_outputs = block_outputs};
    const char *name = json_string_value(json_array_get(item, 0));
    ck_assert_ptr_nonnull(name);
    const char *mark = strchr(name, '%');
    if (mark)
        snprintf(recipe.name, sizeof recipe.name, "%.*s%zu%s", (int)(mark - name), name, layer,
                 mark + 1);
    else
        snprintf(recipe.name, sizeof recipe.name, "%s", name);
    const json_t *shape = json_array_get(item, 1);
    recipe.rows = (size_t)json_integer_value(json_array_get(shape, 0));
    if (json_array_size(shape) == 2)
        recipe.columns = (size_t)json_integer_value(json_array_get(shape, 1));
    recipe.amplitude = json_number_value(json_array_get(item, 2));
    recipe.offset = json_number_value(json_array_get(item, 3));
    return recipe;
}

static size_t n_layers_of(const json_t *json)
{
    const json_t *config = reference_get(json, "config");
    const json_t *layers = json_object_get(config, "num_hidden_layers");
    if (!layers)
        layers = json_object_get(config, "n_layers");
    if (!layers)
        layers = reference_get(config, "n_layer");
    return (size_t)json_integer_value(layers);
}

static struct recipe *read_recipes(const json_t *json, size_t *n_recipes)
{
    const json_t *shared = reference_get(json, "tensors");
    const json_t *repeated = reference_get(json, "layer_tensors");
    const json_t *blocks = reference_get(json, "zero_blocks");
    size_t n_layers = n_layers_of(json), n = 0;
    struct recipe *recipes =
        malloc((json_array_size(shared) + n_layers * json_array_size(repeated)) * sizeof *recipes);
    ck_assert_ptr_nonnull(recipes);
    for (size_t i = 0; i < json_array_size(shared); i++)
        recipes[n++] = read_recipe(json_array_get(shared, i), 0, 0);
    for (size_t layer = 0; layer < n_layers; layer++) {
        size_t outputs = 0;
        if (json_array_size(blocks))
            outputs =
                (size_t)json_integer_value(json_array_get(blocks, layer % json_array_size(blocks)));
        for (size_t i = 0; i < json_array_size(repeated); i++)
            recipes[n++] = read_recipe(json_array_get(repeated, i), layer, outputs);
    }
    *n_recipes = n;
    return recipes;
}

/* The header is the JSON of names, shapes and places, padded with spaces to 8 bytes. */
static void write_header(FILE *file, const struct recipe *recipes, size_t n_recipes)
{
    char *text = NULL;
    size_t size = 0, place = 0;
    FILE *header = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(header);
    for (size_t i = 0; i < n_recipes; i++) {
        const struct recipe *recipe = &recipes[i];
        size_t end = place + 4 * n_elements(recipe);
        fprintf(header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%zu", i ? "," : "{", recipe->name,
                recipe->rows);
        if (recipe->columns)
            fprintf(header, ",%zu", recipe->columns);
        fprintf(header, "],\"data_offsets\":[%zu,%zu]}", place, end);
        place = end;
    }
    fputc('}', header);
    while (ftell(header) % 8)
        fputc(' ', header);
    ck_assert_int_eq(fclose(header), 0);
    uint8_t length[8];
    for (size_t i = 0; i < sizeof length; i++)
        length[i] = (uint8_t)((uint64_t)size >> (8 * i));
    ck_assert_uint_eq(fwrite(length, 1, sizeof length, file), sizeof length);
    ck_assert_uint_eq(fwrite(text, 1, size, file), size);
    free(text);
}

static FILE *create(const char *directory, const char *name)
{
    char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "cannot write %s", path);
    return file;
}

static void write_weights(const json_t *json, const char *directory)
{
    struct generator generator = {
        .seed = (uint64_t)json_integer_value(reference_get(json, "seed")),
        .block_inputs = (size_t)json_integer_value(reference_get(json, "block_inputs")),
        .zero_per_mille = (uint64_t)json_integer_value(reference_get(json, "zero_per_mille")),
    };
    size_t n_recipes;
    struct recipe *recipes = read_recipes(json, &n_recipes);
    FILE *file = create(directory, "model.safetensors");
    write_header(file, recipes, n_recipes);
    for (size_t i = 0; i < n_recipes; i++)
        write_tensor(file, &recipes[i], &generator);
    ck_assert_int_eq(fclose(file), 0);
    free(recipes);
    const char *expected = json_string_value(reference_get(json, "checksum"));
    ck_assert_uint_eq(generator.checksum, strtoull(expected, NULL, 10));
}

static void write_json(const json_t *json, const char *directory, const char *name)
{
    const char *slash = strchr(name, '/');
    if (slash) {
        char path[MAX_PATH];
        snprintf(path, sizeof path, "%s/%.*s", directory, (int)(slash - name), name);
        ck_assert_int_eq(mkdir(path, 0700), 0);
    }
    FILE *file = create(directory, name);
    if (json_is_string(json))
        ck_assert_int_ge(fputs(json_string_value(json), file), 0);
    else
        ck_assert_int_eq(json_dumpf(json, file, 0), 0);
    ck_assert_int_eq(fclose(file), 0);
}

void reference_write(const json_t *json, const char *directory)
{
    write_json(reference_get(json, "config"), directory, "config.json");
    const char *name;
    json_t *content;
    json_object_foreach(reference_get(json, "files"), name, content)
        write_json(content, directory, name);
    write_weights(json, directory);
}

void reference_remove_weights(const char *directory)
{
    char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/model.safetensors", directory);
    ck_assert_int_eq(unlink(path), 0);
}

size_t reference_sequence(const json_t *json, size_t sequence, int32_t **ids, uint8_t **types)
{
    const json_t *listed = json_array_get(reference_get(json, "ids"), sequence);
    const json_t *first = json_array_get(reference_get(json, "first_type"), sequence);
    size_t n = json_array_size(listed), n_first = (size_t)json_integer_value(first);
    ck_assert_uint_gt(n, 0);
    *ids = malloc(n * sizeof **ids);
    *types = malloc(n);
    ck_assert(*ids && *types);
    for (size_t i = 0; i < n; i++) {
        (*ids)[i] = (int32_t)json_integer_value(json_array_get(listed, i));
        (*types)[i] = i >= n_first;
    }
    return n;
}
