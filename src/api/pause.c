/* pause.c - /api/v1/pause and /api/v1/resume: everything waits, or goes on. Pipelines and triggers have theirs beside them. */
#include "api/pause.h"
#include "api/resources.h"
#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include <errno.h>
#include <string.h>

/* The body is optional. *ret points into *ret_body, a new reference or NULL. */
static int take_reason(struct http_request *req, json_t **ret_body, struct slice *ret,
                       struct diag *reterr)
{
    struct json_fields f;
    *ret_body = NULL;
    *ret = SLICE_NONE;
    if (slice_trim(req->body).len == 0)
        return 0;
    *ret_body = json_parse_object(req->body, reterr);
    if (*ret_body == NULL)
        return -EINVAL;
    json_fields_begin(&f, *ret_body, "", reterr);
    const char *reason = json_take_string(&f, "reason", JSON_OPTIONAL);
    if (reason != NULL && strlen(reason) > PAUSE_REASON_BYTES_MAX)
        json_fields_fail(&f, "reason", "must not be longer than %d bytes", PAUSE_REASON_BYTES_MAX);
    if (reason != NULL)
        *ret = slice_of(reason);
    return json_fields_end(&f);
}

static void note(const struct pause_target *x, bool pause, struct slice reason)
{
    char id[UUID_TEXT_LEN + 1] = "";
    if (x->trigger != NULL)
        uuid_format(x->trigger->id, id);
    const struct pipeline *p = x->trigger != NULL ? x->trigger->pipeline : x->pipeline;
    char text[PAUSE_REASON_BYTES_MAX + 1] = "";
    if (reason.p != NULL)
        memcpy(text, reason.p, reason.len);
    log_info(pause ? "paused" : "resumed", LOG_STR("pipeline", p != NULL ? p->path : "all"),
             LOG_STR("trigger", id), LOG_STR("reason", text));
}

bool pause_change(struct writing *w, const struct pause_target *x, bool pause)
{
    struct engine *e = w->api->host->engine;
    const struct now now = w->api->host->now(w->api->host);
    struct slice reason;
    struct diag why;
    json_t *body;
    const bool ok = take_reason(w->req, &body, &reason, &why) == 0;
    if (!ok)
        http_respond_diag(w->req, &why);
    else if (pause ? engine_pause(e, now, x, reason, &w->ticket)
                   : engine_resume(e, now, x, &w->ticket))
        note(x, pause, reason);
    json_decref(body);
    return ok;
}

/* ---- everything ---- */

static int query_state(struct reading *r, struct db *db)
{
    return query_pause(db, &r->body);
}

static void answer_state(struct api *a, struct http_request *req)
{
    reading_start(reading_make(a, req, sizeof(struct reading), query_state));
}

static void changed(struct writing *w, const struct outcome *o)
{
    answer_state(w->api, w->req);
}

static void change(struct http_request *req, struct api *a, bool pause)
{
    pause_change(writing_make(a, req, sizeof(struct writing), changed), &(struct pause_target){0},
                 pause);
}

static void pause_all(struct http_request *req, void *ctx)
{
    change(req, ctx, true);
}

static void resume_all(struct http_request *req, void *ctx)
{
    change(req, ctx, false);
}

static void get(struct http_request *req, void *ctx)
{
    answer_state(ctx, req);
}

static const struct http_route routes[] = {
    {"GET", "/api/v1/pause", get, SCOPE_API, 0},
    {"POST", "/api/v1/pause", pause_all, SCOPE_API, 0},
    {"POST", "/api/v1/resume", resume_all, SCOPE_API, 0},
};
const struct resource resource_pause = {routes, ARRAY_SIZE(routes)};
