/* replay.c - `pawl replay`: runs that have ended are made again, those named or the dead ones that match. */
#include "base/check.h"
#include "base/duration.h"
#include "base/mem.h"
#include "base/rfc3339.h"
#include "cli/server.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE_MAX 500 /* what the daemon takes in one call */

static const struct flag flags[] = {
    {"pipeline", "P", "the dead runs of this one: NAMESPACE.LAYER.NAME, or a name alone",
     FLAG_ONCE},
    {"namespace", "NS", "the dead runs of pipelines in this namespace", FLAG_ONCE},
    {"layer", "LAYER", "the dead runs of pipelines in this layer", FLAG_ONCE},
    {"trigger", "ID", "the dead runs that this trigger made", FLAG_ONCE},
    {"since", "T", "that started after this: RFC 3339, or so long ago, such as 12h", FLAG_ONCE},
    {"until", "T", "that started before this", FLAG_ONCE},
    {"all", NULL, "all dead runs", FLAG_ONCE},
    {"limit", "N", "at most so many, the oldest first (default: all that match)", FLAG_ONCE},
    {"dry-run", NULL, "say which it would be, and do nothing", FLAG_ONCE},
    {"original-version", NULL, "of the version that the run had, not the current one", FLAG_ONCE},
    SERVER_FLAGS,
    {NULL},
};

static bool is_given(const struct flags *f, const char *name)
{
    return flags_get(f, name, NULL) != NULL;
}

static void set_version(const struct flags *f, json_t *body)
{
    if (is_given(f, "original-version"))
        json_object_set_new(body, "version", json_string("original"));
}

static const char *id_of(json_t *object, const char *name)
{
    const char *id = json_string_value(json_object_get(object, name));
    return id != NULL ? id : "-";
}

/* ---- those named ---- */

static bool is_id(const char *text)
{
    struct uuid ignored;
    return uuid_parse(slice_of(text), &ignored);
}

/* Goes on after one that is refused: the others do not depend on it. */
static int replay_named(struct server *s, const struct flags *f)
{
    int code = CLI_OK;
    for (size_t i = 0; i < f->args.len; i++) {
        char *path = mem_printf("/api/v1/runs/%s/replay", f->args.items[i]);
        json_t *body = json_object();
        set_version(f, body);
        json_t *answer = server_ask(s, "POST", path, body);
        if (answer != NULL)
            printf("%s replayed as %s\n", f->args.items[i], id_of(answer, "run_id"));
        else
            code = CLI_FAILED;
        json_decref(answer);
        json_decref(body);
        free(path);
    }
    return code;
}

/* ---- those that match ---- */

static int take_time(const struct flags *f, const char *flag, const char *field, json_t *body)
{
    const char *text = flags_get(f, flag, NULL);
    char at[RFC3339_LEN + 1];
    struct wall t;
    uint64_t ago_ms;
    if (text == NULL)
        return CLI_OK;
    if (duration_parse(slice_of(text), &ago_ms))
        t.ms = (int64_t)time(NULL) * 1000 - (int64_t)ago_ms;
    else if (!rfc3339_parse(slice_of(text), &t))
        return cli_usage_error(&cli_replay,
                               "--%s: '%s' is neither a time such as 2026-02-13T22:00:00Z nor a "
                               "duration such as 12h",
                               flag, text);
    rfc3339_format(t, at);
    json_object_set_new(body, field, json_string(at));
    return CLI_OK;
}

static void set_text(const struct flags *f, const char *flag, const char *field, json_t *body)
{
    const char *text = flags_get(f, flag, NULL);
    if (text != NULL)
        json_object_set_new(body, field, json_string(text));
}

/* NAMESPACE.LAYER.NAME, or a name alone. */
static int take_pipeline(const struct flags *f, json_t *body)
{
    static const char *const fields[] = {"namespace", "layer", "pipeline"};
    const char *text = flags_get(f, "pipeline", NULL);
    const char *at = text;
    if (text == NULL || strchr(text, '.') == NULL) {
        set_text(f, "pipeline", "pipeline", body);
        return CLI_OK;
    }
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        const size_t len = i < 2 ? strcspn(at, ".") : strlen(at);
        if (len == 0 || (i < 2 && at[len] == '\0') || (i == 2 && strchr(at, '.') != NULL))
            return cli_usage_error(
                &cli_replay, "--pipeline: '%s' is neither NAMESPACE.LAYER.NAME nor a name", text);
        json_object_set_new(body, fields[i], json_stringn(at, len));
        at += len + 1;
    }
    return CLI_OK;
}

