/* runs.c - `pawl runs` and `pawl cancel`: what a running daemon has carried out lately, and an end to some of it. */
#include "base/check.h"
#include "base/duration.h"
#include "base/mem.h"
#include "base/rfc3339.h"
#include "base/slug.h"
#include "base/uuid.h"
#include "cli/server.h"
#include "cli/table.h"
#include "core/ark_doc.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROWS_DEFAULT 20
#define ROWS_MAX 200 /* a page of the daemon's list */

static const struct flag runs_flags[] = {
    {"pipeline", "P", "those of this one: NAMESPACE.LAYER.NAME, or a name alone", FLAG_ONCE, 'p'},
    {"status", "S", "pending, running, success, failed or cancelled", FLAG_ONCE, 's'},
    {"dead", NULL, "those that failed for good, and were not replayed since", FLAG_ONCE},
    {"lines", "N", "at most so many, the newest first (default: 20, at most 200)", FLAG_ONCE, 'n'},
    SERVER_FLAGS,
    {NULL},
};
static const struct flag cancel_flags[] = {SERVER_FLAGS, {NULL}};

/* ---- the table ---- */

static const char *text_at(const json_t *run, const char *name)
{
    return json_string_value(json_object_get(run, name));
}

static void add_age_cell(struct table *t, const char *time_text)
{
    struct str age = {0};
    struct wall at;
    if (time_text != NULL && rfc3339_parse(slice_of(time_text), &at))
        str_add_age(&age, (int64_t)time(NULL) * 1000 - at.ms);
    table_cell(t, age.p);
    str_release(&age);
}

static void add_row(struct table *t, const json_t *run)
{
    char took[DURATION_TEXT_MAX] = "", attempt[24];
    const json_t *ms = json_object_get(run, "duration_ms");
    if (json_is_integer(ms))
        duration_format((uint64_t)json_integer_value(ms), took);
    snprintf(attempt, sizeof(attempt), "%lld",
             (long long)json_integer_value(json_object_get(run, "attempt")));
    table_cell(t, text_at(run, "id"));
    table_cell(t, text_at(run, "pipeline"));
    table_cell(t, text_at(run, "trigger"));
    table_cell(t, text_at(run, "status"));
    table_cell(t, attempt);
    table_cell(t, took);
    add_age_cell(t, text_at(run, "created_at"));
    table_cell(t, text_at(run, "error"));
}

static void print_runs(const json_t *runs)
{
    static const char *const names[] = {"RUN",     "PIPELINE", "TRIGGER", "STATUS",
                                        "ATTEMPT", "TOOK",     "AGE",     "ERROR"};
    struct table t = {0};
    size_t i;
    json_t *run;
    for (i = 0; i < ARRAY_SIZE(names); i++)
        table_column(&t, names[i]);
    json_array_foreach(runs, i, run) add_row(&t, run);
    table_print(&t, stdout);
    table_release(&t);
}

/* ---- which ---- */

/* NAMESPACE.LAYER.NAME, or a name alone. */
static int add_pipeline(const char *text, struct str *path)
{
    static const char *const fields[] = {"namespace", "layer", "pipeline"};
    const char *at = text;
    for (size_t i = strchr(text, '.') != NULL ? 0 : 2; i < 3; i++) {
        const size_t len = strcspn(at, ".");
        if (!slug_valid((struct slice){at, len}) || (at[len] == '.') != (i < 2))
            return cli_usage_error(
                &cli_runs, "--pipeline: '%s' is neither NAMESPACE.LAYER.NAME nor a name", text);
        str_printf(path, "&%s=%.*s", fields[i], (int)len, at);
        at += len + (i < 2);
    }
    return CLI_OK;
}

static int make_path(const struct flags *f, struct str *path)
{
    const char *n = flags_get(f, "lines", NULL), *status = flags_get(f, "status", NULL);
    const char *pipeline = flags_get(f, "pipeline", NULL);
    uint64_t rows = ROWS_DEFAULT;
    if (f->args.len > 0)
        return cli_usage_error(&cli_runs, "'%s' is too much; see --pipeline", f->args.items[0]);
    if (n != NULL && (!slice_u64(slice_of(n), ROWS_MAX, &rows) || rows == 0))
        return cli_usage_error(&cli_runs, "--lines: '%s' is not a number from 1 to %d", n,
                               ROWS_MAX);
    if (status != NULL && !slug_valid(slice_of(status)))
        return cli_usage_error(&cli_runs,
                               "--status: must be pending, running, success, failed or cancelled");
    str_printf(path, "/api/v1/runs?limit=%u", (unsigned)rows);
    if (status != NULL)
        str_printf(path, "&status=%s", status);
    if (flags_get(f, "dead", NULL) != NULL)
        str_add_cstr(path, "&dead=true");
    return pipeline != NULL ? add_pipeline(pipeline, path) : CLI_OK;
}

static int list(const char *path, const struct flags *f)
{
    struct server s;
    int code = server_open(&s, &cli_runs, f);
    if (code != CLI_OK)
        return code;
    json_t *answer = server_ask(&s, "GET", path, NULL);
    if (answer != NULL)
        print_runs(json_object_get(answer, "runs"));
    else
        code = CLI_FAILED;
    json_decref(answer);
    server_close(&s);
    return code;
}

static int run_runs(const struct flags *f)
{
    struct str path = {0};
    int code = make_path(f, &path);
    if (code == CLI_OK)
        code = list(path.p, f);
    str_release(&path);
    return code;
}

/* ---- cancelling ---- */

static int cancel(struct server *s, const char *run)
{
    char *path = mem_printf("/api/v1/runs/%s/cancel", run);
    json_t *answer = server_ask(s, "POST", path, NULL);
    const char *status = answer != NULL ? text_at(answer, "status") : NULL;
    if (status != NULL)
        printf("%s %s\n", run, status);
    json_decref(answer);
    free(path);
    return answer != NULL ? CLI_OK : CLI_FAILED;
}

/* Goes on after one that has ended already: the others do not depend on it. */
static int run_cancel(const struct flags *f)
{
    struct server s;
    struct uuid ignored;
    if (f->args.len == 0)
        return cli_usage_error(&cli_cancel, "which runs?");
    for (size_t i = 0; i < f->args.len; i++)
        if (!uuid_parse(slice_of(f->args.items[i]), &ignored))
            return cli_usage_error(&cli_cancel, "'%s' is not the id of a run", f->args.items[i]);
    int code = server_open(&s, &cli_cancel, f);
    if (code != CLI_OK)
        return code;
    for (size_t i = 0; i < f->args.len; i++)
        if (cancel(&s, f->args.items[i]) != CLI_OK)
            code = CLI_FAILED;
    server_close(&s);
    return code;
}

const struct cli_command cli_runs = {
    .name = "runs",
    .args = "[--pipeline P] [--status S] [--dead] [-n N] [--server URL]",
    .help = "Lists runs, the newest first.",
    .flags = runs_flags,
    .run = run_runs,
};

const struct cli_command cli_cancel = {
    .name = "cancel",
    .args = "RUN_ID... [--server URL]",
    .help = "Cancels runs: what waits never begins, what is at work is ended.",
    .flags = cancel_flags,
    .run = run_cancel,
};
