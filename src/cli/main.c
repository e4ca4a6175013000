/* SPDX-License-Identifier: Apache-2.0 */
/* `lacuna`: the table of commands. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/cli/command.h"
#include "src/cli/progress.h"

static const struct command *const commands[] = {
    &command_classify, &command_tag,      &command_answer, &command_fill,
    &command_embed,    &command_generate, &command_score,  &command_tune_attention,
    &command_tokenize, &command_info,     &command_pack,
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

void complain(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    progress_hide();
    fprintf(stderr, "lacuna: %s\n", text);
}

static void print_usage(FILE *to)
{
    fputs("Usage: lacuna COMMAND [OPTION]... [OPERAND]\n"
          "Runs pruned transformers on CPUs.\n\nCommands:\n",
          to);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-14s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n`lacuna COMMAND --help` says more.  lacuna --version prints the version.\n", to);
}

static const struct command *find_command(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    return NULL;
}

/* What was printed on standard output must have arrived for the status to be good. */
static enum exit_status close_stdout(enum exit_status status)
{
    if ((ferror(stdout) | fflush(stdout)) && status != STATUS_FATAL) {
        complain("standard output: cannot be written");
        return STATUS_FATAL;
    }
    return status;
}

int main(int argc, char **argv)
{
    /* A closed pipe becomes an error of write like any other. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_usage(stderr);
        return STATUS_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_usage(stdout);
        return close_stdout(STATUS_GOOD);
    }
    if (!strcmp(argv[1], "--version")) {
        print_version();
        return close_stdout(STATUS_GOOD);
    }
    const struct command *command = find_command(argv[1]);
    if (!command) {
        complain("'%s' is not a command; `lacuna --help` lists them", argv[1]);
        return STATUS_USAGE;
    }
    struct options options;
    switch (options_parse(command, argc - 1, argv + 1, &options)) {
    case OPTIONS_DONE:
        return close_stdout(STATUS_GOOD);
    case OPTIONS_BAD:
        return STATUS_USAGE;
    case OPTIONS_GO:
        break;
    }
    return close_stdout(command->run(&options));
}
