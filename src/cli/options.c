/* SPDX-License-Identifier: Apache-2.0 */
/* The options of all commands, and their --help. */
#include "src/cli/options.h"

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/command.h"

enum kind { FLAG, NUMBER, REAL, TEXT, TEXTS, CHOICE };

struct choice {
    const char *name;
    int value;
};

struct row {
    const char *name;
    char letter; /* or 0 */
    enum kind kind;
    unsigned commands;
    size_t offset; /* in struct options; SIZE_MAX: --help and --version */
    const char *argument;
    size_t low, high;             /* NUMBER, REAL */
    const struct choice *choices; /* CHOICE, ends with NULL */
    const char *help;
};

static const struct choice formats[] = {
    {"auto", FORMAT_AUTO}, {"text", FORMAT_TEXT}, {"tsv", FORMAT_TSV}, {"jsonl", FORMAT_JSONL}, {0},
};
static const struct choice task_formats[] = {
    {"auto", FORMAT_AUTO},
    {"tsv", FORMAT_TSV},
    {"jsonl", FORMAT_JSONL},
    {0},
};
static const struct choice binds[] = {
    {"core", LAC_BIND_CORE},
    {"thread", LAC_BIND_THREAD},
    {"numa", LAC_BIND_NUMA},
    {"none", LAC_BIND_NONE},
    {0},
};
static const struct choice dtypes[] = {
    {"int8", LAC_S8},  {"fp32", LAC_F32}, {"bf16", LAC_BF16},
    {"fp16", LAC_F16}, {"int4", LAC_S4},  {0},
};
static const struct choice kv_dtypes[] = {
    {"int8", LAC_S8},
    {"bf16", LAC_BF16},
    {"fp32", LAC_F32},
    {0},
};
static const struct choice patterns[] = {
    {"auto", UNSET},
    {"dense", LAC_PATTERN_DENSE},
    {"1", LAC_PATTERN_1},
    {"4", LAC_PATTERN_4},
    {"8", LAC_PATTERN_8},
    {"16", LAC_PATTERN_16},
    {"32", LAC_PATTERN_32},
    {"bitmap", LAC_PATTERN_BITMAP},
    {"4x1", LAC_PATTERN_4X1},
    {"16x16", LAC_PATTERN_TILE_16},
    {"32x32", LAC_PATTERN_TILE_32},
    {0},
};
static const struct choice poolings[] = {
    {"mean", LAC_POOL_MEAN},
    {"cls", LAC_POOL_CLS},
    {"pooler", LAC_POOL_POOLER},
    {0},
};
static const struct choice truncates[] = {
    {"longest", LAC_TRUNCATE_LONGEST},
    {"second", LAC_TRUNCATE_SECOND},
    {"error", LAC_TRUNCATE_ERROR},
    {0},
};

#define AT(field) offsetof(struct options, field)

