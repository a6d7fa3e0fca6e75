#include "io/process/run_log.h"
#include "base/rfc3339.h"
#include <string.h>
#include <unistd.h>

/* How much of text makes up at most max bytes without cutting a UTF-8 character in two; text that
 * is not UTF-8 is cut at max. */
static size_t cut_length(struct slice text, size_t max)
{
    if (text.len <= max)
        return text.len;
    for (size_t back = 0; back < 4 && back <= max; back++)
        if (((unsigned char)text.p[max - back] & 0xc0) != 0x80)
            return max - back;
    return max;
}

static void add_output(struct run_log *l, struct slice bytes)
{
    if (l->output_full)
        return;
    size_t len = cut_length(bytes, RUN_OUTPUT_BYTES_MAX - l->output.len);
    str_add(&l->output, bytes.p, len);
    if (len < bytes.len) {
        str_printf(&l->output, "\n[output truncated at %d bytes]", RUN_OUTPUT_BYTES_MAX);
        l->output_full = true;
    }
}

static void begin_object(struct str *s, int fd, struct wall now)
{
    str_add_cstr(s, "{\"time\":");
    str_add_time(s, now);
    str_add_cstr(s, fd == STDOUT_FILENO ? ",\"stream\":\"stdout\"" : ",\"stream\":\"stderr\"");
    str_add_cstr(s, ",\"message\":");
}

/* The escaped form of a line can be several times its length: it is written first and taken back if
 * it was too much. */
static void add_line(struct run_log *l, int fd, struct slice line, struct wall now)
{
    size_t len_before = l->log.len;
    if (l->log_full)
        return;
    begin_object(&l->log, fd, now);
    str_add_json(&l->log, line);
    str_add_cstr(&l->log, "}\n");
    if (l->log.len <= RUN_LOG_BYTES_MAX)
        return;
    l->log.len = len_before;
    l->log_full = true;
    begin_object(&l->log, fd, now);
    str_printf(&l->log, "\"[log truncated at %d bytes]\",\"truncated\":true}\n", RUN_LOG_BYTES_MAX);
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
    size_t len = cut_length(line, RUN_LOG_LINE_BYTES_MAX - partial->len);

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

static void add_log(struct run_log *l, int fd, struct slice bytes, struct wall now)
{
    while (bytes.len > 0 && !l->log_full) {
        size_t taken = add_to_line(l, fd, bytes, now);
        bytes = (struct slice){bytes.p + taken, bytes.len - taken};
    }
}

void run_log_add(struct run_log *l, int fd, struct slice bytes, struct wall now)
{
    if (fd == STDOUT_FILENO)
        add_output(l, bytes);
    add_log(l, fd, bytes, now);
}

void run_log_end(struct run_log *l, struct wall now)
{
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (l->partial[fd - STDOUT_FILENO].len > 0)
            flush_partial(l, fd, now);
}

void run_log_release(struct run_log *l)
{
    str_release(&l->output);
    str_release(&l->log);
    str_release(&l->partial[0]);
    str_release(&l->partial[1]);
}
