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

static void expect(struct run_log *l, const char *output, const char *log)
{
    run_log_end(l, NOON);
    assert_string_equal(l->output.p != NULL ? l->output.p : "", output);
    assert_string_equal(l->log.p != NULL ? l->log.p : "", log);
    run_log_release(l);
}

static void test_nothing(void **state)
{
    struct run_log l = {0};
    expect(&l, "", "");
}

static void test_lines_of_both_streams(void **state)
{
    struct run_log l = {0};
    add(&l, STDOUT_FILENO, "one\ntw");
    add(&l, STDERR_FILENO, "oops\r\n");
    add(&l, STDOUT_FILENO, "o\n\nlast");
    expect(&l, "one\ntwo\n\nlast",
           STAMP "\"stdout\",\"message\":\"one\"}\n" STAMP
                 "\"stderr\",\"message\":\"oops\"}\n" STAMP
                 "\"stdout\",\"message\":\"two\"}\n" STAMP "\"stdout\",\"message\":\"\"}\n" STAMP
                 "\"stdout\",\"message\":\"last\"}\n");
}

static void test_stderr_is_no_output(void **state)
{
    struct run_log l = {0};
    add(&l, STDERR_FILENO, "x");
    expect(&l, "", STAMP "\"stderr\",\"message\":\"x\"}\n");
}

static void test_bytes_that_are_not_text(void **state)
{
    struct run_log l = {0};
    add(&l, STDOUT_FILENO, "a\xff\x01\"\n");
    expect(&l, "a\xff\x01\"\n", STAMP "\"stdout\",\"message\":\"a\xef\xbf\xbd\\u0001\\\"\"}\n");
}

/* A line of 'a's and one two-byte character across the cut. */
static void test_long_line_is_split_between_characters(void **state)
{
    struct run_log l = {0};
    char *text = calloc(1, RUN_LOG_LINE_BYTES_MAX + 16);
    memset(text, 'a', RUN_LOG_LINE_BYTES_MAX - 1);
    strcat(text, "\xc3\xa9"
                 "b\n");
    /* byte by byte would do the same as at once */
    add(&l, STDERR_FILENO, text);
    run_log_end(&l, NOON);
    const char *second = strchr(l.log.p, '\n') + 1;
    assert_string_equal(second, STAMP "\"stderr\",\"message\":\"\xc3\xa9"
                                      "b\"}\n");
    assert_int_equal(second - l.log.p,
                     strlen(STAMP "\"stderr\",\"message\":\"\"}\n") + RUN_LOG_LINE_BYTES_MAX - 1);
    run_log_release(&l);
    free(text);
}

static void test_pieces_give_the_same_lines(void **state)
{
    struct run_log whole = {0}, pieces = {0};
    struct str text = {0};
    for (int i = 0; i < 3 * RUN_LOG_LINE_BYTES_MAX; i++)
        str_add_char(&text, i % 20011 == 0 ? '\n' : (char)('a' + i % 26));
    run_log_add(&whole, STDOUT_FILENO, str_slice(&text), NOON);
    for (size_t at = 0; at < text.len; at += 7)
        run_log_add(&pieces, STDOUT_FILENO,
                    (struct slice){text.p + at, text.len - at < 7 ? text.len - at : 7}, NOON);
    run_log_end(&whole, NOON);
    run_log_end(&pieces, NOON);
    assert_string_equal(whole.log.p, pieces.log.p);
    assert_string_equal(whole.output.p, text.p);
    assert_string_equal(pieces.output.p, text.p);
    run_log_release(&whole);
    run_log_release(&pieces);
    str_release(&text);
}

#define OUTPUT_MARK "\n[output truncated at 1048576 bytes]"

static void test_output_is_bounded(void **state)
{
    struct run_log l = {0};
    char chunk[1000];
    memset(chunk, 'x', sizeof(chunk));
    for (int i = 0; i < 3000; i++)
        run_log_add(&l, STDOUT_FILENO, (struct slice){chunk, sizeof(chunk)}, NOON);
    run_log_end(&l, NOON);
    assert_int_equal(l.output.len, RUN_OUTPUT_BYTES_MAX + strlen(OUTPUT_MARK));
    assert_string_equal(l.output.p + RUN_OUTPUT_BYTES_MAX, OUTPUT_MARK);
    assert_true(l.output.cap <= 4 * RUN_OUTPUT_BYTES_MAX);
    run_log_release(&l);
}

static void test_output_of_exactly_the_limit_is_whole(void **state)
{
    struct run_log l = {0};
    char *text = calloc(1, RUN_OUTPUT_BYTES_MAX + 1);
    memset(text, 'x', RUN_OUTPUT_BYTES_MAX);
    add(&l, STDOUT_FILENO, text);
    assert_string_equal(l.output.p, text);
    run_log_release(&l);
    free(text);
}

static void test_output_is_cut_between_characters(void **state)
{
    struct run_log l = {0};
    char *text = calloc(1, RUN_OUTPUT_BYTES_MAX + 8);
    memset(text, 'x', RUN_OUTPUT_BYTES_MAX - 1);
    strcat(text, "\xe2\x82\xac");
    add(&l, STDOUT_FILENO, text);
    assert_string_equal(l.output.p + RUN_OUTPUT_BYTES_MAX - 1, OUTPUT_MARK);
    assert_true(utf8_valid(str_slice(&l.output)));
    run_log_release(&l);
    free(text);
}

/* Every line of the log stays a JSON object, and the last one says that something is missing. */
static void test_log_is_bounded(void **state)
{
    struct run_log l = {0};
    for (int i = 0; i < 200000; i++)
        add(&l, i % 2 == 0 ? STDOUT_FILENO : STDERR_FILENO, "a line of \x02 text\n");
    run_log_end(&l, NOON);
    assert_true(l.log.len <= RUN_LOG_BYTES_MAX + 256);
    json_t *last = NULL;
    for (char *line = strtok(l.log.p, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        json_decref(last);
        last = json_parse_object(slice_of(line), NULL);
        assert_non_null(last);
    }
    assert_true(json_is_true(json_object_get(last, "truncated")));
    json_decref(last);
    run_log_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_lines_of_both_streams),
        cmocka_unit_test(test_stderr_is_no_output),
        cmocka_unit_test(test_bytes_that_are_not_text),
        cmocka_unit_test(test_long_line_is_split_between_characters),
        cmocka_unit_test(test_pieces_give_the_same_lines),
        cmocka_unit_test(test_output_is_bounded),
        cmocka_unit_test(test_output_of_exactly_the_limit_is_whole),
        cmocka_unit_test(test_output_is_cut_between_characters),
        cmocka_unit_test(test_log_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
