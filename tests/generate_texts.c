/* SPDX-License-Identifier: Apache-2.0 */
/* Text as it streams: whole characters, stop strings, callbacks. */
#include <stdlib.h>
#include <string.h>

#include "src/text/stops.h"
#include "src/text/unicode.h"
#include "tests/generate_suite.h"

/* A callback that puts the pieces of one text together. */
struct stream {
    char text[1 << 14];
    size_t size, n_events, n_most; /* n_most: events before it says enough; 0: all */
    enum lac_finish finish;
};

static int collect(void *context, const struct lac_event *event)
{
    struct stream *s = context;
    ck_assert_uint_eq(lac_utf8_check(event->text, event->size), event->size);
    ck_assert_uint_lt(s->size + event->size, sizeof s->text);
    memcpy(s->text + s->size, event->text, event->size);
    s->size += event->size;
    s->finish = event->finish;
    return ++s->n_events == s->n_most;
}

static void stream_text(struct lac_model *model, const struct ask *ask, size_t prompt,
                        struct stream *stream, struct outcome *outcome)
{
    struct lac_session *session = open_session(model, ask);
    size_t sequence = add_prompt(session, prompt);
    *stream = (struct stream){0};
    ck_assert_ok(session, lac_session_generate(session, collect, stream));
    *outcome = outcome_of(session, sequence);
    ck_assert_uint_eq(stream->size, outcome->size);
    ck_assert_int_eq(memcmp(stream->text, outcome->text, stream->size), 0);
    ck_assert_int_eq(stream->finish, outcome->finish);
    lac_session_free(session);
}

START_TEST(streams_are_the_decoded_text)
{
    struct house house = open_house(1, 0, test_seed());
    const struct lac_tokenizer *tokenizer = lac_model_tokenizer(house.model);
    for (size_t i = 0; i < 16; i++) {
        struct ask ask = {.max_new_tokens = 24,
                          .n_speculated = i % 3,
                          .sampling = {.temperature = i % 4 ? 3 : 0, .seed = i}};
        struct stream stream;
        struct outcome o;
        stream_text(house.model, &ask, i, &stream, &o);
        char all[1 << 14], fed[1 << 14];
        size_t n_all = lac_tokenizer_decode(tokenizer, o.ids, o.n, all, sizeof all);
        size_t n_fed = lac_tokenizer_decode(tokenizer, o.ids, o.n_fed, fed, sizeof fed);
        ck_assert_uint_eq(n_all, n_fed + stream.size);
        ck_assert_int_eq(memcmp(all, fed, n_fed), 0);
        ck_assert_int_eq(memcmp(all + n_fed, stream.text, stream.size), 0);
        outcome_clear(&o);
    }
    close_house(&house);
}
END_TEST

/* A piece of text that begins and ends between characters, of at most 12 bytes. */
static size_t pick_piece(uint64_t *state, const char *text, size_t size, char piece[16])
{
    size_t begin = random_below(state, size), n = 0;
    while (begin && ((unsigned char)text[begin] & 0xc0) == 0x80)
        begin--;
    size_t most = 1 + random_below(state, 8);
    while (begin + n < size && n < most)
        n += lac_utf8_size((uint8_t)text[begin + n]);
    memcpy(piece, text + begin, n);
    piece[n] = '\0';
    return memchr(piece, '\0', n) ? 0 : n;
}

static size_t find(const char *text, size_t size, const char *piece, size_t n)
{
    for (size_t i = 0; i + n <= size; i++)
        if (!memcmp(text + i, piece, n))
            return i;
    return size;
}

START_TEST(stop_strings_stop)
{
    struct house house = open_house(1, 0, test_seed());
    uint64_t state = test_seed();
    size_t n_stopped = 0;
    for (size_t i = 0; i < 30; i++) {
        struct ask ask = {.max_new_tokens = 24,
                          .sampling = {.temperature = 2, .seed = i},
                          .n_speculated = i % 2 ? 3 : 0};
        struct stream stream;
        struct outcome whole, cut;
        stream_text(house.model, &ask, i, &stream, &whole);
        char piece[16];
        size_t n = whole.size ? pick_piece(&state, whole.text, whole.size, piece) : 0;
        if (n) {
            ask.stops[0] = piece;
            ask.stops[1] = "there is no such string in there";
            stream_text(house.model, &ask, i, &stream, &cut);
            size_t end = find(whole.text, whole.size, piece, n);
            ck_assert_uint_lt(end, whole.size);
            ck_assert_uint_eq(cut.size, end);
            ck_assert_int_eq(memcmp(cut.text, whole.text, end), 0);
            ck_assert_int_eq(cut.finish, LAC_FINISH_STOP);
            ck_assert_uint_le(cut.n, whole.n);
            n_stopped++;
            outcome_clear(&cut);
            ask.stops[0] = "nor this";
            stream_text(house.model, &ask, i, &stream, &cut);
            assert_same(&cut, &whole);
            outcome_clear(&cut);
        }
        outcome_clear(&whole);
    }
    ck_assert_uint_gt(n_stopped, 15);
    close_house(&house);
}
END_TEST

