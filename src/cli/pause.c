/* pause.c - `pawl pause` and `pawl resume`: a running daemon starts nothing more, or goes on. */
#include "base/mem.h"
#include "base/slug.h"
#include "cli/server.h"
#include <stdlib.h>
#include <string.h>

static const struct flag flags_resume[] = {SERVER_FLAGS, {NULL}};
static const struct flag flags_pause[] = {
    {"reason", "TEXT", "why, for whoever asks", FLAG_ONCE}, SERVER_FLAGS, {NULL}};

/* "/api/v1/pause", or that of a pipeline "namespace.layer.name"; NULL when it is none. The caller frees it. */
static char *find_path(const char *pipeline, const char *verb)
{
    if (pipeline == NULL)
        return mem_printf("/api/v1/%s", verb);
    struct slice part[3];
    const char *at = pipeline;
    for (int i = 0; i < 3; i++) {
        const size_t len = strcspn(at, ".");
        part[i] = (struct slice){at, len};
        if (!slug_valid(part[i]) || (at[len] == '.') != (i < 2))
            return NULL;
        at += len + (i < 2);
    }
    return mem_printf("/api/v1/pipelines/%.*s/%.*s/%.*s/%s", (int)part[0].len, part[0].p,
                      (int)part[1].len, part[1].p, (int)part[2].len, part[2].p, verb);
}

static int change(const struct cli_command *c, const struct flags *f, const char *verb,
                  const char *reason)
{
    const char *pipeline = f->args.len > 0 ? f->args.items[0] : NULL;
    struct server s;
    if (f->args.len > 1)
        return cli_usage_error(c, "one pipeline at a time, or none for everything");
    char *path = find_path(pipeline, verb);
    if (path == NULL)
        return cli_usage_error(c, "'%s' is not a pipeline such as default.bronze.load", pipeline);
    int code = server_open(&s, c, f);
    if (code == CLI_OK) {
        json_t *body = reason != NULL ? json_pack("{s:s}", "reason", reason) : json_object();
        json_t *answer = body != NULL ? server_ask(&s, "POST", path, body) : NULL;
        if (body == NULL)
            code = cli_failed(c, "--reason: not UTF-8");
        else if (answer == NULL)
            code = CLI_FAILED;
        json_decref(answer);
        json_decref(body);
        server_close(&s);
    }
    free(path);
    return code;
}

static int run_pause(const struct flags *f)
{
    return change(&cli_pause, f, "pause", flags_get(f, "reason", NULL));
}

static int run_resume(const struct flags *f)
{
    return change(&cli_resume, f, "resume", NULL);
}

const struct cli_command cli_pause = {
    .name = "pause",
    .args = "[PIPELINE] [--reason TEXT] [--server URL]",
    .help = "Lets runs wait: those of a pipeline (namespace.layer.name), or all. Events are "
            "accepted as\n"
            "ever, and what is running goes on.",
    .flags = flags_pause,
    .run = run_pause,
};

const struct cli_command cli_resume = {
    .name = "resume",
    .args = "[PIPELINE] [--server URL]",
    .help = "Lets the runs that a pause held back go on, the oldest first.",
    .flags = flags_resume,
    .run = run_resume,
};
