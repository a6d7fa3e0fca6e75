/* triggers.c - /api/v1/pipelines/{ns}/{layer}/{name}/triggers, for whatever types of trigger there
 * are.
 *
 * A type is asked through its table (pawl/source.h) to check a config, to say what the trigger is
 * found by and what its runs are labelled with. Nothing here knows one type from another.
 */
#include "api/pause.h"
#include "api/resources.h"
#include "api/trigger_def.h"
#include "api/webhook_url.h"
#include "api/work.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "pawl/source.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static const char missing[] = "the pipeline has no such trigger";

/* ---- answering with the object ---- */

struct showing {
    struct reading reading;
    char *webhook_url;       /* in the arena */
    struct slice shown_once; /* JSON object in the arena; absent when there is nothing */
    struct uuid pipeline;    /* of an ArkEvent's: the one that it is asked for with */
    struct trigger_guests guests;
};

static int query_one(struct reading *r, struct db *db)
{
    struct showing *s = container_of(r, struct showing, reading);
    return query_trigger(db, r->id, s->webhook_url, &r->body);
}

static struct showing *show(struct api *a, struct http_request *req, struct uuid id)
{
    struct showing *s = reading_make(a, req, sizeof(*s), query_one);
    s->reading.id = id;
    s->reading.missing = missing;
    s->webhook_url = webhook_url(a, req);
    return s;
}

/* A new trigger is shown with what is shown only once, and without what it cannot have yet. */
static void answer_created(struct reading *r)
{
    struct showing *s = container_of(r, struct showing, reading);
    struct str body = {0};
    json_t *v = json_parse_object(str_slice(&r->body), NULL);
    CHECK(v != NULL);
    json_object_del(v, "last_triggered_at");
    json_object_del(v, "last_run_id");
    json_object_del(v, "paused");
    json_t *once = s->shown_once.p != NULL ? json_parse_object(s->shown_once, NULL) : NULL;
    json_object_update(v, once);
    str_add_json_value(&body, v);
    json_decref(once);
    json_decref(v);
    http_respond_json(r->req, 201, str_slice(&body));
    str_release(&body);
}

struct change {
    struct writing writing;
    struct uuid id;
    struct slice shown_once;
    bool created;
};

static void changed(struct writing *w, const struct outcome *o)
{
    struct change *c = container_of(w, struct change, writing);
    struct showing *s = show(w->api, w->req, c->id);
    s->shown_once = c->shown_once;
    if (c->created)
        s->reading.then = answer_created;
    reading_start(&s->reading);
}

/* ---- bodies ---- */

static const char *const read_only[] = {
    "id",         "name",        "pipeline_id", "last_triggered_at", "last_run_id",
    "created_at", "updated_at",  "webhook_url", "webhook_token",     "paused",
    "paused_at",  "pause_reason"};

static void ignore_read_only(struct json_fields *f)
{
    for (size_t i = 0; i < ARRAY_SIZE(read_only); i++)
        json_ignore(f, read_only[i]);
}

static int take_change(json_t *body, const struct trigger *t, struct trigger_wish *ret,
                       struct diag *reterr)
{
    struct json_fields f;
    struct trigger_wish w = {
        .type = trigger_type_find(t->type),
        .enabled = t->def->enabled,
        .cooldown_s = (int64_t)(t->def->cooldown_ms / 1000),
    };
    CHECK(w.type != NULL);
    json_fields_begin(&f, body, "", reterr);
    const char *type = json_take_string(&f, "type", JSON_OPTIONAL);
    if (type != NULL && strcmp(type, t->type) != 0)
        json_fields_fail(&f, "type", "cannot be changed");
    w.config = json_take_object(&f, "config", JSON_OPTIONAL);
    trigger_take_settings(&f, &w);
    ignore_read_only(&f);
    if (json_fields_end(&f) < 0)
        return -EINVAL;
    *ret = w;
    return 0;
}

/* A value as JSON text in the arena; absent for NULL. */
static struct slice json_text(struct arena *a, const json_t *v)
{
    if (v == NULL)
        return SLICE_NONE;
    struct str text = {0};
    str_add_json_value(&text, v);
    const struct slice ret = arena_copy(a, str_slice(&text));
    str_release(&text);
    return ret;
}

/* ---- create ---- */

static void add(struct api *a, struct http_request *req, struct pipeline *p,
                const struct trigger_wish *w, struct trigger_def *def,
                const struct trigger_draft *d)
{
    char label[TRIGGER_LABEL_SIZE];
    w->type->label(d->config, label);
    struct change *c = writing_make(a, req, sizeof(*c), changed);
    c->created = true;
    c->shown_once = json_text(req->arena, d->shown_once);
    c->id = engine_add_trigger(a->host->engine, a->host->now(a->host), p, w->type->name, def,
                               slice_of(label), &c->writing.ticket)
                ->id;
}

