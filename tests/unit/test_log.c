#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rfc3339.h"

/* stderr goes to a file between these two. */
static FILE *captured;
static int real_stderr;

static void capture(void)
{
    captured = tmpfile();
    real_stderr = dup(STDERR_FILENO);
    assert_non_null(captured);
    assert_true(real_stderr >= 0);
    assert_true(dup2(fileno(captured), STDERR_FILENO) == STDERR_FILENO);
}

static struct str text;

static const char *release(void)
{
    char part[4096];
    size_t n;

    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    rewind(captured);
    str_reset(&text);
    str_add_cstr(&text, "");
    while ((n = fread(part, 1, sizeof(part), captured)) > 0)
        str_add(&text, part, n);
    fclose(captured);
    return text.p;
}

static size_t count_lines(const char *s)
{
    size_t n = 0;

    for (; (s = strchr(s, '\n')) != NULL; s++)
        n++;
    return n;
}

static const struct uuid id = {{0x01, 0x90, 0x16, 0x3d, 0x86, 0x94, 0x73, 0x9b, 0xae, 0xa5, 0x96,
                                0x6c, 0x26, 0xf8, 0xad, 0x91}};

static void test_text(void **state)
{
    struct wall t;

    log_init(LOG_INFO, LOG_FORM_TEXT);
    capture();
    log_info("listening", LOG_STR("address", "127.0.0.1"), LOG_INT("port", -8080),
             LOG_UUID("run", id), LOG_STR("what", "two words"), LOG_STR("none", NULL),
             LOG_STR("empty", ""));
    log_error("without fields");
    const char *out = release();
    const char *second = strchr(out, '\n') + 1;
    const char *zone = strchr(out, 'Z');

    assert_int_equal(count_lines(out), 2);
    assert_non_null(zone);
    assert_true(rfc3339_parse((struct slice){out, (size_t)(zone + 1 - out)}, &t));
    assert_int_equal(
        strncmp(
            out + 24,
            " info  listening address=127.0.0.1 port=-8080 run=0190163d-8694-739b-aea5-966c26f8ad91"
            " what=\"two words\" none=\"\" empty=\"\"\n",
            (size_t)(second - out - 24)),
        0);
    assert_string_equal(second + 24, " error without fields\n");
}

static void test_json(void **state)
{
    log_init(LOG_DEBUG, LOG_FORM_JSON);
    capture();
    log_debug("a \"message\"", LOG_STR("s", "x\ny"), LOG_INT("i", INT64_MIN), LOG_UUID("id", id),
              LOG_STR("none", NULL));
    const char *out = release();
    json_t *v = json_parse(slice_of(out), NULL);

    assert_int_equal(count_lines(out), 1);
    assert_non_null(v);
    assert_string_equal(json_string_value(json_object_get(v, "level")), "debug");
    assert_string_equal(json_string_value(json_object_get(v, "msg")), "a \"message\"");
    assert_string_equal(json_string_value(json_object_get(v, "s")), "x\ny");
    assert_true(json_integer_value(json_object_get(v, "i")) == INT64_MIN);
    assert_string_equal(json_string_value(json_object_get(v, "id")),
                        "0190163d-8694-739b-aea5-966c26f8ad91");
    assert_true(json_is_null(json_object_get(v, "none")));
    assert_non_null(json_object_get(v, "time"));
    json_decref(v);
}

static void test_levels(void **state)
{
    enum log_level level = LOG_DEBUG;

    log_init(LOG_WARN, LOG_FORM_TEXT);
    capture();
    log_debug("d");
    log_info("i");
    log_warn("w");
    log_error("e");
    assert_int_equal(count_lines(release()), 2);
    assert_true(log_level_parse(SLICE("debug"), &level) && level == LOG_DEBUG);
    assert_true(log_level_parse(SLICE("info"), &level) && level == LOG_INFO);
    assert_true(log_level_parse(SLICE("warn"), &level) && level == LOG_WARN);
    assert_true(log_level_parse(SLICE("error"), &level) && level == LOG_ERROR);
    assert_false(log_level_parse(SLICE("Error"), &level));
    assert_false(log_level_parse(SLICE(""), &level));
}

