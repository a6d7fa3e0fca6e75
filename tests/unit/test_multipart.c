/* multipart/form-data in every split: the same events come out. */
#include "base/mem.h"
#include "base/str.h"
#include "io/http/multipart.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* What came out, such as "[file|x.csv|text/csv:hello]." */
static void note(struct str *out, const struct multipart *m, enum multipart_event event)
{
    switch (event) {
    case MULTIPART_PART:
        str_printf(out, "[%.*s|%.*s|%.*s:", (int)m->name.len, m->name.p, (int)m->filename.len,
                   m->filename.p != NULL ? m->filename.p : "", (int)m->content_type.len,
                   m->content_type.p != NULL ? m->content_type.p : "");
        break;
    case MULTIPART_DATA:
        str_add_slice(out, m->piece);
        break;
    case MULTIPART_PART_END:
        str_add_char(out, ']');
        break;
    case MULTIPART_END:
        str_add_char(out, '.');
        break;
    case MULTIPART_BAD:
        str_printf(out, "!%s", m->why);
        break;
    case MULTIPART_MORE:
        break;
    }
}

/* Feeds the text in pieces of that size; each piece is in memory of its own, so that a sanitizer sees what reads beyond it. */
static char *run(const char *content_type, struct slice text, size_t size)
{
    struct multipart *m = mem_alloc(sizeof(*m));
    struct str out = {0};
    enum multipart_event event = MULTIPART_MORE;
    size_t used;
    if (!multipart_init(m, slice_of(content_type))) {
        free(m);
        return mem_strdup("no");
    }
    for (size_t at = 0; at < text.len && event != MULTIPART_BAD; at += size) {
        const size_t len = text.len - at < size ? text.len - at : size;
        char *piece = mem_alloc(len);
        memcpy(piece, text.p + at, len);
        size_t done = 0;
        do {
            event = multipart_feed(m, piece + done, len - done, &used);
            assert_true(used <= len - done);
            done += used;
            note(&out, m, event);
        } while (event != MULTIPART_MORE && event != MULTIPART_BAD);
        assert_true(event == MULTIPART_BAD || done == len);
        free(piece);
    }
    free(m);
    return str_detach(&out);
}

static void expect(const char *text, const char *expected)
{
    const struct slice s = slice_of(text);
    for (size_t size = 1; size <= s.len + 1; size++) {
        char *got = run("multipart/form-data; boundary=b", s, size);
        assert_string_equal(got, expected);
        free(got);
    }
}

#define PART(headers, body) "--b\r\n" headers "\r\n\r\n" body "\r\n"
#define NAMED "Content-Disposition: form-data; name=\"file\""
#define FILED NAMED "; filename=\"x.csv\""

