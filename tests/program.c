/* SPDX-License-Identifier: Apache-2.0 */
/* Running the built programs as a user would. */
#include "tests/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

const char lacuna[] = LACUNA_BUILD_DIR "/lacuna";

const char *scratch_path(const char *name)
{
    static char paths[256][512]; /* more than a test asks for */
    static unsigned next;
    char *path = paths[next++ % 256];
    snprintf(path, sizeof paths[0], "%s/%s", scratch_directory(), name);
    return path;
}

const char *write_file(const char *name, const char *data, size_t size)
{
    const char *path = scratch_path(name);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    char *text = NULL;
    FILE *memory = open_memstream(&text, size);
    for (int c; (c = getc(file)) != EOF;)
        putc(c, memory);
    fclose(memory);
    fclose(file);
    return text;
}

static void redirect(const char *path, int flags, int to)
{
    int fd = open(path, flags, 0600);
    if (fd < 0 || dup2(fd, to) < 0)
        _exit(99);
    close(fd);
}

pid_t start_program(const char *const *argv, const char *in, const char *out, const char *err)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid)
        return pid;
    setpgid(0, 0);
    unsetenv("LACUNA_MODEL");
    unsetenv("LACUNA_THREADS");
    unsetenv("LACUNA_BIND");
    if (chdir(LACUNA_SOURCE_DIR))
        _exit(97);
    if (in)
        redirect(in, O_RDONLY, STDIN_FILENO);
    if (out)
        redirect(out, O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
    if (err)
        redirect(err, O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(98);
}

int finish_program(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

struct outcome run_with(const char *const *argv, const char *input, size_t size)
{
    const char *in = write_file("stdin", input, size);
    const char *out = scratch_path("stdout"), *err = scratch_path("stderr");
    struct outcome o;
    o.status = finish_program(start_program(argv, in, out, err));
    o.out = read_file(out, &o.out_size);
    o.err = read_file(err, &o.err_size);
    return o;
}

void release(struct outcome *o)
{
    free(o->out);
    free(o->err);
}

void expect(const struct outcome *o, int status)
{
    ck_assert_msg(o->status == status, "status %d, expected %d; stderr: %s", o->status, status,
                  o->err);
}

json_t *line_json(const char *text, size_t index)
{
    for (; index; index--) {
        text = strchr(text, '\n');
        ck_assert_msg(text != NULL, "too few lines");
        text++;
    }
    const char *end = strchr(text, '\n');
    ck_assert_msg(end != NULL, "too few lines, or no end of line");
    json_error_t error;
    json_t *json = json_loadb(text, (size_t)(end - text), JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(json != NULL, "%s: %.*s", error.text, (int)(end - text), text);
    return json;
}

size_t count_lines(const char *text)
{
    size_t n = 0;
    for (; (text = strchr(text, '\n')); text++)
        n++;
    return n;
}

long long get_int(const json_t *json, const char *key)
{
    ck_assert_msg(json_is_integer(json_object_get(json, key)), "no integer %s", key);
    return json_integer_value(json_object_get(json, key));
}

const char *get_text(const json_t *json, const char *key)
{
    ck_assert_msg(json_is_string(json_object_get(json, key)), "no string %s", key);
    return json_string_value(json_object_get(json, key));
}

double get_real(const json_t *json, const char *key)
{
    ck_assert_msg(json_is_number(json_object_get(json, key)), "no number %s", key);
    return json_number_value(json_object_get(json, key));
}

static const char *const words[] = {
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog",   "sat", "on",
    "mat",   "in",    "sun",   "big",   "is",     "who", ".",   "where", "?",
};
enum { N_WORDS = sizeof words / sizeof *words, N_LETTERS = 26 };

static void write_vocabulary(const char *directory)
{
    char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/vocab.txt", directory);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < N_WORDS; i++)
        fprintf(file, "%s\n", words[i]);
    for (int i = 0; i < 2 * N_LETTERS; i++)
        fprintf(file, "%s%c\n", i < N_LETTERS ? "" : "##", 'a' + i % N_LETTERS);
    ck_assert_int_eq(fclose(file), 0);
}

const char *make_model(enum tiny_head head)
{
    struct tiny tiny = {
        .family = TINY_BERT,
        .head = head,
        .vocab = N_WORDS + 2 * N_LETTERS,
        .hidden = MODEL_WIDTH,
        .heads = 2,
        .ffn = 2 * MODEL_WIDTH,
        .labels = 3,
        .max_tokens = 48,
    };
    tiny_make(&tiny, test_seed());
    const char *path = tiny_write(&tiny);
    tiny_free(&tiny);
    write_vocabulary(path);
    return path;
}
