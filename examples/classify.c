/* SPDX-License-Identifier: Apache-2.0 */
/* The least program that uses the library: prints the best label of one text.
 * Usage: classify MODEL TEXT */
#include <stdio.h>
#include <string.h>

#include <lacuna/lacuna.h>

int main(int argc, char **argv)
{
    struct lac_engine *engine = NULL;
    struct lac_model *model = NULL;
    struct lac_session *session = NULL;
    struct lac_candidate best;
    size_t n;
    char message[256] = "usage: classify MODEL TEXT";

    int good = argc == 3 && !lac_engine_new(NULL, &engine) &&
               !lac_model_open(engine, argv[1], NULL, &model) &&
               !lac_session_new(model, NULL, &session) &&
               !lac_session_add_text(session, argv[2], strlen(argv[2]), NULL, 0, NULL) &&
               !lac_session_run(session) && !lac_session_top_classes(session, 0, &best, 1, &n);
    if (good)
        printf("%s %.3f\n", lac_model_label(model, (size_t)best.id), (double)best.probability);
    else
        fprintf(stderr, "classify: %s\n",
                session  ? lac_session_message(session)
                : engine ? lac_engine_message(engine, message, sizeof message)
                         : message);

    lac_session_free(session);
    lac_model_free(model);
    lac_engine_free(engine);
    return !good;
}
