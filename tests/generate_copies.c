/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of texts, files of texts, cancelling; and all of it for a long time. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/generate_suite.h"

static const struct ask drawn = {.max_new_tokens = 20, .sampling = {.temperature = 1, .seed = 11}};

static struct outcome run_one(struct lac_model *model, const struct ask *ask, size_t prompt)
{
    struct lac_session *session = open_session(model, ask);
    size_t sequence = add_prompt(session, prompt);
    ck_assert_ok(session, lac_session_run(session));
    struct outcome o = outcome_of(session, sequence);
    lac_session_free(session);
    return o;
}

/* ---- Forks ---- */

/* Forks made before, after some and after all steps say what texts of their own would. */
START_TEST(forks_are_texts_of_their_own)
{
    struct house house = open_house(2, 0, test_seed());
    for (size_t n_steps = 0; n_steps < 24; n_steps += 11) {
        struct ask ask = drawn, other = drawn;
        other.sampling.seed = 77;
        struct outcome a = run_one(house.model, &ask, 6), b = run_one(house.model, &other, 6);
        struct lac_session *session = open_session(house.model, &ask);
        size_t sequence = add_prompt(session, 6), twin, fresh;
        ck_assert_ok(session, lac_session_prepare(session));
        ck_assert_ok(session, lac_session_fork(session, sequence, 77, &fresh));
        for (size_t i = 0; i < n_steps; i++)
            ck_assert_ok(session, lac_session_next(session, NULL, NULL));
        ck_assert_ok(session, lac_session_fork(session, sequence, 11, &twin));
        ck_assert_ok(session, lac_session_run(session));
        assert_outcome(session, sequence, &a);
        assert_outcome(session, twin, &a);
        assert_outcome(session, fresh, &b);
        ck_assert_uint_eq(lac_session_sequences(session), 3);
        ck_assert_ok(session, lac_session_remove(session, sequence));
        assert_outcome(session, twin, &a);
        ck_assert_uint_eq(lac_session_sequences(session), 2);
        ck_assert_uint_eq(add_prompt(session, 3), sequence);
        outcome_clear(&a);
        outcome_clear(&b);
        lac_session_free(session);
    }
    close_house(&house);
}
END_TEST