static const struct row rows[] = {
    {"model", 'm', TEXT, ON_LINES | ON_SCORE, AT(model), "PATH", 0, 0, NULL,
     "model directory, GGUF or packed file (default: $LACUNA_MODEL, else the shipped one)"},
    {"tokenizer", 0, TEXT, ON_TOKENIZE, AT(tokenizer), "PATH", 0, 0, NULL,
     "tokenizer.json, vocab.txt, GGUF file or a directory with one, instead of a model"},
    {"format", 'f', CHOICE, ON_LINES, AT(format), "FORMAT", 0, 0, formats,
     "of the input (default auto: by the name's end, else by the first line)"},
    {"columns", 0, TEXT, ON_LINES, AT(columns), "LIST", 0, 0, NULL,
     "tsv: names of the columns, such as -,text: id, text, pair, question, context, label, - "
     "(default text[,pair]; answer: question,context)"},
    {"header", 0, FLAG, ON_LINES, AT(header), NULL, 0, 0, NULL,
     "tsv: the first line names the columns"},
    {"output", 'o', TEXT, ON_LINES | ON_PACK | ON_TUNE, AT(output), "FILE", 0, 0, NULL,
     "write to FILE (default: standard output; pack: must be given)"},
    {"top-k", 'k', NUMBER, ON_CLASSIFY | ON_ANSWER | ON_FILL, AT(top_k), "N", 1, 1000000, NULL,
     "list the N best (default: classify and answer the best one, fill 5)"},
    {"max-answer-tokens", 0, NUMBER, ON_ANSWER, AT(max_answer_tokens), "N", 1, 1000000, NULL,
     "tokens an answer may have (default 30)"},
    {"pooling", 0, CHOICE, ON_EMBED, AT(pooling), "HOW", 0, 0, poolings,
     "tokens to vector (default: what the model's files say, else mean)"},
    {"normalize", 0, FLAG, ON_EMBED, AT(normalize), NULL, 0, 0, NULL,
     "scale each vector to length 1"},
    {"truncate", 0, CHOICE, ON_TASKS | ON_TOKENIZE, AT(truncate), "HOW", 0, 0, truncates,
     "texts over the model's maximum: cut the longest or the second text, or make them errors "
     "(default longest; answer: second)"},
    {"text", 0, TEXT, ON_TUNE, AT(calibrate), "FILE", 0, 0, NULL,
     "the text to measure with; must be given"},
    {"error", 0, REAL, ON_TUNE, AT(error), "X", 0, 1000, NULL,
     "take the cheapest rule that changes a head's output by no more, relative to its norm, and "
     "in any 48 tokens by no more than three times that (default 0.1)"},
    {"density", 0, REAL, ON_TUNE, AT(density), "X", 0, 1, NULL,
     "read at most this share of all key blocks, with the least errors"},
    {"rules", 0, TEXT, ON_TUNE, AT(rules), "FILE", 0, 0, NULL,
     "rules to choose from, {\"rules\": ...} as in a plan (default: windows, vertical-slash, "
     "pooled blocks, estimates of some sizes)"},
    {"max-tokens", 0, NUMBER, ON_TUNE, AT(max_tokens), "N", 2, 1000000000, NULL,
     "of the text the first N tokens (default 16384)"},
    {"window", 0, NUMBER, ON_TUNE, AT(window), "N", 3, 1000000000, NULL,
     "tokens seen at once (default 4096, at most what the model takes)"},
    {"max-tokens", 0, NUMBER, ON_TOKENIZE, AT(max_tokens), "N", 1, 1000000000, NULL,
     "at most N tokens a line (default: no bound)"},
    {"decode", 0, FLAG, ON_TOKENIZE, AT(decode), NULL, 0, 0, NULL,
     "the texts are ids with spaces or commas between; write what they say"},
    {"prompt", 'p', TEXT, ON_GENERATE, AT(prompt), "TEXT", 0, 0, NULL,
     "go on with TEXT instead of lines, and print what comes as it comes"},
    {"max-tokens", 'n', NUMBER, ON_GENERATE, AT(max_new_tokens), "N", 0, 1000000000, NULL,
     "tokens to make at most; 0: as many as fit the model (default 256)"},
    {"temperature", 'T', REAL, ON_GENERATE, AT(temperature), "X", 0, 1000, NULL,
     "0 takes the most probable token, 1 draws by the model's probabilities (default 0)"},
    {"top-k", 'k', NUMBER, ON_GENERATE, AT(top_k), "N", 1, 1000000000, NULL,
     "draw from the N most probable tokens (default: all)"},
    {"top-p", 0, REAL, ON_GENERATE, AT(top_p), "X", 0, 1, NULL,
     "draw from the fewest tokens that have X of the probability (default 1)"},
    {"min-p", 0, REAL, ON_GENERATE, AT(min_p), "X", 0, 1, NULL,
     "draw from tokens at least X times as probable as the best (default 0)"},
    {"repetition-penalty", 0, REAL, ON_GENERATE, AT(repetition_penalty), "X", 0, 1000, NULL,
     "makes tokens that are there less probable; 1: does not (default 1)"},
    {"seed", 's', NUMBER, ON_GENERATE, AT(seed), "N", 0, SIZE_MAX, NULL,
     "the same seed draws the same text (default 0)"},
    {"samples", 0, NUMBER, ON_GENERATE, AT(n_samples), "N", 1, 10000, NULL,
     "texts for each prompt, with seeds from --seed on; with --beams the N best (default 1)"},
    {"beams", 0, NUMBER, ON_GENERATE, AT(n_beams), "N", 1, LAC_MAX_BEAMS, NULL,
     "beam search of width N"},
    {"length-penalty", 0, REAL, ON_GENERATE, AT(length_penalty), "X", 0, 100, NULL,
     "--beams: order by log-probability / tokens^X (default 1)"},
    {"stop", 0, TEXTS, ON_GENERATE, AT(stops), "TEXT", 0, 0, NULL,
     "end before TEXT; may be given several times"},
    {"speculate", 0, NUMBER, ON_GENERATE, AT(n_speculated), "N", 1, LAC_MAX_SPECULATED, NULL,
     "guess N tokens and check them in one pass; texts stay the same"},
    {"draft", 0, TEXT, ON_GENERATE, AT(draft), "PATH", 0, 0, NULL,
     "a smaller model of the same vocabulary that guesses (with --speculate, else 4 tokens)"},
    {"together", 0, NUMBER, ON_GENERATE, AT(n_together), "N", 1, 4096, NULL,
     "prompts that are worked on at once (default 8)"},
    {"log-probabilities", 0, FLAG, ON_GENERATE, AT(log_probabilities), NULL, 0, 0, NULL,
     "add the sum of the tokens' log-probabilities to each record"},
    {"tasks", 0, FLAG, ON_SCORE, AT(tasks), NULL, 0, 0, NULL,
     "the input is lines with a prompt and how it goes on: tab-separated columns or JSON objects "
     "(\"prompt\", \"continuation\", \"group\")"},
    {"format", 'f', CHOICE, ON_SCORE, AT(format), "FORMAT", 0, 0, task_formats,
     "--tasks: of the lines (default auto: by the name's end, else by the first line)"},
    {"columns", 0, TEXT, ON_SCORE, AT(columns), "LIST", 0, 0, NULL,
     "--tasks, tsv: names of the columns (default prompt,continuation)"},
    {"header", 0, FLAG, ON_SCORE, AT(header), NULL, 0, 0, NULL,
     "--tasks, tsv: the first line names the columns"},
    {"steps", 0, FLAG, ON_SCORE, AT(steps), NULL, 0, 0, NULL,
     "tokens go through the model one by one, as generated ones do; those of --tasks always do"},
    {"window", 0, NUMBER, ON_SCORE, AT(window), "N", 2, 1000000000, NULL,
     "tokens seen at once (default 2048, at most what the model takes)"},
    {"stride", 0, NUMBER, ON_SCORE, AT(stride), "N", 1, 1000000000, NULL,
     "tokens from one window to the next (default: half a window)"},
    {"attention", 0, TEXTS, ON_TASKS | ON_DECODERS, AT(attention), "PLAN", 0, 0, NULL,
     "what attention reads: a file that `lacuna tune-attention` wrote, or full, what the "
     "architecture has (default: the model's own); score: several are compared"},
    {"kv-dtype", 0, CHOICE, ON_DECODERS | ON_TUNE, AT(kv_dtype), "TYPE", 0, 0, kv_dtypes,
     "number format of cached keys and values (default: int8 for int8 and int4, else fp32)"},
    {"kv", 0, TEXTS, ON_DECODERS, AT(kv), "POLICY", 0, 0, NULL,
     "keys and values that caches keep: full; stream:SINKS+WINDOW[/mean], the first and the last "
     "so many, and what is between by its mean; "
     "duo:FILE, in JSON which heads keep all; snap:BUDGET[,BUDGET...], what a prompt's end looks "
     "at, in all layers or in each; prefix:BUDGET, the mean of the layers; "
     "heavy:BUDGET[,BUDGET...], what is looked at most; thin:SHARE of the keys' features; "
     "zip:SHARE, what has this share of the looks, the rest in fewer bits; quest:BUDGET and "
     "channels:BUDGET, all, of which a token reads so many, or 1/N; memory:SINKS+WINDOW+BUDGET, "
     "all, of which every token reads the first, the last and so many between, in texts of any "
     "length (default full); score: several are compared"},
    {"activations", 0, TEXTS, ON_DECODERS, AT(activations), "RULE", 0, 0, NULL,
     "neurons of gated feed-forward layers that count for tokens made: none are left out; "
     "cats:SHARE, about this share of them, by thresholds; core:SHARE[,SHARE], those that a "
     "prompt used most, and of a token those that count (0.4) (default none); score: several are "
     "compared"},
    {"calibrate", 0, TEXT, ON_DECODERS, AT(calibrate), "FILE", 0, 0, NULL,
     "--activations cats: a text to find thresholds with, or what score --json made of one"},
    {"batch-tokens", 0, NUMBER, ON_DECODERS, AT(batch_tokens), "N", 1, 100000000, NULL,
     "tokens of a pass at most (default: what fits the caches)"},
    {"batch-tokens", 0, NUMBER, ON_TASKS, AT(batch_tokens), "N", 1, 100000000, NULL,
     "tokens that are run together (default 16384)"},
    {"threads", 't', NUMBER, ON_MODELS, AT(threads), "N", 1, 4096, NULL,
     "workers (default: $LACUNA_THREADS, else one per core this process may use)"},
    {"bind", 0, CHOICE, ON_TASKS | ON_DECODERS | ON_TUNE, AT(bind), "TO", 0, 0, binds,
     "what workers are pinned to (default: $LACUNA_BIND, else core)"},
    {"isa", 0, TEXT, ON_MODELS, AT(isa), "NAME", 0, 0, NULL,
     "highest instruction set: scalar, avx2, avx_vnni, avx512, avx512_vnni, amx_int8, neon, "
     "neon_dotprod, neon_i8mm (default: $LACUNA_ISA, else the best this machine has)"},
    {"dtype", 0, CHOICE, ON_MODELS, AT(dtype), "TYPE", 0, 0, dtypes,
     "arithmetic of the linear layers (default int8; a packed file keeps its own)"},
    {"pattern", 0, CHOICE, ON_MODELS, AT(pattern), "ROWS", 0, 0, patterns,
     "store every weight in blocks of so many outputs, for measurements (default auto: by its "
     "zeros)"},
    {"outliers", 0, REAL, ON_MODELS, AT(outliers), "SHARE", 0, 1, NULL,
     "int8 and int4: keep at most this share of each weight, from 0 to 0.1, in fp32: what is "
     "largest (default 0; of packed files: as packed)"},
    {"plan-cache", 0, TEXT, ON_MODELS, AT(plan_cache), "FILE", 0, 0, NULL,
     "times that lacuna-bench crossover measured on this machine, or none (default: "
     "lacuna/plan in $XDG_CACHE_HOME or ~/.cache)"},
    {"plan", 0, FLAG, ON_INFO, AT(plan), NULL, 0, 0, NULL,
     "print what runs each weight with how many tokens, and why"},
    {"json", 0, FLAG, ON_INFO | ON_DECODERS, AT(json), NULL, 0, 0, NULL, "print one JSON object"},
    {"quiet", 'q', FLAG, ON_ALL, AT(quiet), NULL, 0, 0, NULL, "no progress, summary or warnings"},
    {"summary", 0, FLAG, ON_LINES | ON_SCORE, AT(summary), NULL, 0, 0, NULL,
     "print counts and rates at the end (default: only when stderr is a terminal)"},
    {"help", 'h', FLAG, ON_ALL, SIZE_MAX, NULL, 0, 0, NULL, "print this"},
    {"version", 0, FLAG, ON_ALL, SIZE_MAX, NULL, 0, 0, NULL, "print the version"},
};

