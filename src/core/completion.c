/* completion.c - the completion bus: a run that has ended is an event for the triggers that follow its pipeline.
 *
 * It is evaluated in the batch that holds the run's end, so a chain never loses a link. Nobody follows most pipelines; then no
 * event is recorded.
 */
#include "core/engine_internal.h"
#include "core/output_doc.h"
#include <utlist.h>

struct match_key completion_key(struct slice path)
{
    return match_key_of('p', path);
}

/* For those who need it, on disk as well. */
static void keep_success(struct engine *e, struct followed *f, struct wall at)
{
    struct undo *u = undo_add(e, UNDO_SUCCESS);
    u->followed = f;
    u->last_success = f->last_success;
    f->refs++;
    f->last_success = at;
    emit(e, EFFECT_SUCCESS)->success =
        (struct effect_success){.path = keep(e, slice_of(f->path)), .at = at};
}

/* Nobody needs most pipelines. Of those it is in memory only: a trigger may be changed to need them, and a start finds it in their
 * runs. */
static void note_success(struct engine *e, struct now now, struct pipeline *p)
{
    struct followed *f = catalog_followed(&e->catalog, slice_of(p->path));
    struct undo *u = undo_add(e, UNDO_SUCCEEDED);
    u->pipeline = p;
    u->last_success = p->last_success;
    p->last_success =
        now.wall.ms > e->counted_from.ms ? now.wall : (struct wall){e->counted_from.ms + 1};
    if (f != NULL && f->needers > 0)
        keep_success(e, f, p->last_success);
}

void completion_need(struct engine *e, const struct trigger *t)
{
    const struct rule *r = &t->def->rule;
    for (size_t i = 0; r->needs_upstreams && i < r->upstream_count; i++) {
        struct followed *f = r->upstreams[i].followed;
        const struct pipeline *p = catalog_pipeline_at(&e->catalog, slice_of(f->path));
        if (p != NULL && p->last_success.ms > 0 && p->last_success.ms > f->last_success.ms)
            keep_success(e, f, p->last_success);
    }
}

void completion_undo_success(struct engine *e, struct now now, struct undo *u)
{
    u->followed->last_success = u->last_success;
    followed_unref(u->followed);
}

void completion_undo_succeeded(struct engine *e, struct now now, struct undo *u)
{
    u->pipeline->last_success = u->last_success;
}

void completion_done_success(struct undo *u)
{
    followed_unref(u->followed);
}

/* A trigger that needs successes compares their times with that of its last firing, or its creation. Clocks stand still for a
 * millisecond and may be set back, so the times are made to tell the order: a success is recorded as later than everything it
 * could be compared with, and a firing or a creation as no earlier than the successes before it. */
void completion_count_from(struct engine *e, const struct trigger *t, struct wall at)
{
    if (t->def->rule.needs_upstreams && at.ms > e->counted_from.ms)
        e->counted_from = at;
}

struct wall completion_since(struct engine *e, const struct trigger *t, struct wall now)
{
    const struct rule *r = &t->def->rule;
    for (size_t i = 0; r->needs_upstreams && i < r->upstream_count; i++)
        if (r->upstreams[i].followed->last_success.ms > now.ms)
            now = r->upstreams[i].followed->last_success;
    completion_count_from(e, t, now);
    return now;
}

static bool anybody_cares(const struct engine *e, const struct event *ev)
{
    const struct match_bucket *m = catalog_match(&e->catalog, &ev->key);
    const struct trigger *t;
    if (m != NULL)
        DL_FOREACH2 (m->triggers, t, match_next)
            if (rule_matches(&t->def->rule, ev))
                return true;
    return false;
}

/* {"run_id","pipeline","status","output"|"error"} */
static void describe(const struct run *run, const struct run_result *r, struct str *ret)
{
    str_add_cstr(ret, "{\"run_id\":\"");
    str_add_uuid(ret, run->id);
    str_printf(ret, "\",\"pipeline\":\"%s\",\"status\":\"%s\"", run->pipeline->path,
               run_status_name(r->status));
    if (r->status == RUN_SUCCESS || r->output.len > 0) {
        str_add_char(ret, ',');
        output_doc_add(ret, r->output);
    }
    if (r->error.p != NULL) {
        str_add_cstr(ret, ",\"error\":");
        str_add_json(ret, r->error);
    }
    str_add_char(ret, '}');
}

void completion_feed(struct engine *e, struct now now, const struct run *run,
                     const struct run_result *r)
{
    static const struct slice types[] = {[RUN_SUCCESS] = {"run.success", 11},
                                         [RUN_FAILED] = {"run.failed", 10},
                                         [RUN_CANCELLED] = {"run.cancelled", 13}};
    const struct slice path = slice_of(run->pipeline->path);
    if (r->status == RUN_SUCCESS)
        note_success(e, now, run->pipeline);
    struct event ev = {
        .source = "completion",
        .type = types[r->status],
        .subject = path,
        .content_type = SLICE("application/json"),
        .key = completion_key(path),
        .scope = path,
        .end = 1u << r->status,
        .lineage = {.root = uuid_is_nil(run->root) ? run->event : run->root,
                    .parent = run->id,
                    .depth = run->depth + 1},
    };
    if (!anybody_cares(e, &ev))
        return;
    struct str text = {0};
    describe(run, r, &text);
    ev.payload = str_slice(&text);
    feed_event(e, now, &ev);
    str_release(&text);
}