static void forms(void **state)
{
    static const struct {
        const char *text, *events;
    } cases[] = {
        {PART(FILED, "hello") "--b--\r\n", "[file|x.csv|:hello]."},
        {PART(FILED "\r\nContent-Type: text/csv", "hello") "--b--", "[file|x.csv|text/csv:hello]."},
        {PART(FILED, "") "--b--", "[file|x.csv|:]."},
        {"--b\r\n" FILED "\r\n\r\n--b--",
         "[file|x.csv|:]."}, /* the empty line is the delimiter's, too */
        {"\r\n" PART(FILED, "x") "--b--", "[file|x.csv|:x]."},
        {"a preamble\r\n--a\r\n-\r\n" PART(FILED, "x") "--b--\r\nand an epilogue --b\r\n",
         "[file|x.csv|:x]."},
        {PART(NAMED, "1") PART(FILED, "2") "--b--", "[file||:1][file|x.csv|:2]."},
        {PART(FILED, "\r\n--a\r\n--\r\n-\r\r\n-b--b\r\n") "--b--",
         "[file|x.csv|:\r\n--a\r\n--\r\n-\r\r\n-b--b\r\n]."},
        {"--b \t\r\n" FILED "\r\n\r\nx\r\n--b  --", "[file|x.csv|:x]."},
        {"--b\r\ncontent-disposition:form-data;filename=x.csv;NAME=file\r\nX: y\r\n\r\nx\r\n--b--",
         "[file|x.csv|:x]."},
        {PART(NAMED "; filename=\"a\\\"b\\\\c\\d;e\"", "x") "--b--", "[file|a\"b\\c\\d;e|:x]."},
        {PART(NAMED "; filename=\"\"", "x") "--b--", "[file||:x]."},
        {PART(FILED, "hel"), "[file|x.csv|:hel"}, /* it may go on */
        {"--b\r\n\r\nx\r\n--b--",
         "!a part has no name: Content-Disposition: form-data; name=\"...\" is missing"},
        {"--b\r\nContent-Disposition: attachment; name=\"file\"\r\n\r\nx",
         "!a part's headers are malformed"},
        {"--b\r\nContent-Disposition: form-data; filename=\"x\r\n\r\nx",
         "!a part's headers are malformed"},
        {"--b\r\nno colon\r\n\r\nx", "!a part's headers are malformed"},
        {"--b\r\n: empty\r\n\r\nx", "!a part's headers are malformed"},
        {"--b\r\nX: a\x01z\r\n\r\nx", "!a part's headers have a control character"},
        {"--bc\r\n", "!a boundary is followed by something else"},
        {"--b-\r\n", "!a boundary is followed by something else"},
        {"", ""},
        {"no boundary", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect(cases[i].text, cases[i].events);
    }
}

static void content_types(void **state)
{
    static const struct {
        const char *type;
        bool good;
    } cases[] = {
        {"multipart/form-data; boundary=b", true},
        {"Multipart/Form-Data;BOUNDARY=b", true},
        {"multipart/form-data; charset=utf-8; boundary=\"b\"", true},
        {"multipart/form-data ; boundary = b", true},
        {"multipart/form-data", false},
        {"multipart/form-data; boundary=", false},
        {"multipart/form-data; boundary=\"b", false},
        {"multipart/form-data; boundary=\"b \"", false},
        {"multipart/form-data; boundary=\"b\x01\"", false},
        {"multipart/form-datax; boundary=b", false},
        {"multipart/mixed; boundary=b", false},
        {"text/plain", false},
        {"", false},
        {NULL, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *got = run(cases[i].type, slice_of(PART(FILED, "x") "--b--"), 7);
        assert_string_equal(got, cases[i].good ? "[file|x.csv|:x]." : "no");
        free(got);
    }
}

static void a_boundary_has_a_longest(void **state)
{
    struct multipart *m = mem_alloc(sizeof(*m));
    char type[160];
    snprintf(type, sizeof(type), "multipart/form-data; boundary=%0*d", MULTIPART_BOUNDARY_MAX, 0);
    assert_true(multipart_init(m, slice_of(type)));
    snprintf(type, sizeof(type), "multipart/form-data; boundary=%0*d", MULTIPART_BOUNDARY_MAX + 1,
             0);
    assert_false(multipart_init(m, slice_of(type)));
    free(m);
}

static void headers_and_parts_have_limits(void **state)
{
    struct str text = {0};
    str_add_cstr(&text, "--b\r\nX: ");
    for (int i = 0; i < MULTIPART_HEADER_BYTES_MAX; i++)
        str_add_char(&text, 'x');
    char *got = run("multipart/form-data; boundary=b", str_slice(&text), 100);
    assert_string_equal(got, "!a part's headers are too long");
    free(got);
    str_reset(&text);
    for (int i = 0; i <= MULTIPART_PARTS_MAX; i++)
        str_add_cstr(&text, PART(NAMED, ""));
    got = run("multipart/form-data; boundary=b", str_slice(&text), 100);
    assert_non_null(strstr(got, "!there are too many parts"));
    free(got);
    str_release(&text);
}

static void names_that_are_not_ascii(void **state)
{
    expect(PART(NAMED "; filename*=UTF-8''na%C3%AFve%20%e2%82%ac.csv", "x") "--b--",
           "[file|na\xc3\xafve \xe2\x82\xac.csv|:x].");
    expect(PART(NAMED "; filename*=iso-8859-1'fr'na%EFve.csv", "x") "--b--",
           "[file|na\xc3\xafve.csv|:x].");
    expect(PART(NAMED "; filename*=utf-8''a; filename=\"b\"", "x") "--b--", "[file|a|:x].");
    expect(PART(NAMED "; filename=\"b\"; filename*=utf-8''a", "x") "--b--", "[file|a|:x].");
    expect(PART(NAMED "; filename*=utf-8''", "x") "--b--", "[file||:x].");
    static const char malformed[] = "!a part's headers are malformed";
    expect(PART(NAMED "; filename*=a.csv", "x") "--b--", malformed);
    expect(PART(NAMED "; filename*=utf-8'a.csv", "x") "--b--", malformed);
    expect(PART(NAMED "; filename*=koi8-r''a.csv", "x") "--b--", malformed);
    expect(PART(NAMED "; filename*=utf-8''a%2", "x") "--b--", malformed);
    expect(PART(NAMED "; filename*=utf-8''a%zz", "x") "--b--", malformed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are_not_ascii),
        cmocka_unit_test(forms),
        cmocka_unit_test(content_types),
        cmocka_unit_test(a_boundary_has_a_longest),
        cmocka_unit_test(headers_and_parts_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