static int create_from(struct api *a, struct http_request *req, struct pipeline *p, json_t *body,
                       struct diag *reterr)
{
    struct trigger_wish w;
    struct trigger_draft d;
    if (trigger_take_new(body, &w, ignore_read_only, reterr) < 0 ||
        w.type->check(a->host, w.config, NULL, &d, reterr) < 0)
        return -EINVAL;
    struct trigger_def *def = trigger_def_of(a, p, &w, d.config, reterr);
    if (def != NULL)
        add(a, req, p, &w, def, &d);
    trigger_draft_release(&d);
    return def != NULL ? 0 : -EINVAL;
}

static void create(struct http_request *req, void *ctx)
{
    struct diag why;
    struct pipeline *p = take_pipeline(ctx, req);
    if (p == NULL)
        return;
    json_t *body = json_parse_object(req->body, &why);
    if (body == NULL || create_from(ctx, req, p, body, &why) < 0)
        http_respond_diag(req, &why);
    json_decref(body);
}

/* ---- update ---- */

/* The draft of an update: a new config is checked like a first one; an old one, also when it was
 * written back, stands as it is, even when what it names is gone. */
static int draft_change(struct api *a, const struct trigger *t, struct trigger_wish *w,
                        struct trigger_draft *ret, struct diag *reterr)
{
    int err = 0;
    json_t *old = json_parse_object(slice_of(t->def->config), reterr);
    if (old == NULL)
        return -EINVAL;
    if (json_equal(w->config, old))
        w->config = NULL;
    if (w->config != NULL)
        err = w->type->check(a->host, w->config, old, ret, reterr);
    else
        *ret = (struct trigger_draft){.config = json_incref(old)};
    json_decref(old);
    return err;
}

static int update_from(struct api *a, struct http_request *req, struct trigger *t, json_t *body,
                       struct diag *reterr)
{
    struct trigger_wish w;
    struct trigger_draft d;
    char label[TRIGGER_LABEL_SIZE];
    if (take_change(body, t, &w, reterr) < 0 || draft_change(a, t, &w, &d, reterr) < 0)
        return -EINVAL;
    struct trigger_def *def = trigger_def_of(a, t->pipeline, &w, d.config, reterr);
    if (def != NULL) {
        w.type->label(d.config, label);
        struct change *c = writing_make(a, req, sizeof(*c), changed);
        c->id = t->id;
        engine_change_trigger(a->host->engine, a->host->now(a->host), t, def, slice_of(label),
                              &c->writing.ticket);
    }
    trigger_draft_release(&d);
    return def != NULL ? 0 : -EINVAL;
}

static bool is_target(const struct trigger *t, const struct pipeline *p)
{
    const struct rule_targets *all = t->def->rule.targets;
    for (size_t i = 0; all != NULL && i < all->count; i++)
        if (strcmp(all->items[i].path, p->path) == 0)
            return true;
    return false;
}

/* The trigger in a path, an ArkEvent's as well; answers 404 when there is none. */
static struct trigger *find_trigger(struct api *a, struct http_request *req,
                                    struct pipeline **ret_pipeline)
{
    struct uuid id;
    struct pipeline *p = take_pipeline(a, req);
    if (p == NULL || !take_path_id(req, 3, missing, &id))
        return NULL;
    *ret_pipeline = p;
    struct trigger *t = catalog_trigger(engine_catalog(a->host->engine), id);
    if (t != NULL && (t->pipeline == p || is_target(t, p)))
        return t;
    http_respond_error(req, DIAG_NOT_FOUND, 0, missing);
    return NULL;
}

/* The same for changing it. */
static struct trigger *take_trigger(struct api *a, struct http_request *req)
{
    struct pipeline *p;
    struct trigger *t = find_trigger(a, req, &p);
    if (t == NULL || t->pipeline != NULL)
        return t;
    http_respond_error(req, DIAG_FAILED_PRECONDITION, 0,
                       "the trigger is an ArkEvent's: it is changed by applying its manifest, and "
                       "deleted as an ArkEvent");
    return NULL;
}

static void update(struct http_request *req, void *ctx)
{
    struct diag why;
    struct trigger *t = take_trigger(ctx, req);
    if (t == NULL)
        return;
    json_t *body = json_parse_object(req->body, &why);
    if (body == NULL || update_from(ctx, req, t, body, &why) < 0)
        http_respond_diag(req, &why);
    json_decref(body);
}