enum { N_ROWS = sizeof rows / sizeof *rows, HELP_COLUMN = 28, LINE_WIDTH = 96 };

static bool applies(const struct row *row, const struct command *command)
{
    return row->commands & command->bit;
}

void print_version(void)
{
    printf("lacuna %s\n", lac_version());
}

/* Prints words from column HELP_COLUMN on, the cursor being at `column`. */
static void print_wrapped(const char *text, size_t column)
{
    while (*text) {
        size_t n = strcspn(text, " ");
        if (column + 1 + n > LINE_WIDTH || column < HELP_COLUMN) {
            if (column >= HELP_COLUMN) {
                putchar('\n');
                column = 0;
            }
            printf("%*s", (int)(HELP_COLUMN - column), "");
            column = HELP_COLUMN;
        } else {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)n, text);
        column += n;
        text += n + strspn(text + n, " ");
    }
    putchar('\n');
}

static void print_row(const struct row *row)
{
    char names[128];
    int n = row->letter ? snprintf(names, sizeof names, "  -%c, --%s", row->letter, row->name)
                        : snprintf(names, sizeof names, "      --%s", row->name);
    if (row->kind == CHOICE) {
        for (const struct choice *c = row->choices; c->name; c++)
            n += snprintf(names + n, sizeof names - (size_t)n, "%c%s",
                          c == row->choices ? ' ' : '|', c->name);
    } else if (row->argument) {
        n += snprintf(names + n, sizeof names - (size_t)n, " %s", row->argument);
    }
    fputs(names, stdout);
    if (n >= HELP_COLUMN - 1) {
        putchar('\n');
        n = 0;
    }
    print_wrapped(row->help, (size_t)n);
}

