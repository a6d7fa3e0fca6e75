#include "base/log.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/check.h"
#include "base/rfc3339.h"

/* A value longer than this is cut, so that an ordinary line fits into a pipe's atomic write. */
#define LOG_VALUE_BYTES_MAX 1024

static struct {
    enum log_level min;
    enum log_form form;
    int64_t second; /* the one `lines` belong to */
    unsigned lines;
    uint64_t unsaid; /* lines that were not written and not reported yet */
    struct str line; /* kept for the next one */
} logger = {.min = LOG_INFO, .form = LOG_FORM_TEXT};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(enum log_level min, enum log_form form)
{
    logger.min = min;
    logger.form = form;
}

bool log_level_parse(struct slice name, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
        if (slice_is(name, level_names[i])) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static struct wall wall_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (struct wall){(int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000};
}

static struct slice cut(struct slice s)
{
    size_t len = s.len;

    if (len <= LOG_VALUE_BYTES_MAX)
        return s;
    len = LOG_VALUE_BYTES_MAX;
    while (len > LOG_VALUE_BYTES_MAX - 4 && ((uint8_t)s.p[len] & 0xc0) == 0x80)
        len--; /* not in the middle of a character */
    return (struct slice){s.p, len};
}

/* In text a value needs quotes unless it cannot be mistaken for anything else. */
static bool is_bare(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];

        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return s.len > 0;
}

static void add_text_value(struct str *out, struct slice s)
{
    s = cut(s);
    if (is_bare(s))
        str_add_slice(out, s);
    else
        str_add_json(out, s);
}

static void add_value(struct str *out, const struct log_field *f)
{
    char text[UUID_TEXT_LEN + 1];
    bool json = logger.form == LOG_FORM_JSON;
    struct slice s = f->str;

    if (f->type == LOG_FIELD_INT) {
        str_add_i64(out, f->num);
        return;
    }
    if (f->type == LOG_FIELD_UUID) {
        uuid_format(f->uuid, text);
        s = (struct slice){text, UUID_TEXT_LEN};
    }
    if (json && s.p == NULL)
        str_add_cstr(out, "null");
    else if (json)
        str_add_json(out, cut(s));
    else
        add_text_value(out, s);
}

static void compose(struct str *out, struct wall now, enum log_level level, const char *msg,
                    const struct log_field *fields, size_t field_count)
{
    bool json = logger.form == LOG_FORM_JSON;

    if (json) {
        str_add_cstr(out, "{\"time\":");
        str_add_time(out, now);
        str_printf(out, ",\"level\":\"%s\",\"msg\":", level_names[level]);
        str_add_json(out, slice_of(msg));
    } else {
        char time[RFC3339_LEN + 1];

        rfc3339_format(now, time);
        str_printf(out, "%-24s %-5s %s", time, level_names[level], msg);
    }
    for (size_t i = 0; i < field_count; i++) {
        str_printf(out, json ? ",\"%s\":" : " %s=", fields[i].key);
        add_value(out, &fields[i]);
    }
    str_add_cstr(out, json ? "}\n" : "\n");
}

/* Whoever reads stderr may have stopped reading. A line that would have to wait for it is dropped.
 */
static bool emit(struct slice line)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

    if (poll(&p, 1, 0) <= 0 || (p.revents & POLLOUT) == 0)
        return false;
    while (line.len > 0) {
        ssize_t n = write(STDERR_FILENO, line.p, line.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        line.p += n;
        line.len -= (size_t)n;
    }
    return true;
}

static bool write_line(struct wall now, enum log_level level, const char *msg,
                       const struct log_field *fields, size_t field_count)
{
    str_reset(&logger.line);
    compose(&logger.line, now, level, msg, fields, field_count);
    return emit(str_slice(&logger.line));
}

static void report_unsaid(struct wall now)
{
    const struct log_field count = LOG_INT("lines", logger.unsaid);

    if (logger.unsaid > 0 && write_line(now, LOG_WARN, "log lines were left out", &count, 1))
        logger.unsaid = 0;
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields,
               size_t field_count)
{
    if (level < logger.min)
        return;
    int saved = errno;
    struct wall now = wall_now();

    if (now.ms / 1000 != logger.second) {
        logger.second = now.ms / 1000;
        logger.lines = 0;
        report_unsaid(now);
    }
    if (logger.lines >= LOG_LINES_PER_SECOND_MAX ||
        !write_line(now, level, msg, fields, field_count))
        logger.unsaid++;
    else
        logger.lines++;
    errno = saved;
}