/* ---- delete, get, list ---- */

static void drop(struct http_request *req, void *ctx)
{
    struct api *a = ctx;
    struct trigger *t = take_trigger(a, req);
    if (t == NULL)
        return;
    struct writing *w = dropping_make(a, req);
    engine_drop_trigger(a->host->engine, a->host->now(a->host), t, &w->ticket);
}

static void pause_or_resume(struct http_request *req, struct api *a, bool pause)
{
    struct trigger *t = take_trigger(a, req);
    if (t == NULL)
        return;
    struct change *c = writing_make(a, req, sizeof(*c), changed);
    c->id = t->id;
    pause_change(&c->writing, &(struct pause_target){.trigger = t}, pause);
}

static void pause_one(struct http_request *req, void *ctx)
{
    pause_or_resume(req, ctx, true);
}

static void resume_one(struct http_request *req, void *ctx)
{
    pause_or_resume(req, ctx, false);
}

static int query_guest(struct reading *r, struct db *db)
{
    const struct showing *s = container_of(r, struct showing, reading);
    return query_guest_trigger(db, r->id, s->pipeline, &r->body);
}

static void get(struct http_request *req, void *ctx)
{
    struct pipeline *p;
    const struct trigger *t = find_trigger(ctx, req, &p);
    if (t == NULL)
        return;
    struct showing *s = show(ctx, req, t->id);
    s->pipeline = p->id;
    if (t->pipeline == NULL)
        s->reading.query = query_guest;
    reading_start(&s->reading);
}

static int query_list(struct reading *r, struct db *db)
{
    struct showing *s = container_of(r, struct showing, reading);
    return query_triggers(db, r->id, &r->page, &s->guests, s->webhook_url, &r->body);
}

/* The ArkEvents that have the pipeline among their targets, each once. */
static struct trigger_guests guests_of(struct api *a, struct http_request *req,
                                       const struct pipeline *p)
{
    const struct followed *f = catalog_followed(engine_catalog(a->host->engine), slice_of(p->path));
    const struct rule_target *t;
    struct trigger_guests g = {0};
    size_t count = 0;
    if (f == NULL)
        return g;
    DL_COUNT(f->targeters, t, count);
    struct uuid *ids = arena_alloc(req->arena, count * sizeof(*ids) + 1);
    DL_FOREACH (f->targeters, t)
        if (g.count == 0 || uuid_cmp(ids[g.count - 1], t->trigger->id) != 0)
            ids[g.count++] = t->trigger->id;
    g.ids = ids;
    return g;
}

static void list(struct http_request *req, void *ctx)
{
    struct pipeline *p = take_pipeline(ctx, req);
    if (p == NULL)
        return;
    struct showing *s = show(ctx, req, p->id);
    s->reading.query = query_list;
    s->guests = guests_of(ctx, req, p);
    if (!take_page(req, PAGE_LIMIT_DEFAULT, &s->reading.page))
        return;
    struct slice limit;
    if (!http_query(req, "limit", &limit))
        s->reading.page.limit = 0; /* all of them */
    reading_start(&s->reading);
}

/* ---- why it did what it did ---- */

struct explaining {
    struct reading reading;
    struct wall since;
};

static int query_why(struct reading *r, struct db *db)
{
    struct explaining *x = container_of(r, struct explaining, reading);
    return query_decisions(db, r->id, x->since, &r->page, &r->body);
}

static void explain(struct http_request *req, void *ctx)
{
    struct pipeline *p;
    const struct trigger *t = find_trigger(ctx, req, &p);
    if (t == NULL)
        return;
    struct explaining *x = reading_make(ctx, req, sizeof(*x), query_why);
    x->reading.id = t->id;
    x->since = uuid_time(t->id);
    if (take_page(req, PAGE_LIMIT_DEFAULT, &x->reading.page))
        reading_start(&x->reading);
}

#define ALL "/api/v1/pipelines/{ns}/{layer}/{name}/triggers"
#define ONE ALL "/{id}"
static const struct http_route routes[] = {
    {"GET", ALL, list, SCOPE_API, 0},
    {"POST", ALL, create, SCOPE_API, 0},
    {"GET", ONE, get, SCOPE_API, 0},
    {"PUT", ONE, update, SCOPE_API, 0},
    {"DELETE", ONE, drop, SCOPE_API, 0},
    {"GET", ONE "/decisions", explain, SCOPE_API, 0},
    {"POST", ONE "/pause", pause_one, SCOPE_API, 0},
    {"POST", ONE "/resume", resume_one, SCOPE_API, 0},
};
const struct resource resource_triggers = {routes, ARRAY_SIZE(routes)};