/* Nothing that a value holds can end a line, begin a field, or talk to a terminal. */
static void test_values_cannot_forge_lines(void **state)
{
    static const struct slice evil[] = {
        SLICE("x\n2026-01-01T00:00:00Z info  forged"),
        SLICE("a b=c"),
        SLICE("a=\"b\""),
        SLICE("\x1b[2J"),
        SLICE("\xc2\x9b"
              "2J"),
        SLICE("\xff\xfe"),
        SLICE("a\0b"),
        SLICE("\r"),
    };

    for (int form = LOG_FORM_TEXT; form <= LOG_FORM_JSON; form++) {
        log_init(LOG_INFO, (enum log_form)form);
        for (size_t i = 0; i < ARRAY_SIZE(evil); i++) {
            capture();
            log_info("m", LOG_SLICE("v", evil[i]));
            const char *out = release();

            assert_int_equal(count_lines(out), 1);
            assert_int_equal(strlen(out), text.len);
            assert_true(utf8_valid(str_slice(&text)));
            for (const char *p = out; p[1] != '\0'; p++)
                assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
            assert_null(strstr(out, "\xc2\x9b"));
            if (form == LOG_FORM_TEXT)
                assert_non_null(strstr(out, " v=\""));
        }
    }
}

static void test_long_values_are_cut(void **state)
{
    struct str value = {0};

    while (value.len < 100000)
        str_add_cstr(&value, "\xe2\x82\xac");
    log_init(LOG_INFO, LOG_FORM_JSON);
    capture();
    log_info("m", LOG_SLICE("v", str_slice(&value)));
    json_t *v = json_parse(slice_of(release()), NULL);
    const size_t len = json_string_length(json_object_get(v, "v"));

    assert_in_range(len, 1000, 1024);
    assert_int_equal(len % 3, 0);
    json_decref(v);
    str_release(&value);
}

/* A flood is cut off, and the lines of later seconds say how much of it: every line was either written or counted. */
static void test_flood(void **state)
{
    const int flood = 20 * LOG_LINES_PER_SECOND_MAX;
    int64_t written = 0, left_out = 0;

    log_init(LOG_INFO, LOG_FORM_TEXT);
    capture();
    for (int i = 0; i < flood; i++)
        log_info("flood");
    for (const time_t second = time(NULL); time(NULL) == second;)
        ;
    log_info("after");
    const char *out = release();

    for (const char *p = out; (p = strstr(p, " flood\n")) != NULL; p++)
        written++;
    for (const char *p = out; (p = strstr(p, " left out lines=")) != NULL; p++)
        left_out += strtoll(strchr(p, '=') + 1, NULL, 10);
    assert_true(written >
                LOG_LINES_PER_SECOND_MAX / 2); /* earlier tests took some of the first second */
    assert_true(left_out > 0);
    assert_int_equal(written + left_out, flood);
    assert_string_equal(out + text.len - strlen(" info  after\n"), " info  after\n");
}

/* Nobody reads: lines are left out instead of waiting. */
static void test_full_pipe(void **state)
{
    int ends[2];

    log_init(LOG_INFO, LOG_FORM_TEXT);
    assert_int_equal(pipe(ends), 0);
    real_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    for (int i = 0; i < 3000; i++)
        log_info("into a pipe that nobody reads, a line that is about a hundred bytes long",
                 LOG_INT("number", i));
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(ends[0]);
    close(ends[1]);
}

static int teardown(void **state)
{
    str_release(&text);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_values_cannot_forge_lines),
        cmocka_unit_test(test_long_values_are_cut),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_full_pipe),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
