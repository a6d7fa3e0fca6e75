#include "api/report_log.h"
#include "base/rfc3339.h"
#include "io/process/run_log.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_PATH_LEN_MAX 64

static int take_stream(struct json_fields *f)
{
    const char *stream = json_take_string(f, "stream", JSON_OPTIONAL);
    if (stream == NULL || strcmp(stream, "stdout") == 0)
        return STDOUT_FILENO;
    if (strcmp(stream, "stderr") != 0)
        json_fields_fail(f, "stream", "must be stdout or stderr");
    return STDERR_FILENO;
}

static struct wall take_time(struct json_fields *f, struct wall now)
{
    const char *text = json_take_string(f, "time", JSON_OPTIONAL);
    if (text != NULL && !rfc3339_parse(slice_of(text), &now))
        json_fields_fail(f, "time", "must be an RFC 3339 time such as 2026-02-13T10:00:00Z");
    return now;
}

/* Newlines in a message make several lines of it. */
static int add_line(struct run_log *log, json_t *line, const char *path, struct wall now,
                    struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, line, path, reterr);
    const json_t *message = json_object_get(line, "message");
    (void)json_take_string(&f, "message", JSON_REQUIRED);
    const int fd = take_stream(&f);
    const struct wall time = take_time(&f, now);
    if (json_fields_end(&f) < 0)
        return -1;
    (void)run_log_add(
        log, fd, (struct slice){json_string_value(message), json_string_length(message)}, time);
    (void)run_log_add(log, fd, SLICE("\n"), time);
    return 0;
}

void report_take_logs(struct json_fields *f, struct wall now, struct str *ret)
{
    json_t *lines = json_take_array(f, "logs", JSON_OPTIONAL), *line;
    struct run_log *log = run_log_create(0);
    struct diag why;
    size_t i;
    json_array_foreach(lines, i, line)
    {
        char path[LINE_PATH_LEN_MAX];
        snprintf(path, sizeof(path), "[%zu]", i);
        if (!json_is_object(line)) {
            json_fields_fail(f, "logs", "%s must be an object", path);
            break;
        }
        if (add_line(log, line, path, now, &why) < 0) {
            json_fields_fail(f, "logs", "%s", why.msg);
            break;
        }
    }
    str_add_slice(ret, str_slice(&log->text));
    run_log_unref(log);
}
