/* SPDX-License-Identifier: Apache-2.0 */
/* Writes how a text goes on, as it comes.
 * Usage: generate MODEL PROMPT [MOST_TOKENS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lacuna/lacuna.h>

static int print(void *context, const struct lac_event *event)
{
    fwrite(event->text, 1, event->size, context);
    return fflush(context);
}

static enum lac_status open_session(struct lac_model *model, size_t most_tokens,
                                    struct lac_session **session)
{
    const struct lac_sampling sampling = {.temperature = 0.8, .top_p = 0.95, .seed = 1};
    struct lac_session_options *options;
    enum lac_status status = lac_session_options_new(&options);
    if (status)
        return status;
    lac_session_options_set_task(options, LAC_TASK_GENERATE);
    lac_session_options_set_sampling(options, &sampling);
    lac_session_options_set_max_new_tokens(options, most_tokens);
    status = lac_session_new(model, options, session);
    lac_session_options_free(options);
    return status;
}

int main(int argc, char **argv)
{
    struct lac_engine *engine = NULL;
    struct lac_model *model = NULL;
    struct lac_session *session = NULL;
    char message[256] = "usage: generate MODEL PROMPT [MOST_TOKENS]";

    int good = argc >= 3 && argc <= 4 && !lac_engine_new(NULL, &engine) &&
               !lac_model_open(engine, argv[1], NULL, &model) &&
               !open_session(model, argc > 3 ? strtoul(argv[3], NULL, 10) : 100, &session) &&
               !lac_session_add_text(session, argv[2], strlen(argv[2]), NULL, 0, NULL) &&
               !lac_session_generate(session, print, stdout);
    if (good)
        putchar('\n');
    else
        fprintf(stderr, "generate: %s\n",
                session  ? lac_session_message(session)
                : engine ? lac_engine_message(engine, message, sizeof message)
                         : message);

    lac_session_free(session);
    lac_model_free(model);
    lac_engine_free(engine);
    return !good;
}
