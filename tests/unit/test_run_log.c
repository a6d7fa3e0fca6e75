#include "io/process/run_log.h"
#include "base/json.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const struct wall NOON = {INT64_C(1770977100123)}; /* 2026-02-13T10:05:00.123Z */
#define STAMP "{\"time\":\"2026-02-13T10:05:00.123Z\",\"stream\":"

static void add(struct run_log *l, int fd, const char *text)
{
    run_log_add(l, fd, slice_of(text), NOON);
}

static void expect(struct run_log *l, const char *text)
{
    run_log_flush(l, NOON);
    assert_string_equal(l->text.p != NULL ? l->text.p : "", text);
    run_log_unref(l);
}

static void test_nothing(void **state)
{
    struct run_log *l = run_log_create(1);
    expect(l, "");
}

static void test_lines_of_both_streams(void **state)
{
    struct run_log *l = run_log_create(1);
    add(l, STDOUT_FILENO, "one\ntw");
    add(l, STDERR_FILENO, "oops\r\n");
    add(l, STDOUT_FILENO, "o\n\nlast");
    expect(l, STAMP "\"stdout\",\"message\":\"one\"}\n" STAMP
                    "\"stderr\",\"message\":\"oops\"}\n" STAMP
                    "\"stdout\",\"message\":\"two\"}\n" STAMP "\"stdout\",\"message\":\"\"}\n" STAMP
                    "\"stdout\",\"message\":\"last\"}\n");
}

static void test_the_last_line_needs_no_newline(void **state)
{
    struct run_log *l = run_log_create(1);
    assert_false(run_log_add(l, STDERR_FILENO, SLICE("x"), NOON));
    expect(l, STAMP "\"stderr\",\"message\":\"x\"}\n");
}

static void test_bytes_that_are_not_text(void **state)
{
    struct run_log *l = run_log_create(1);
    add(l, STDOUT_FILENO, "a\xff\x01\"\n");
    expect(l, STAMP "\"stdout\",\"message\":\"a\xef\xbf\xbd\\u0001\\\"\"}\n");
}

/* A line of 'a's and one two-byte character across the cut. */
static void test_long_line_is_split_between_characters(void **state)
{
    struct run_log *l = run_log_create(1);
    char *text = calloc(1, RUN_LOG_LINE_BYTES_MAX + 16);
    memset(text, 'a', RUN_LOG_LINE_BYTES_MAX - 1);
    strcat(text, "\xc3\xa9"
                 "b\n");
    /* byte by byte would do the same as at once */
    add(l, STDERR_FILENO, text);
    run_log_flush(l, NOON);
    const char *second = strchr(l->text.p, '\n') + 1;
    assert_string_equal(second, STAMP "\"stderr\",\"message\":\"\xc3\xa9"
                                      "b\"}\n");
    assert_int_equal(second - l->text.p,
                     strlen(STAMP "\"stderr\",\"message\":\"\"}\n") + RUN_LOG_LINE_BYTES_MAX - 1);
    run_log_unref(l);
    free(text);
}

static void test_pieces_give_the_same_lines(void **state)
{
    struct run_log *whole = run_log_create(1), *pieces = run_log_create(1);
    struct str text = {0};
    for (int i = 0; i < 3 * RUN_LOG_LINE_BYTES_MAX; i++)
        str_add_char(&text, i % 20011 == 0 ? '\n' : (char)('a' + i % 26));
    run_log_add(whole, STDOUT_FILENO, str_slice(&text), NOON);
    for (size_t at = 0; at < text.len; at += 7)
        run_log_add(pieces, STDOUT_FILENO,
                    (struct slice){text.p + at, text.len - at < 7 ? text.len - at : 7}, NOON);
    run_log_flush(whole, NOON);
    run_log_flush(pieces, NOON);
    assert_string_equal(whole->text.p, pieces->text.p);
    run_log_unref(whole);
    run_log_unref(pieces);
    str_release(&text);
}

/* Every line of the log stays a JSON object, and the last one says that something is missing. */
static void test_log_is_bounded(void **state)
{
    struct run_log *l = run_log_create(1);
    for (int i = 0; i < 200000; i++)
        add(l, i % 2 == 0 ? STDOUT_FILENO : STDERR_FILENO, "a line of \x02 text\n");
    run_log_flush(l, NOON);
    assert_true(l->text.len <= RUN_LOG_BYTES_MAX + 256);
    json_t *last = NULL;
    for (char *line = strtok(l->text.p, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        json_decref(last);
        last = json_parse_object(slice_of(line), NULL);
        assert_non_null(last);
    }
    assert_true(json_is_true(json_object_get(last, "truncated")));
    json_decref(last);
    run_log_unref(l);
}

/* However much the first steps say, the later ones have room, and the whole stays bounded. */
static void test_steps_leave_room_for_each_other(void **state)
{
    enum { STEPS = 100 };
    struct run_log *l = run_log_create(1);
    char name[16];
    for (int i = 0; i < STEPS; i++) {
        snprintf(name, sizeof(name), "step-%d", i);
        run_log_begin_step(l, slice_of(name), i == STEPS - 1);
        if (i != 4) /* that one is quiet */
            for (int n = 0; n < 20000 && !l->full; n++)
                add(l, STDOUT_FILENO, "one of very many lines of text that a step has written\n");
        add(l, STDOUT_FILENO, "over\n");
    }
    assert_non_null(strstr(l->text.p, "\"step\":\"step-4\",\"message\":\"over\""));
    assert_non_null(strstr(l->text.p, "[log truncated at 524288 bytes]"));
    assert_true(l->text.len <= RUN_LOG_BYTES_MAX + STEPS * 200);
    run_log_unref(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_lines_of_both_streams),
        cmocka_unit_test(test_the_last_line_needs_no_newline),
        cmocka_unit_test(test_bytes_that_are_not_text),
        cmocka_unit_test(test_long_line_is_split_between_characters),
        cmocka_unit_test(test_pieces_give_the_same_lines),
        cmocka_unit_test(test_log_is_bounded),
        cmocka_unit_test(test_steps_leave_room_for_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