static void print_help(const struct command *command)
{
    printf("Usage: lacuna %s [OPTION]... %s\n%s.\n\n%s\n", command->name, command->operands,
           command->summary, command->details);
    puts("Options:");
    for (size_t i = 0; i < N_ROWS; i++)
        if (applies(&rows[i], command))
            print_row(&rows[i]);
    puts("\nExit status: 0 good, 1 some lines were bad, 2 the command line is wrong, 3 failure.");
}

static bool parse_number(const struct row *row, const char *text, size_t *value)
{
    size_t number = 0;
    bool good = *text != '\0';
    for (const char *p = text; good && *p; p++)
        good = *p >= '0' && *p <= '9' && !__builtin_mul_overflow(number, 10, &number) &&
               !__builtin_add_overflow(number, (size_t)(*p - '0'), &number);
    if (!good || number < row->low || number > row->high) {
        complain("--%s: '%s' is not a whole number from %zu to %zu", row->name, text, row->low,
                 row->high);
        return false;
    }
    *value = number;
    return true;
}

/* Where the library allows less than the row does, it refuses. */
static bool parse_real(const struct row *row, const char *text, double *value)
{
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || !(x >= (double)row->low && x <= (double)row->high)) {
        complain("--%s: '%s' is not a number from %zu to %zu", row->name, text, row->low,
                 row->high);
        return false;
    }
    *value = x;
    return true;
}