/* A long prompt is kept once for all its samples. */
START_TEST(forks_share_their_prompt)
{
    struct house house = open_house(1, 0, test_seed());
    struct lac_session *session = open_session(house.model, &drawn);
    struct lac_generation_counts counts;
    int32_t ids[150];
    size_t sequence;
    for (size_t i = 0; i < 150; i++)
        ids[i] = (int32_t)(260 + i % 90);
    ck_assert_ok(session, lac_session_add_ids(session, ids, NULL, 150, &sequence));
    ck_assert_ok(session, lac_session_prepare(session));
    for (uint64_t i = 0; i < 5; i++)
        ck_assert_ok(session, lac_session_fork(session, sequence, 100 + i, NULL));
    ck_assert_ok(session, lac_session_next(session, NULL, NULL));
    ck_assert_ok(session, lac_session_counts(session, &counts));
    ck_assert_uint_eq(counts.n_steps, 1);
    ck_assert_uint_eq(counts.n_made, 6);
    ck_assert_uint_eq(counts.n_fed, 150);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

/* ---- Clones ---- */

struct cloned {
    struct lac_session *session;
    enum lac_status status;
};

static void *run_clone(void *arg)
{
    struct cloned *c = arg;
    c->status = lac_session_run(c->session);
    return NULL;
}

START_TEST(clones_go_on_in_other_threads)
{
    enum { N_CLONES = 3, N = 4 };
    struct house house = open_house(2, 0, test_seed());
    struct outcome expected[N];
    struct lac_session *session = open_session(house.model, &drawn);
    struct cloned clones[N_CLONES];
    pthread_t threads[N_CLONES];
    for (size_t i = 0; i < N; i++) {
        expected[i] = run_one(house.model, &drawn, i);
        add_prompt(session, i);
    }
    for (size_t i = 0; i < 9; i++)
        ck_assert_ok(session, lac_session_next(session, NULL, NULL));
    ck_assert_ok(session, lac_session_remove(session, 1));
    for (size_t c = 0; c < N_CLONES; c++) {
        ck_assert_ok(session, lac_session_clone(session, &clones[c].session));
        ck_assert_int_eq(pthread_create(&threads[c], NULL, run_clone, &clones[c]), 0);
    }
    ck_assert_ok(session, lac_session_run(session));
    for (size_t c = 0; c < N_CLONES; c++) {
        pthread_join(threads[c], NULL);
        ck_assert_int_eq(clones[c].status, LAC_OK);
        for (size_t i = 0; i < N; i++)
            if (i != 1)
                assert_outcome(clones[c].session, i, &expected[i]);
        ck_assert_uint_eq(lac_session_sequences(clones[c].session), N - 1);
        lac_session_free(clones[c].session);
    }
    for (size_t i = 0; i < N; i++) {
        if (i != 1)
            assert_outcome(session, i, &expected[i]);
        outcome_clear(&expected[i]);
    }
    lac_session_free(session);
    close_house(&house);
}
END_TEST

/* ---- Cancelling ---- */

START_TEST(cancelled_sessions_go_on)
{
    struct house house = open_house(1, 0, test_seed());
    for (size_t n_speculated = 0; n_speculated <= 4; n_speculated += 4) {
        struct ask ask = drawn;
        ask.n_speculated = n_speculated;
        ask.draft = n_speculated ? house.model : NULL;
        struct outcome expected = run_one(house.model, &ask, 2);
        struct lac_session *session = open_session(house.model, &ask);
        size_t sequence = add_prompt(session, 2), n = 1, n_cancelled = 0;
        const struct lac_event *events;
        for (size_t i = 0; n; i++) {
            if (i % 3 == 0)
                lac_session_cancel(session);
            enum lac_status status = lac_session_next(session, &events, &n);
            ck_assert_int_eq(status, i % 3 == 0 ? LAC_E_CANCELLED : LAC_OK);
            n_cancelled += status == LAC_E_CANCELLED;
        }
        ck_assert_uint_gt(n_cancelled, 1);
        assert_outcome(session, sequence, &expected);
        outcome_clear(&expected);
        lac_session_free(session);
    }
    close_house(&house);
}
END_TEST

struct nuisance {
    struct lac_session *session;
    atomic_bool is_over;
};

static void *cancel_often(void *arg)
{
    struct nuisance *n = arg;
    while (!atomic_load(&n->is_over)) {
        lac_session_cancel(n->session);
        sched_yield();
    }
    return NULL;
}

START_TEST(other_threads_may_cancel)
{
    struct house house = open_house(2, 0, test_seed());
    struct ask ask = drawn;
    ask.batch_tokens = 3; /* many passes */
    struct outcome expected = run_one(house.model, &ask, 9);
    struct lac_session *session = open_session(house.model, &ask);
    struct nuisance nuisance = {.session = session};
    pthread_t thread;
    size_t sequence = add_prompt(session, 9);
    ck_assert_int_eq(pthread_create(&thread, NULL, cancel_often, &nuisance), 0);
    for (size_t i = 0; i < 60; i++) {
        enum lac_status status = lac_session_next(session, NULL, NULL);
        ck_assert(status == LAC_OK || status == LAC_E_CANCELLED);
    }
    atomic_store(&nuisance.is_over, true);
    pthread_join(thread, NULL);
    while (lac_session_run(session))
        ck_assert_int_eq(lac_session_next(session, NULL, NULL), LAC_OK);
    assert_outcome(session, sequence, &expected);
    outcome_clear(&expected);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

/* ---- Files ---- */

void save_path(char *path, size_t size, const char *name)
{
    static char directory[256];
    if (!*directory)
        snprintf(directory, sizeof directory, "%s", scratch_directory());
    snprintf(path, size, "%s/%s", directory, name);
}

START_TEST(restored_texts_go_on)
{
    static const enum lac_dtype dtypes[] = {LAC_F32, LAC_BF16, LAC_S8};
    struct house house = open_house(1, 0, test_seed());
    char path[300];
    save_path(path, sizeof path, "text");
    struct ask ask = drawn;
    ask.kv_dtype = dtypes[_i];
    struct outcome expected = run_one(house.model, &ask, 8);
    for (size_t n_steps = 0; n_steps < 24; n_steps += 9) {
        struct lac_session *session = open_session(house.model, &ask);
        size_t sequence = add_prompt(session, 8);
        for (size_t i = 0; i < n_steps; i++)
            ck_assert_ok(session, lac_session_next(session, NULL, NULL));
        ck_assert_ok(session, lac_session_save(session, sequence, path));
        ck_assert_ok(session, lac_session_run(session));
        assert_outcome(session, sequence, &expected);
        lac_session_free(session);
        ask.sampling.seed = 5; /* the file's counts */
        session = open_session(house.model, &ask);
        ask.sampling.seed = drawn.sampling.seed;
        ck_assert_ok(session, lac_session_restore(session, path, &sequence));
        ck_assert_ok(session, lac_session_run(session));
        assert_outcome(session, sequence, &expected);
        lac_session_free(session);
    }
    outcome_clear(&expected);
    close_house(&house);
}
END_TEST

static size_t load(const char *path, unsigned char *bytes, size_t size)
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    size_t n = fread(bytes, 1, size, file);
    fclose(file);
    ck_assert_uint_lt(n, size);
    return n;
}

static void store(const char *path, const unsigned char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

START_TEST(damaged_files_are_refused)
{
    static unsigned char good[1 << 16], bad[1 << 16];
    struct house house = open_house(1, 0, test_seed());
    uint64_t state = test_seed();
    char path[300], damaged[300];
    save_path(path, sizeof path, "good");
    save_path(damaged, sizeof damaged, "damaged");
    struct outcome expected = run_one(house.model, &drawn, 8);
    struct lac_session *session = open_session(house.model, &drawn);
    size_t sequence = add_prompt(session, 8), n_refused = 0;
    for (size_t i = 0; i < 10; i++)
        ck_assert_ok(session, lac_session_next(session, NULL, NULL));
    ck_assert_ok(session, lac_session_save(session, sequence, path));
    ck_assert_ok(session, lac_session_remove(session, sequence));
    size_t n = load(path, good, sizeof good);
    for (size_t i = 0; i < 400; i++) {
        size_t size = n;
        memcpy(bad, good, n);
        if (i % 4)
            bad[random_below(&state, i % 4 == 1 ? 600 : n)] ^= (unsigned char)(1 + i % 255);
        else
            size = random_below(&state, n);
        store(damaged, bad, size);
        enum lac_status status = lac_session_restore(session, damaged, &sequence);
        if (status) {
            ck_assert_str_ne(lac_session_message(session), "");
            n_refused++;
            continue;
        }
        /* A byte that fills a gap, or that says how it ended: whatever it is, it can go on. */
        ck_assert_ok(session, lac_session_run(session));
        ck_assert_ok(session, lac_session_remove(session, sequence));
    }
    ck_assert_uint_gt(n_refused, 200);
    ck_assert_int_eq(lac_session_restore(session, "/nowhere/at/all", &sequence), LAC_E_IO);
    ck_assert_uint_eq(lac_session_sequences(session), 0);
    ck_assert_ok(session, lac_session_restore(session, path, &sequence));
    ck_assert_ok(session, lac_session_run(session));
    assert_outcome(session, sequence, &expected);
    ck_assert_int_eq(lac_session_save(session, sequence, "/nowhere/at/all"), LAC_E_IO);

    struct house other = open_house(1, 0, test_seed() + 1);
    struct lac_session *strange = open_session(other.model, &drawn);
    ck_assert_int_eq(lac_session_restore(strange, path, &sequence), LAC_E_UNSUPPORTED);
    lac_session_free(strange);
    struct ask ask = drawn;
    ask.kv_dtype = LAC_F32;
    strange = open_session(house.model, &ask);
    ck_assert_int_eq(lac_session_restore(strange, path, &sequence), LAC_E_UNSUPPORTED);
    lac_session_free(strange);
    close_house(&other);
    outcome_clear(&expected);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

/* ---- For a long time ---- */

enum { N_PROMPTS = 12, N_SEEDS = 3, MOST_TEXTS = 6, MOST_MADE = 16 };

/* Bytes that are not given back. */
static atomic_size_t n_live;

static void *count_alloc(void *context, size_t alignment, size_t size)
{
    (void)context;
    size_t head = alignment < 64 ? 64 : alignment;
    unsigned char *memory = aligned_alloc(head, (size + 2 * head - 1) / head * head);
    if (!memory)
        return NULL;
    memcpy(memory, &size, sizeof size);
    atomic_fetch_add(&n_live, size);
    memcpy(memory + head - sizeof head, &head, sizeof head);
    return memory + head;
}

static void count_release(void *context, void *memory)
{
    size_t head, size;
    (void)context;
    if (!memory)
        return;
    memcpy(&head, (unsigned char *)memory - sizeof head, sizeof head);
    memcpy(&size, (unsigned char *)memory - head, sizeof size);
    atomic_fetch_sub(&n_live, size);
    free((unsigned char *)memory - head);
}

struct soak {
    struct lac_model *model;
    struct outcome expected[N_PROMPTS][N_SEEDS];
    uint64_t state;
    char path[300];
    struct lac_session *session;
    /* Of each sequence: which text it is, or that it was fed since. */
    struct {
        bool is_there, was_fed;
        size_t prompt, seed;
    } texts[4 * MOST_TEXTS];
    size_t n_done;
};

static struct lac_sampling seeded(size_t seed)
{
    return (struct lac_sampling){.temperature = seed ? 1 : 0, .top_p = 0.9, .seed = 40 + seed};
}

static void note(struct soak *s, size_t sequence, size_t prompt, size_t seed)
{
    ck_assert_uint_lt(sequence, 4 * MOST_TEXTS);
    s->texts[sequence].is_there = true;
    s->texts[sequence].was_fed = false;
    s->texts[sequence].prompt = prompt;
    s->texts[sequence].seed = seed;
}

static void add_some(struct soak *s)
{
    size_t prompt = random_below(&s->state, N_PROMPTS), seed = random_below(&s->state, N_SEEDS);
    struct lac_sampling sampling = seeded(seed);
    if (lac_session_sequences(s->session) >= MOST_TEXTS)
        return;
    size_t sequence = add_prompt(s->session, prompt);
    ck_assert_ok(s->session, lac_session_set_sampling(s->session, sequence, &sampling));
    note(s, sequence, prompt, seed);
}

static bool pick(struct soak *s, size_t *sequence)
{
    *sequence = random_below(&s->state, 4 * MOST_TEXTS);
    for (size_t i = 0; i < 4 * MOST_TEXTS; i++)
        if (s->texts[(*sequence + i) % (4 * MOST_TEXTS)].is_there) {
            *sequence = (*sequence + i) % (4 * MOST_TEXTS);
            return true;
        }
    return false;
}

/* A text that is finished is as it ever was, and goes. */
static void check_finished(struct soak *s)
{
    for (size_t i = 0; i < 4 * MOST_TEXTS; i++) {
        enum lac_finish finish;
        if (!s->texts[i].is_there)
            continue;
        ck_assert_ok(s->session, lac_session_outcome(s->session, i, &finish, NULL));
        if (!finish)
            continue;
        if (!s->texts[i].was_fed && finish != LAC_FINISH_STOPPED)
            assert_outcome(s->session, i, &s->expected[s->texts[i].prompt][s->texts[i].seed]);
        ck_assert_ok(s->session, lac_session_remove(s->session, i));
        s->texts[i].is_there = false;
        s->n_done++;
    }
}

static void take_steps(struct soak *s)
{
    size_t n = 1 + random_below(&s->state, MOST_MADE);
    bool cancels = !random_below(&s->state, 5);
    for (size_t i = 0; i < n; i++) {
        if (cancels && i == n / 2)
            lac_session_cancel(s->session);
        enum lac_status status = lac_session_next(s->session, NULL, NULL);
        ck_assert(status == LAC_OK || (cancels && status == LAC_E_CANCELLED));
    }
    check_finished(s);
}

static void fork_some(struct soak *s, size_t sequence)
{
    size_t copy;
    if (lac_session_sequences(s->session) >= MOST_TEXTS)
        return;
    uint64_t seed = seeded(s->texts[sequence].seed).seed;
    ck_assert_ok(s->session, lac_session_fork(s->session, sequence, seed, &copy));
    s->texts[copy] = s->texts[sequence];
}

static void save_some(struct soak *s, size_t sequence)
{
    size_t restored;
    ck_assert_ok(s->session, lac_session_save(s->session, sequence, s->path));
    ck_assert_ok(s->session, lac_session_remove(s->session, sequence));
    s->texts[sequence].is_there = false;
    ck_assert_ok(s->session, lac_session_restore(s->session, s->path, &restored));
    s->texts[restored] = s->texts[sequence];
    s->texts[restored].is_there = true;
}

static void feed_some(struct soak *s, size_t sequence)
{
    int32_t ids[8];
    size_t n = make_prompt(random_below(&s->state, 100), 8, ids);
    enum lac_status status = lac_session_feed_ids(s->session, sequence, ids, n);
    ck_assert(status == LAC_OK || status == LAC_E_LIMIT);
    if (!status)
        s->texts[sequence].was_fed = true;
}

/* The clone takes the session's place, or goes. */
static void clone_all(struct soak *s)
{
    struct lac_session *clone;
    ck_assert_ok(s->session, lac_session_clone(s->session, &clone));
    if (random_below(&s->state, 2)) {
        lac_session_free(s->session);
        s->session = clone;
    } else {
        lac_session_free(clone);
    }
}

static void do_something(struct soak *s)
{
    size_t sequence;
    size_t what = random_below(&s->state, 12);
    if (what < 4)
        add_some(s);
    else if (what < 7)
        take_steps(s);
    else if (what == 7)
        clone_all(s);
    else if (!pick(s, &sequence))
        return;
    else if (what == 8)
        fork_some(s, sequence);
    else if (what == 9)
        save_some(s, sequence);
    else if (what == 10)
        feed_some(s, sequence);
    else
        ck_assert_ok(s->session, lac_session_stop(s->session, sequence));
}

static void expect(struct soak *s, const struct ask *ask)
{
    for (size_t p = 0; p < N_PROMPTS; p++)
        for (size_t i = 0; i < N_SEEDS; i++) {
            struct ask own = *ask;
            own.sampling = seeded(i);
            s->expected[p][i] = run_one(s->model, &own, p);
        }
}

/* LACUNA_SOAK texts (make check-soak: 10,000) of a few sessions, each used until nothing can be
 * left that depends on how it began. */
START_TEST(nothing_wears_out)
{
    const char *asked = getenv("LACUNA_SOAK");
    size_t n_texts = asked ? strtoul(asked, NULL, 10) : 300, n_after_first = 0;
    struct lac_engine_options *options;
    struct lac_engine *engine;
    struct lac_model *model;
    struct tiny tiny = {.family = TINY_LLAMA, .hidden = 32, .ffn = 72};
    static const struct lac_allocator allocator = {count_alloc, count_release, NULL};
    tiny_make(&tiny, test_seed());
    ck_assert_int_eq(lac_engine_options_new(&options), LAC_OK);
    lac_engine_options_set_threads(options, 2);
    lac_engine_options_set_bind(options, LAC_BIND_NONE);
    lac_engine_options_set_allocator(options, &allocator);
    ck_assert_int_eq(lac_engine_new(options, &engine), LAC_OK);
    lac_engine_options_free(options);
    ck_assert_int_eq(lac_model_open(engine, tiny_write(&tiny), NULL, &model), LAC_OK);
    tiny_free(&tiny);
    size_t n_before = atomic_load(&n_live);
    struct soak s = {.model = model, .state = test_seed()};
    struct ask ask = {.max_new_tokens = MOST_MADE};
    save_path(s.path, sizeof s.path, "soak");
    expect(&s, &ask);
    ck_assert_uint_eq(atomic_load(&n_live), n_before);
    for (size_t part = 0; s.n_done < n_texts; part++) {
        ask.n_speculated = part % 3 ? 4 : 0;
        ask.draft = part % 3 == 2 ? model : NULL;
        s.session = open_session(model, &ask);
        memset(s.texts, 0, sizeof s.texts);
        for (size_t end = s.n_done + n_texts / 6 + 1; s.n_done < end;)
            do_something(&s);
        lac_session_clear(s.session);
        size_t n_now = atomic_load(&n_live);
        if (!part)
            n_after_first = n_now;
        /* What a session keeps is what its largest step needed. */
        ck_assert_uint_le(n_now, n_before + 4 * (n_after_first - n_before));
        lac_session_free(s.session);
        ck_assert_uint_eq(atomic_load(&n_live), n_before);
    }
    for (size_t p = 0; p < N_PROMPTS; p++)
        for (size_t i = 0; i < N_SEEDS; i++)
            outcome_clear(&s.expected[p][i]);
    lac_model_free(model);
    lac_engine_free(engine);
    ck_assert_uint_eq(atomic_load(&n_live), 0);
}
END_TEST

void add_copy_tests(Suite *suite)
{
    add_loop_test(suite, "restoring", restored_texts_go_on, 3);
    add_test(suite, "forks", forks_are_texts_of_their_own);
    add_test(suite, "shared prompts", forks_share_their_prompt);
    add_test(suite, "clones", clones_go_on_in_other_threads);
    add_test(suite, "cancelling", cancelled_sessions_go_on);
    add_test(suite, "cancelling from threads", other_threads_may_cancel);
    add_test(suite, "damaged files", damaged_files_are_refused);
    add_test(suite, "soak", nothing_wears_out);
}
