/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna pack: a model as one file that opens in milliseconds. */
#include <stdio.h>
#include <sys/stat.h>

#include "src/cli/command.h"
#include "src/cli/runtime.h"

static enum exit_status pack(struct runtime *rt, const struct options *o)
{
    if (lac_model_pack(rt->model, o->output)) {
        complain("%s", runtime_message(rt));
        return STATUS_FATAL;
    }
    struct stat st;
    if (!o->quiet && !stat(o->output, &st))
        printf("%s: %lld bytes\n", o->output, (long long)st.st_size);
    return STATUS_GOOD;
}

static enum exit_status run(const struct options *o)
{
    if (!o->operand || !o->output) {
        complain("pack: needs %s", o->operand ? "--output FILE" : "a model to pack");
        return STATUS_USAGE;
    }
    struct runtime rt = {0};
    int status = STATUS_FATAL;
    if (runtime_start(&rt, o, &status) && runtime_open_model(&rt, o, o->operand, &status))
        status = pack(&rt, o);
    runtime_close(&rt);
    return (enum exit_status)status;
}

const struct command command_pack = {
    .name = "pack",
    .operands = "SRC -o FILE",
    .summary = "Writes a model as one file, ready to be mapped",
    .details =
        "Reads a model directory, lays out its weights by their zeros and writes FILE, which\n"
        "every --model takes.  FILE appears under its name only when it is complete.\n",
    .bit = ON_PACK,
    .run = run,
};
