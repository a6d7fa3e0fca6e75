/* test_http_cases.c - the documents in tests/unit/http/: what goes in, what must come out.
 *
 * A case is a heading, words, a block `in` with the request's bytes and a block `out` with one line
 * per answer:
 *
 *     STATUS [close] [CODE or body]
 *
 * Each line of `in` ends with CR LF; a backslash at its end takes that away. \r \n \t \0 \\ \xHH
 * are bytes; {300*a} is 300 times the letter. After the bytes the client half-closes. Each case is
 * sent at once, in pieces of seven bytes, and byte by byte, with the same answers (100 Continue
 * aside, which is only sent to a client that waits). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/mem.h"
#include "http/fixture.h"

static const struct http_limits limits = {
    .header_bytes_max = 1024,
    .body_bytes_max = 256,
    .buffered_bytes_max = 64 << 10,
    .connections_max = 16,
    .pipelined_max = 4,
    .unsent_bytes_max = 1 << 20,
    .header_ms_max = 600000,
    .body_ms_max = 600000,
    .idle_ms_max = 600000,
    .write_ms_max = 600000,
};

enum block { BLOCK_NONE, BLOCK_IN, BLOCK_OUT };

struct document {
    char name[160]; /* of the case */
    struct str in, out;
    unsigned cases;
};

static int from_hex(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* {300*a} */
static const char *add_repeated(struct str *s, const char *at)
{
    char *end;
    unsigned long n = strtoul(at + 1, &end, 10);

    if (end == at + 1 || end[0] != '*' || end[2] != '}') {
        str_add_char(s, '{');
        return at + 1;
    }
    while (n-- > 0)
        str_add_char(s, end[1]);
    return end + 3;
}

static void add_in(struct str *s, const char *line)
{
    static const char names[] = "rnt0\\", bytes[] = "\r\n\t\0\\";

    while (*line != '\0') {
        const char *known;

        if (*line == '{') {
            line = add_repeated(s, line);
        } else if (*line != '\\') {
            str_add_char(s, *line++);
        } else if (line[1] == '\0') {
            return;
        } else if (line[1] == 'x') {
            str_add_char(s, (char)(from_hex(line[2]) << 4 | from_hex(line[3])));
            line += 4;
        } else {
            known = strchr(names, line[1]);
            assert_non_null(known);
            str_add_char(s, bytes[known - names]);
            line += 2;
        }
    }
    str_add(s, "\r\n", 2);
}

/* `STATUS [close] [CODE or body]`, as `out` has it. */
static void add_answer(struct str *s, const struct answer *a)
{
    static const char mark[] = "{\"error\":{\"code\":\"";

    str_printf(s, "%d%s", a->status, a->close ? " close" : "");
    if (strncmp(a->body, mark, sizeof(mark) - 1) == 0)
        str_printf(s, " %.*s", (int)strcspn(a->body + sizeof(mark) - 1, "\""),
                   a->body + sizeof(mark) - 1);
    else if (a->body_len > 0)
        str_printf(s, " %s", a->body);
    str_add_char(s, '\n');
}

static void run(struct fixture *f, const struct document *d, size_t piece)
{
    bool head = strncmp(d->in.p, "HEAD ", 5) == 0;
    struct str out = {0};
    struct client c;
    struct answer a;

    client_open(&c, f);
    for (size_t at = 0; at < d->in.len; at += piece) {
        size_t left = d->in.len - at;

        client_send(&c, (struct slice){d->in.p + at, left < piece ? left : piece});
    }
    client_shut(&c);
    for (client_answer(&c, head, &a); a.status != 0; client_answer(&c, head, &a))
        if (a.status != 100)
            add_answer(&out, &a);
    if (c.reset || c.in.len > 0)
        fail_msg("%s (in pieces of %zu): ended with%s %s", d->name, piece,
                 c.reset ? " a reset" : "", c.in.p);
    if (!slice_eq(str_slice(&out), str_slice(&d->out)))
        fail_msg("%s (in pieces of %zu):\n--- expected\n%s--- got\n%s", d->name, piece,
                 d->out.p ? d->out.p : "", out.p ? out.p : "");
    client_close(&c);
    str_release(&out);
}

static void run_case(struct fixture *f, struct document *d)
{
    run(f, d, SIZE_MAX / 2);
    run(f, d, 7);
    run(f, d, 1);
    d->cases++;
    str_reset(&d->in);
    str_reset(&d->out);
}

static enum block read_line(struct fixture *f, struct document *d, enum block block, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "```", 3) == 0) {
        if (block == BLOCK_OUT)
            run_case(f, d);
        return strcmp(line, "```in") == 0    ? BLOCK_IN
               : strcmp(line, "```out") == 0 ? BLOCK_OUT
                                             : BLOCK_NONE;
    }
    if (block == BLOCK_IN)
        add_in(&d->in, line);
    else if (block == BLOCK_OUT)
        str_printf(&d->out, "%s\n", line);
    else if (strncmp(line, "## ", 3) == 0)
        snprintf(d->name, sizeof(d->name), "%s", line + 3);
    return block;
}

static void test_document(void **state)
{
    const char *path = *state;
    FILE *file = fopen(path, "r");
    enum block block = BLOCK_NONE;
    struct document d = {0};
    struct fixture f;
    char *line = NULL;
    size_t cap = 0;

    assert_non_null(file);
    fixture_start(&f, &limits);
    while (getline(&line, &cap, file) >= 0)
        block = read_line(&f, &d, block, line);
    assert_true(d.cases > 0);
    fixture_end(&f);
    free(line);
    fclose(file);
    str_release(&d.in);
    str_release(&d.out);
}

#define DOCUMENT(name)                                                                             \
    {                                                                                              \
        name, test_document, NULL, NULL, TESTS_UNIT_DIR "/http/" name ".md"                        \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        DOCUMENT("bodies"), DOCUMENT("early"),     DOCUMENT("fields"),  DOCUMENT("lengths"),
        DOCUMENT("lines"),  DOCUMENT("pipelines"), DOCUMENT("targets"), DOCUMENT("versions"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