static int take_filter(const struct flags *f, json_t *body)
{
    set_text(f, "namespace", "namespace", body);
    set_text(f, "layer", "layer", body);
    set_text(f, "trigger", "trigger_id", body);
    set_version(f, body);
    if (is_given(f, "dry-run"))
        json_object_set_new(body, "dry_run", json_true());
    int code = take_pipeline(f, body);
    if (code == CLI_OK)
        code = take_time(f, "since", "started_after", body);
    return code == CLI_OK ? take_time(f, "until", "started_before", body) : code;
}

static void print_runs(json_t *answer, bool dry_run)
{
    size_t i;
    json_t *run;
    json_array_foreach(json_object_get(answer, "runs"), i, run)
    {
        if (dry_run)
            printf("%s\n", id_of(run, "replay_of"));
        else
            printf("%s replayed as %s\n", id_of(run, "replay_of"), id_of(run, "run_id"));
    }
}

/* How many one call replayed, or -1. */
static int64_t replay_page(struct server *s, json_t *body, uint64_t max, bool dry_run,
                           uint64_t *ret_left)
{
    json_object_set_new(body, "limit", json_integer(max < PAGE_MAX ? (json_int_t)max : PAGE_MAX));
    json_t *answer = server_ask(s, "POST", "/api/v1/runs/replay", body);
    if (answer == NULL)
        return -1;
    print_runs(answer, dry_run);
    const int64_t n = json_integer_value(json_object_get(answer, "replayed"));
    *ret_left = (uint64_t)json_integer_value(json_object_get(answer, "remaining"));
    json_decref(answer);
    return n;
}

static int replay_matching(struct server *s, const struct flags *f, json_t *body, uint64_t max)
{
    const bool dry_run = is_given(f, "dry-run");
    uint64_t done = 0, left = 0;
    int64_t n;
    do {
        n = replay_page(s, body, max - done, dry_run, &left);
        if (n < 0)
            return CLI_FAILED;
        done += (uint64_t)n;
    } while (!dry_run && n > 0 && left > 0 && done < max);
    fprintf(stderr, "%llu %s, %llu left\n", (unsigned long long)done,
            dry_run ? "would be replayed" : "replayed", (unsigned long long)left);
    return CLI_OK;
}

/* ---- the command ---- */

static bool is_filtered(const struct flags *f)
{
    static const char *const filters[] = {"pipeline", "namespace", "layer", "trigger",
                                          "since",    "until",     "all"};
    for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
        if (is_given(f, filters[i]))
            return true;
    return false;
}

static int check_named(const struct flags *f)
{
    if (is_filtered(f) || is_given(f, "limit") || is_given(f, "dry-run"))
        return cli_usage_error(&cli_replay, "either runs are named, or a filter is given");
    for (size_t i = 0; i < f->args.len; i++)
        if (!is_id(f->args.items[i]))
            return cli_usage_error(&cli_replay, "'%s' is not the id of a run", f->args.items[i]);
    return CLI_OK;
}

static int check_filter(const struct flags *f, json_t *body, uint64_t *ret_max)
{
    const char *limit = flags_get(f, "limit", NULL);
    if (!is_filtered(f))
        return cli_usage_error(&cli_replay, "which runs? Name them, give a filter, or --all");
    *ret_max = UINT64_MAX;
    if (limit != NULL && (!slice_u64(slice_of(limit), INT64_MAX, ret_max) || *ret_max == 0))
        return cli_usage_error(&cli_replay, "--limit: '%s' is not a number, 1 or more", limit);
    return take_filter(f, body);
}

static int run(const struct flags *f)
{
    struct server s;
    uint64_t max;
    const bool named = f->args.len > 0;
    json_t *body = json_object();
    int code = named ? check_named(f) : check_filter(f, body, &max);
    if (code == CLI_OK)
        code = server_open(&s, &cli_replay, f);
    if (code == CLI_OK) {
        code = named ? replay_named(&s, f) : replay_matching(&s, f, body, max);
        server_close(&s);
    }
    json_decref(body);
    return code;
}

const struct cli_command cli_replay = {
    .name = "replay",
    .args = "RUN_ID... | --pipeline P [--since T] [--dry-run] | --all",
    .help = "Makes runs again that have ended: those named, or the dead ones that match.",
    .flags = flags,
    .run = run,
};