START_TEST(beginnings_of_stop_strings_wait)
{
    struct lac_stops stops;
    static const char *const texts[] = {"abcdef", "cd", "\xc3\xa9x"};
    size_t end;
    ck_assert_int_eq(lac_stops_open(&stops, &lac_default_host, texts, 3, NULL), LAC_OK);
    ck_assert(!lac_stops_find(&stops, "xxab", 0, 4, &end));
    ck_assert_uint_eq(end, 2);
    /* The one that is complete first counts. */
    ck_assert(lac_stops_find(&stops, "xxabcd", 2, 6, &end));
    ck_assert_uint_eq(end, 4);
    ck_assert(!lac_stops_find(&stops, "xxabx", 2, 5, &end));
    ck_assert_uint_eq(end, 5);
    ck_assert(!lac_stops_find(&stops, "a\xc3\xa9", 0, 3, &end));
    ck_assert_uint_eq(end, 0 + 1);
    ck_assert(lac_stops_find(&stops, "a\xc3\xa9x", 1, 4, &end));
    ck_assert_uint_eq(end, 1);
    ck_assert(!lac_stops_find(&stops, "", 0, 0, &end));
    ck_assert_uint_eq(end, 0);
    lac_stops_close(&stops);
}
END_TEST

START_TEST(callbacks_may_end_it)
{
    struct house house = open_house(1, 0, test_seed());
    struct ask ask = {.max_new_tokens = 30, .sampling = {.temperature = 1}};
    struct stream whole, stream = {.n_most = 7};
    struct outcome expected, o;
    stream_text(house.model, &ask, 5, &whole, &expected);
    ck_assert_uint_gt(whole.n_events, 7);
    struct lac_session *session = open_session(house.model, &ask);
    size_t sequence = add_prompt(session, 5);
    ck_assert_int_eq(lac_session_generate(session, collect, &stream), LAC_E_CANCELLED);
    ck_assert_uint_eq(stream.n_events, 7);
    ck_assert_ok(session, lac_session_generate(session, collect, &stream));
    o = outcome_of(session, sequence);
    assert_same(&o, &expected);
    outcome_clear(&o);
    outcome_clear(&expected);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

START_TEST(stopped_texts_give_what_they_held)
{
    struct house house = open_house(1, 0, test_seed());
    struct ask ask = {.sampling = {.temperature = 1}};
    struct stream stream = {.n_most = 10};
    struct lac_session *session = open_session(house.model, &ask);
    size_t sequence = add_prompt(session, 5);
    ck_assert_int_eq(lac_session_generate(session, collect, &stream), LAC_E_CANCELLED);
    ck_assert_ok(session, lac_session_stop(session, sequence));
    ck_assert_ok(session, lac_session_stop(session, sequence));
    ck_assert_ok(session, lac_session_generate(session, collect, &stream));
    ck_assert_uint_eq(stream.n_events, 11);
    ck_assert_int_eq(stream.finish, LAC_FINISH_STOPPED);
    struct outcome o = outcome_of(session, sequence);
    ck_assert_uint_eq(o.n - o.n_fed, 10);
    ck_assert_uint_eq(o.size, stream.size);
    outcome_clear(&o);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

void add_text_tests(Suite *suite)
{
    add_test(suite, "streams", streams_are_the_decoded_text);
    add_test(suite, "stop strings", stop_strings_stop);
    add_test(suite, "beginnings of stop strings", beginnings_of_stop_strings_wait);
    add_test(suite, "callbacks", callbacks_may_end_it);
    add_test(suite, "stopping", stopped_texts_give_what_they_held);
}
