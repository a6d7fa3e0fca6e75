/* health.c - /health and /health/live: the process answers. /health/ready: it can also accept
 * events.
 *
 * It is not ready while it stops, and for a while after a commit failed. Not until the next good
 * commit: whoever asks sends the work elsewhere when we are not ready, so there would be none.
 */
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "io/store/db.h"
#include "io/store/journal.h"
#include <utlist.h>

#define TROUBLES_SHOWN_MAX 100
#define UNREADY_MS 10000

#define LIVE "{\"status\":\"ok\",\"version\":\"" PAWL_VERSION "\""

static void live(struct http_request *req, void *ctx)
{
    const struct api *a = ctx;
    if (engine_is_paused(a->host->engine))
        http_respond_json(req, 200, SLICE(LIVE ",\"paused\":true}"));
    else
        http_respond_json(req, 200, SLICE(LIVE "}"));
}

/* NULL when the journal works, as far as we know. */
static const char *journal_trouble(struct api *a)
{
    if (a->journal == NULL)
        return "closed";
    const struct journal_stats s = journal_stats(a->journal);
    const struct mono now = a->host->now(a->host).mono;
    if (s.failures != a->failures_seen) {
        a->failures_seen = s.failures;
        a->failed_at = now;
    }
    if (s.last_err == 0 || now.ms - a->failed_at.ms >= UNREADY_MS)
        return NULL;
    return db_strerror(s.last_err);
}

/* Zones that cannot be watched do not keep it from accepting events; they are named. */
static void answer_ready(const struct api *a, struct http_request *req)
{
    const struct zone_trouble *t, *all = a->host->zones != NULL ? a->host->zones->troubles : NULL;
    struct str body = {0};
    unsigned n = 0;
    str_add_cstr(&body, "{\"status\":\"ready\",\"journal\":\"ok\"");
    DL_FOREACH (all, t) {
        if (t->error == NULL || n == TROUBLES_SHOWN_MAX)
            continue;
        str_add_cstr(&body, n++ == 0 ? ",\"landing_zones\":{" : ",");
        str_add_json(&body, slice_of(t->path));
        str_add_char(&body, ':');
        str_add_json(&body, slice_of(t->error));
    }
    str_add_cstr(&body, n > 0 ? "}}" : "}");
    http_respond_json(req, 200, str_slice(&body));
    str_release(&body);
}

static void ready(struct http_request *req, void *ctx)
{
    struct api *a = ctx;
    const char *trouble = a->stopping ? "stopping" : journal_trouble(a);
    if (trouble == NULL) {
        answer_ready(a, req);
        return;
    }
    struct str body = {0};
    str_add_cstr(&body, "{\"status\":\"not ready\",\"journal\":");
    str_add_json(&body, slice_of(trouble));
    str_add_char(&body, '}');
    http_respond_json(req, 503, str_slice(&body));
    str_release(&body);
}

static const struct http_route routes[] = {
    {"GET", "/health", live, SCOPE_PUBLIC, 0},
    {"GET", "/health/live", live, SCOPE_PUBLIC, 0},
    {"GET", "/health/ready", ready, SCOPE_PUBLIC, 0},
};
const struct resource resource_health = {routes, ARRAY_SIZE(routes)};