static bool add_text(const struct row *row, const char *text, const char **texts)
{
    size_t n = 0;
    while (n < MOST_TEXTS && texts[n])
        n++;
    if (!*text || n == MOST_TEXTS - 1) {
        complain("--%s: %s", row->name, *text ? "too many of them" : "the value is empty");
        return false;
    }
    texts[n] = text;
    return true;
}

static bool parse_choice(const struct row *row, const char *text, int *value)
{
    char known[128];
    int n = 0;
    for (const struct choice *c = row->choices; c->name; c++) {
        if (!strcmp(c->name, text)) {
            *value = c->value;
            return true;
        }
        n += snprintf(known + n, sizeof known - (size_t)n, "%s%s", n ? ", " : "", c->name);
    }
    complain("--%s: '%s' is none of %s", row->name, text, known);
    return false;
}

static bool store(const struct row *row, const char *text, struct options *options)
{
    char *field = (char *)options + row->offset;
    switch (row->kind) {
    case FLAG:
        *(bool *)field = true;
        return true;
    case NUMBER:
        if (row->offset == AT(top_k))
            options->top_k_given = true;
        return parse_number(row, text, (size_t *)field);
    case REAL:
        return parse_real(row, text, (double *)(void *)field);
    case TEXTS:
        return add_text(row, text, (const char **)(void *)field);
    case TEXT:
        if (!*text)
            complain("--%s: the value is empty", row->name);
        *(const char **)field = text;
        return *text != '\0';
    case CHOICE:
        return parse_choice(row, text, (int *)field);
    }
    return false;
}

