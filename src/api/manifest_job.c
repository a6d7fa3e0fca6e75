#include "api/manifest_job.h"
#include "base/check.h"
#include "core/catalog.h"
#include "core/engine.h"
#include <errno.h>

/* ---- 4. zones are watched: whoever gets the answer can count on it ---- */

static void await_next(struct manifest_job *j);

static void is_watched(struct zone_waiter *w)
{
    await_next(container_of(w, struct manifest_job, waiter));
}

static void await_next(struct manifest_job *j)
{
    while (j->at < j->set.docs.len) {
        const struct manifest_doc *d = j->set.docs.items[j->at++];
        if (d->kind != MANIFEST_ZONE || !manifest_doc_counts(d) ||
            d->result == MANIFEST_UNCHANGED || j->api->host->zones == NULL)
            continue;
        j->waiter = (struct zone_waiter){.zone = d->object, .done = is_watched};
        j->api->host->zones->await(j->api->host->zones, &j->waiter);
        return;
    }
    j->done(j, 0);
}

/* ---- 3. plan, put, commit ---- */

static void committed(struct ticket *t, const struct outcome *o)
{
    struct manifest_job *j = container_of(t, struct manifest_job, ticket);
    j->at = 0;
    if (o->err != 0)
        j->done(j, o->err);
    else
        await_next(j);
}

static void put(struct manifest_job *j)
{
    struct engine *e = j->api->host->engine;
    if (engine_is_full(e) || j->api->journal == NULL) {
        j->done(j, -EAGAIN);
        return;
    }
    manifest_set_plan(&j->set, j->api);
    const bool good = j->set.problem_count == 0 || j->set.keeps_good;
    if (!good || j->dry_run || !manifest_set_changes(&j->set, j->api)) {
        j->done(j, 0);
        return;
    }
    manifest_set_put(&j->set, j->api);
    j->ticket.done = committed;
    engine_confirm(e, &j->ticket);
}

/* ---- 2. directories that are to be zones ---- */

static void probe_next(struct manifest_job *j);

static void probed(struct zone_probe *p)
{
    struct manifest_job *j = container_of(p, struct manifest_job, probe);
    j->set.docs.items[j->at - 1]->probe_err = p->err;
    if (p->err == -ECANCELED)
        j->done(j, -ECANCELED);
    else
        probe_next(j);
}

static const char *new_directory(const struct manifest_job *j, const struct manifest_doc *d)
{
    if (d->kind != MANIFEST_ZONE || !manifest_doc_counts(d) ||
        catalog_zone_at(engine_catalog(j->api->host->engine), slice_of(d->path)) != NULL)
        return NULL;
    const char *path = json_string_value(json_object_get(d->spec, "path"));
    return path != NULL && path[0] == '/' ? path : NULL;
}

static void probe_next(struct manifest_job *j)
{
    while (j->at < j->set.docs.len) {
        const char *directory = new_directory(j, j->set.docs.items[j->at++]);
        if (directory == NULL || j->api->host->zones == NULL)
            continue;
        j->probe = (struct zone_probe){.directory = directory, .done = probed};
        j->api->host->zones->probe(j->api->host->zones, &j->probe);
        return;
    }
    put(j);
}

/* ---- 1. reading ---- */

static void read_work(struct read_job *r, struct db *db)
{
    struct manifest_job *j = container_of(r, struct manifest_job, read);
    j->load(j);
    manifest_set_read(&j->set);
}

static void read_done(struct read_job *r, int err)
{
    struct manifest_job *j = container_of(r, struct manifest_job, read);
    j->at = 0;
    if (err != 0 || j->stop)
        j->done(j, err);
    else
        probe_next(j);
}

int manifest_job_start(struct manifest_job *j)
{
    j->read = (struct read_job){.work = read_work, .done = read_done};
    return j->api->host->read(j->api->host, &j->read);
}
