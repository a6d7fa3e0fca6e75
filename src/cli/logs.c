/* logs.c - `pawl logs`: what a run wrote, its stdout on stdout and its stderr on stderr.
 *
 * With -f it is read from the daemon's stream of events. A stream that breaks, or ends before the run
 * has (the daemon stops), is asked for again from behind the last line that came.
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "cli/server.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define EVENT_BYTES_MAX (1 << 20) /* of one; a line of a log is far shorter */
#define ID_LEN_MAX 31
#define TRIES_MAX 60 /* in a row without anything new */
#define TRY_MS 1000

static const struct flag flags[] = {
    {"follow", NULL, "go on until the run has ended, through restarts of the daemon", FLAG_ONCE,
     'f'},
    {"attempt", "N", "of this attempt (default: the last one; with -f: all)", FLAG_ONCE},
    SERVER_FLAGS,
    {NULL},
};

static void print_line(const json_t *line)
{
    const json_t *message = json_object_get(line, "message");
    const char *stream = json_string_value(json_object_get(line, "stream"));
    FILE *to = stream != NULL && strcmp(stream, "stderr") == 0 ? stderr : stdout;
    if (!json_is_string(message))
        return;
    if (to == stderr)
        fflush(stdout); /* in the order in which they were written */
    fwrite(json_string_value(message), 1, json_string_length(message), to);
    fputc('\n', to);
}

/* ---- what there is ---- */

static int show(struct server *s, const char *run, const char *attempt)
{
    char *path = attempt != NULL ? mem_printf("/api/v1/runs/%s/logs?attempt=%s", run, attempt)
                                 : mem_printf("/api/v1/runs/%s/logs", run);
    json_t *answer = server_ask(s, "GET", path, NULL), *line;
    size_t i;
    free(path);
    if (answer == NULL)
        return CLI_FAILED;
    json_array_foreach(json_object_get(answer, "logs"), i, line) print_line(line);
    json_decref(answer);
    return CLI_OK;
}

/* ---- what comes ---- */

struct following {
    struct server *server;
    struct str text;           /* what came and is not a whole event yet */
    char last[ID_LEN_MAX + 1]; /* the id of the last event; "" before the first */
    bool over;                 /* the run's final status was there */
    bool news;                 /* something came since the stream was asked for */
    bool bad;                  /* it is not a stream of events */
};

/* The value of a field of an event, which is lines of `name: value`; SLICE_NONE when it has none. */
static struct slice field(struct slice event, const char *name)
{
    while (event.len > 0) {
        const char *newline = memchr(event.p, '\n', event.len);
        const size_t len = newline != NULL ? (size_t)(newline - event.p) : event.len;
        const struct slice line = {event.p, len};
        const size_t name_len = strlen(name);
        if (slice_starts(line, name) && len > name_len && line.p[name_len] == ':')
            return slice_trim((struct slice){line.p + name_len + 1, len - name_len - 1});
        event.p += len + (newline != NULL);
        event.len -= len + (newline != NULL);
    }
    return SLICE_NONE;
}

static void take_event(struct following *w, struct slice event)
{
    const struct slice name = field(event, "event"), id = field(event, "id");
    struct diag ignored;
    if (name.p == NULL)
        return; /* a comment */
    w->news = true;
    json_t *data = json_parse(field(event, "data"), &ignored);
    if (slice_is(name, "log"))
        print_line(data);
    if (slice_is(name, "status") && slice_is(id, "end"))
        w->over = true;
    if (id.p != NULL && id.len <= ID_LEN_MAX) {
        memcpy(w->last, id.p, id.len);
        w->last[id.len] = '\0';
    }
    json_decref(data);
}

/* Takes whole events out of the text. */
static bool received(void *arg, int status, struct slice bytes)
{
    struct following *w = arg;
    size_t at = 0;
    const char *end;
    str_add_slice(&w->text, bytes);
    while (!w->over && (end = strstr(w->text.p + at, "\n\n")) != NULL) {
        take_event(w, (struct slice){w->text.p + at, (size_t)(end - w->text.p) - at});
        at = (size_t)(end - w->text.p) + 2;
    }
    w->text.len -= at;
    memmove(w->text.p, w->text.p + at, w->text.len + 1);
    w->bad = w->text.len > EVENT_BYTES_MAX;
    return fflush(stdout) == 0 && !w->over && !w->bad;
}

/* Why it is no use to ask again; NULL when it is. */
static const char *verdict(const struct following *w, bool answered, const struct fetch_answer *a,
                           struct diag *why)
{
    if (ferror(stdout))
        return "cannot write to standard output";
    if (w->bad)
        return "that is not a stream of events";
    if (!answered)
        return w->last[0] != '\0' || w->news ? NULL : why->msg; /* it was never there */
    if (a->status / 100 == 2 || a->status == 503)
        return NULL;
    server_explain(a->status, str_slice(&a->body), why);
    return why->msg;
}

/* One stream, to its end. 0, or -1 when it is no use to ask again, which has been said then. */
static int follow_once(struct following *w, const char *path)
{
    char *last = mem_printf("Last-Event-ID: %s", w->last);
    const char *const headers[] = {"Accept: text/event-stream", w->last[0] != '\0' ? last : NULL,
                                   NULL};
    struct fetch f = {.method = "GET", .headers = headers, .received = received, .arg = w};
    struct fetch_answer a = {0};
    struct diag why;
    str_reset(&w->text);
    w->news = false;
    const bool answered = server_try(w->server, &f, path, &a, &why) == 0;
    const char *wrong = verdict(w, answered, &a, &why);
    if (wrong != NULL)
        cli_failed(w->server->command, "%s", wrong);
    free(last);
    fetch_answer_release(&a);
    return wrong == NULL ? 0 : -1;
}

static int follow(struct server *s, const char *run)
{
    struct following w = {.server = s};
    char *path = mem_printf("/api/v1/runs/%s/logs", run);
    int err = follow_once(&w, path);
    unsigned tries = 0;
    while (err == 0 && !w.over && tries < TRIES_MAX) {
        poll(NULL, 0, TRY_MS);
        err = follow_once(&w, path);
        tries = w.news ? 0 : tries + 1;
    }
    if (err == 0 && !w.over)
        err = cli_failed(s->command, "the daemon does not answer any more");
    free(path);
    str_release(&w.text);
    return err == 0 ? CLI_OK : CLI_FAILED;
}

static int run(const struct flags *f)
{
    const char *attempt = flags_get(f, "attempt", NULL);
    const bool following = flags_get(f, "follow", NULL) != NULL;
    struct uuid ignored;
    struct server s;
    if (f->args.len != 1)
        return cli_usage_error(&cli_logs, "one run is needed");
    if (!uuid_parse(slice_of(f->args.items[0]), &ignored))
        return cli_usage_error(&cli_logs, "'%s' is not the id of a run", f->args.items[0]);
    if (following && attempt != NULL)
        return cli_usage_error(&cli_logs, "--attempt and --follow do not go together");
    uint64_t n;
    if (attempt != NULL && (!slice_u64(slice_of(attempt), UINT32_MAX, &n) || n == 0))
        return cli_usage_error(&cli_logs, "--attempt: must be a number, 1 or more");
    if (server_open(&s, &cli_logs, f) != CLI_OK)
        return CLI_USAGE;
    const int code = following ? follow(&s, f->args.items[0]) : show(&s, f->args.items[0], attempt);
    server_close(&s);
    return code;
}

const struct cli_command cli_logs = {
    .name = "logs",
    .args = "RUN",
    .help = "shows what a run has written, or writes",
    .flags = flags,
    .run = run,
};
