/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: worker threads, instruction set, allocator and log of one application. */
#ifndef LACUNA_ENGINE_H
#define LACUNA_ENGINE_H

#include <stddef.h>

#include <lacuna/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lac_engine;
struct lac_engine_options;

/* Memory for everything the library keeps.  alloc returns NULL when it cannot; alignment is a
 * power of two.  Both may be called from any thread. */
struct lac_allocator {
    void *(*alloc)(void *context, size_t alignment, size_t size_bytes);
    void (*release)(void *context, void *memory);
    void *context;
};

enum lac_log_level { LAC_LOG_WARNING = 1, LAC_LOG_INFO = 2, LAC_LOG_DEBUG = 3 };

/* text is one line without its end; it dies with the call.  May be called from any thread. */
struct lac_log {
    void (*write)(void *context, enum lac_log_level level, const char *text);
    void *context;
};

/* What a worker thread is pinned to, always inside the cpuset the process is allowed. */
enum lac_bind {
    LAC_BIND_CORE = 0,   /* one worker per physical core (the default) */
    LAC_BIND_THREAD = 1, /* one worker per hardware thread */
    LAC_BIND_NUMA = 2,   /* workers float inside a NUMA node */
    LAC_BIND_NONE = 3,   /* the operating system decides */
};

/* Options begin as defaults, are changed by setters, and are read once by lac_engine_new.
 * One thread at a time.  free takes NULL. */
LAC_API enum lac_status lac_engine_options_new(struct lac_engine_options **options);
LAC_API void lac_engine_options_free(struct lac_engine_options *options);

/* Number of workers, the calling thread included; 0 means one per allowed core. */
LAC_API void lac_engine_options_set_threads(struct lac_engine_options *options, size_t n_threads);
LAC_API void lac_engine_options_set_bind(struct lac_engine_options *options, enum lac_bind bind);

/* Caps the instruction set: "scalar", "avx2", "avx_vnni", "avx512",
 * "avx512_vnni", "amx_int8", "neon", "neon_dotprod", "neon_i8mm"; NULL for the best one.
 * LAC_E_ARGUMENT for a name that is not known. */
LAC_API enum lac_status lac_engine_options_set_isa(struct lac_engine_options *options,
                                                   const char *isa);

/* A file of kernel times measured on this machine (`lacuna-bench crossover` writes it), by which
 * layouts and kernels are chosen; NULL, or a file that is not there: built-in costs.  A file that
 * is damaged, or of another machine or version, gets a warning in the log and is not used.
 * lac_engine_new reads it.  LAC_E_MEMORY. */
LAC_API enum lac_status lac_engine_options_set_plan_cache(struct lac_engine_options *options,
                                                          const char *path);
LAC_API void lac_engine_options_set_allocator(struct lac_engine_options *options,
                                              const struct lac_allocator *allocator);
LAC_API void lac_engine_options_set_log(struct lac_engine_options *options,
                                        const struct lac_log *log);

/* Reads LACUNA_THREADS, LACUNA_BIND and LACUNA_ISA.  Nothing else reads the environment.
 * LAC_E_ARGUMENT when a value is not understood; options are then unchanged, and
 * lac_engine_options_message names it. */
LAC_API enum lac_status lac_engine_options_from_environment(struct lac_engine_options *options);

/* What went wrong in the last call that took these options; "" if nothing.  Lives until the next
 * such call. */
LAC_API const char *lac_engine_options_message(const struct lac_engine_options *options);

/* Starts the workers.  options may be NULL (defaults) and may be freed afterwards.
 * On failure *engine is untouched. */
LAC_API enum lac_status lac_engine_new(struct lac_engine_options *options,
                                       struct lac_engine **engine);

/* Stops the workers.  Models and sessions of the engine must be gone. */
LAC_API void lac_engine_free(struct lac_engine *engine);

LAC_API size_t lac_engine_threads(const struct lac_engine *engine);

/* The instruction set in use, for example "avx512_vnni". */
LAC_API const char *lac_engine_isa(const struct lac_engine *engine);

/* Copies the message of the last call on this engine that failed, in any thread, into text (at
 * most size bytes with the final 0) and returns text. */
LAC_API char *lac_engine_message(struct lac_engine *engine, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
