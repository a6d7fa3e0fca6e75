#include "io/process/run_log.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/rfc3339.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct run_log *run_log_create(uint32_t attempt)
{
    struct run_log *l = mem_zalloc(sizeof(*l));
    l->attempt = attempt;
    l->refs = 1;
    l->bytes_max = RUN_LOG_BYTES_MAX;
    return l;
}

void run_log_begin_step(struct run_log *l, struct slice step, bool is_last)
{
    const size_t used = l->text.len < RUN_LOG_BYTES_MAX ? l->text.len : RUN_LOG_BYTES_MAX;
    const size_t left = RUN_LOG_BYTES_MAX - used;
    l->step = step;
    l->bytes_max = used + (is_last ? left : left / 2);
    l->full = false;
}

struct run_log *run_log_ref(struct run_log *l)
{
    l->refs++;
    return l;
}

void run_log_unref(struct run_log *l)
{
    if (l == NULL)
        return;
    CHECK(l->refs > 0);
    if (--l->refs > 0)
        return;
    str_release(&l->text);
    str_release(&l->partial[0]);
    str_release(&l->partial[1]);
    free(l);
}

static void begin_object(struct run_log *l, int fd, struct wall now)
{
    struct str *s = &l->text;
    str_add_cstr(s, "{\"time\":");
    str_add_time(s, now);
    str_add_cstr(s, fd == STDOUT_FILENO ? ",\"stream\":\"stdout\"" : ",\"stream\":\"stderr\"");
    if (l->step.p != NULL) {
        str_add_cstr(s, ",\"step\":");
        str_add_json(s, l->step);
    }
    str_add_cstr(s, ",\"message\":");
}

/* The escaped form of a line can be several times its length: it is written first and taken back if
 * it was too much. */
static void add_line(struct run_log *l, int fd, struct slice line, struct wall now)
{
    const size_t len_before = l->text.len;
    if (l->full)
        return;
    begin_object(l, fd, now);
    str_add_json(&l->text, line);
    str_add_cstr(&l->text, "}\n");
    if (l->text.len <= l->bytes_max)
        return;
    l->text.len = len_before;
    l->full = true;
    begin_object(l, fd, now);
    str_printf(&l->text, "\"[log truncated at %zu bytes]\",\"truncated\":true}\n", l->bytes_max);
}

static void flush_partial(struct run_log *l, int fd, struct wall now)
{
    struct str *partial = &l->partial[fd - STDOUT_FILENO];
    add_line(l, fd, str_slice(partial), now);
    str_reset(partial);
}

/* A carriage return before the newline is part of the line's end. */
static void trim_return(struct str *line)
{
    if (line->len > 0 && line->p[line->len - 1] == '\r')
        line->p[--line->len] = '\0';
}

/* Adds what fits the line; flushes it when it is complete or full. Returns how much it took. */
static size_t add_to_line(struct run_log *l, int fd, struct slice bytes, struct wall now)
{
    struct str *partial = &l->partial[fd - STDOUT_FILENO];
    const char *newline = memchr(bytes.p, '\n', bytes.len);
    struct slice line = {bytes.p, newline != NULL ? (size_t)(newline - bytes.p) : bytes.len};
    size_t len = utf8_cut(line, RUN_LOG_LINE_BYTES_MAX - partial->len);

    str_add(partial, line.p, len);
    if (len < line.len) {
        flush_partial(l, fd, now);
        return len;
    }
    if (newline == NULL)
        return len;
    trim_return(partial);
    flush_partial(l, fd, now);
    return len + 1;
}

bool run_log_add(struct run_log *l, int fd, struct slice bytes, struct wall now)
{
    const size_t len_before = l->text.len;
    while (bytes.len > 0 && !l->full) {
        size_t taken = add_to_line(l, fd, bytes, now);
        bytes = (struct slice){bytes.p + taken, bytes.len - taken};
    }
    return l->text.len != len_before;
}

bool run_log_flush(struct run_log *l, struct wall now)
{
    const size_t len_before = l->text.len;
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (l->partial[fd - STDOUT_FILENO].len > 0)
            flush_partial(l, fd, now);
    return l->text.len != len_before;
}