/* getopt's tables for one command: values are 1000 + the row, so that letters and names meet. */
static void make_tables(const struct command *command, char *letters, struct option *names)
{
    *letters++ = ':'; /* tells a missing value from an unknown option */
    for (int i = 0; i < N_ROWS; i++) {
        if (!applies(&rows[i], command))
            continue;
        int has_argument = rows[i].kind == FLAG ? no_argument : required_argument;
        *names++ = (struct option){rows[i].name, has_argument, NULL, 1000 + i};
        if (rows[i].letter) {
            *letters++ = rows[i].letter;
            if (has_argument)
                *letters++ = ':';
        }
    }
    *letters = '\0';
    *names = (struct option){0};
}

static const struct row *find_row(const struct command *command, int value)
{
    for (int i = 0; i < N_ROWS; i++)
        if (applies(&rows[i], command) &&
            (value == 1000 + i || (rows[i].letter && value == rows[i].letter)))
            return &rows[i];
    return NULL;
}

static void complain_option(const struct command *command, int what, const char *word)
{
    char letter[3] = {'-', (char)optopt, '\0'};
    const char *name = optopt && optopt < 1000 ? letter : word;
    complain("%s: %s %s; `lacuna %s --help` lists the options", command->name, name,
             what == ':' ? "needs a value" : "is not an option", command->name);
}

enum options_result options_parse(const struct command *command, int argc, char **argv,
                                  struct options *options)
{
    *options = (struct options){
        .shipped = command->shipped ? command->shipped : "wordnet-encoder-sparse",
        .bind = UNSET,
        .dtype = UNSET,
        .pattern = UNSET,
        .pooling = UNSET,
        .truncate = UNSET,
        .format = FORMAT_AUTO,
        .max_answer_tokens = 30,
        .kv_dtype = UNSET,
        .error = UNSET,
        .density = UNSET,
        .max_new_tokens = 256,
        .n_samples = 1,
        .n_together = 8,
        .length_penalty = 1,
    };
    char letters[3 * N_ROWS];
    struct option names[N_ROWS + 1];
    make_tables(command, letters, names);
    opterr = 0;
    for (int value; (value = getopt_long(argc, argv, letters, names, NULL)) != -1;) {
        const struct row *row = find_row(command, value);
        if (!row) {
            complain_option(command, value, argv[optind - 1]);
            return OPTIONS_BAD;
        }
        if (!strcmp(row->name, "help")) {
            print_help(command);
            return OPTIONS_DONE;
        }
        if (!strcmp(row->name, "version")) {
            print_version();
            return OPTIONS_DONE;
        }
        if (!store(row, optarg, options))
            return OPTIONS_BAD;
    }
    if (optind < argc)
        options->operand = argv[optind++];
    if (optind < argc) {
        complain("%s: one operand at most, and '%s' is another", command->name, argv[optind]);
        return OPTIONS_BAD;
    }
    return OPTIONS_GO;
}
