/* zone.c - landing zones: files that arrive in directories, or over HTTP.
 *
 * The catalog says which zones there are; here each of them has a site that is watched. zone_site.h says who does what.
 */
#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/slug.h"
#include "core/engine.h"
#include "core/glob.h"
#include "core/rule.h"
#include "io/http/http.h"
#include "pawl/source.h"
#include "source/config.h"
#include "source/zone_http.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#define UPLOAD_THREADS 4
#define JOBS_WAITING_MAX 1000000 /* a site has one at a time */

/* ---- trigger types ---- */

static void take_zone(struct json_fields *f, const char **ns, const char **name)
{
    *ns = json_take_string(f, "namespace", JSON_REQUIRED);
    if (*ns != NULL && !slug_valid(slice_of(*ns)))
        json_fields_fail(f, "namespace", SLUG_RULE);
    *name = json_take_string(f, "zone_name", JSON_REQUIRED);
    if (*name != NULL && !slug_valid(slice_of(*name)))
        json_fields_fail(f, "zone_name", SLUG_RULE);
}

static int check_exists(struct host *h, const char *ns, const char *name, struct diag *reterr)
{
    char path[2 * SLUG_LEN_MAX + 2];
    snprintf(path, sizeof(path), "%s.%s", ns, name);
    if (h->zone_exists(h, slice_of(path)))
        return 0;
    return diag_set(reterr, DIAG_NOT_FOUND,
                    "config.zone_name: there is no landing zone %s in namespace %s", name, ns);
}

static int check(struct host *h, json_t *config, struct trigger_draft *ret, bool with_pattern,
                 struct diag *reterr)
{
    struct json_fields f;
    const char *ns, *name;
    json_fields_begin(&f, config, "config", reterr);
    take_zone(&f, &ns, &name);
    const char *pattern = with_pattern ? json_take_string(&f, "pattern", JSON_REQUIRED) : NULL;
    if (pattern != NULL)
        glob_check(&f, "pattern", pattern);
    config_take_trailing(&f);
    if (json_fields_end(&f) < 0 || check_exists(h, ns, name, reterr) < 0)
        return -EINVAL;
    config_keep(config, ret);
    return 0;
}

static int check_upload(struct host *h, json_t *config, json_t *old, struct trigger_draft *ret,
                        struct diag *reterr)
{
    return check(h, config, ret, false, reterr);
}

static int check_pattern(struct host *h, json_t *config, json_t *old, struct trigger_draft *ret,
                         struct diag *reterr)
{
    return check(h, config, ret, true, reterr);
}

static const char *text_of(json_t *config, const char *name)
{
    const char *v = json_string_value(json_object_get(config, name));
    return v != NULL ? v : "";
}

static int rule(json_t *config, struct rule *ret, struct diag *reterr)
{
    const char *pattern = json_string_value(json_object_get(config, "pattern"));
    char *scope = mem_printf("%s.%s", text_of(config, "namespace"), text_of(config, "zone_name"));
    *ret = (struct rule){
        .scope = scope,
        .glob = mem_strdup(pattern),
        .lists_files = true,
        .trailing = strcmp(text_of(config, "cooldown_mode"), "trailing") == 0,
    };
    rule_set_key(ret, zone_match_key(slice_of(scope)));
    return 0;
}

static void label_upload(json_t *config, char ret[TRIGGER_LABEL_SIZE])
{
    snprintf(ret, TRIGGER_LABEL_SIZE, "trigger:landing_zone_upload:%s.%s",
             text_of(config, "namespace"), text_of(config, "zone_name"));
}

static void label_pattern(json_t *config, char ret[TRIGGER_LABEL_SIZE])
{
    struct str text = {0};
    str_printf(&text, "trigger:file_pattern:%s", text_of(config, "pattern"));
    if (text.len >= TRIGGER_LABEL_SIZE) /* cut between characters */
        for (text.len = TRIGGER_LABEL_SIZE - 1; (text.p[text.len] & 0xc0) == 0x80;)
            text.len--;
    memcpy(ret, text.p, text.len);
    ret[text.len] = '\0';
    str_release(&text);
}

#define ZONE_OPTIONS                                                                               \
    {"namespace", "string", true, "namespace of the landing zone"},                                \
    {                                                                                              \
        "zone_name", "string", true, "name of the landing zone"                                    \
    }
static const struct option_doc upload_options[] = {ZONE_OPTIONS, OPTION_COOLDOWN_MODE, {NULL}};
static const struct option_doc pattern_options[] = {
    ZONE_OPTIONS,
    {"pattern", "string", true,
     "glob that the file's name has to match; with a slash, its path below the zone"},
    OPTION_COOLDOWN_MODE,
    {NULL},
};

static const struct trigger_type trigger_types[] = {
    {
        .name = "landing_zone_upload",
        .help = "fires when a file arrives in a landing zone",
        .options = upload_options,
        .check = check_upload,
        .rule = rule,
        .label = label_upload,
    },
    {
        .name = "file_pattern",
        .help = "fires when a file whose name matches arrives in a landing zone",
        .options = pattern_options,
        .check = check_pattern,
        .rule = rule,
        .label = label_pattern,
    },
    {NULL},
};

/* ---- the catalog's zones and our sites ---- */

struct site *zones_find(struct zones *all, int64_t key)
{
    struct site *s;
    HASH_FIND(hh, all->sites, &key, sizeof(key), s);
    return s;
}

/* Its directory goes after it, if it is one of ours. It is moved away first, so that a zone of the same name finds none. */
struct removal {
    struct worker_job job;
    struct zones *all;
    char *directory, *trash, *grave;
};

static void removal_work(struct worker_job *j, void *thread_state)
{
    struct removal *r = container_of(j, struct removal, job);
    zone_fs_make(r->trash);
    zone_fs_remove(rename(r->directory, r->grave) == 0 ? r->grave : r->directory);
}

static void removal_done(struct worker_job *j, bool cancelled)
{
    struct removal *r = container_of(j, struct removal, job);
    struct zones *all = r->all;
    free(r->directory);
    free(r->trash);
    free(r->grave);
    free(r);
    zones_part_closed(all);
}

static void remove_directory(struct zones *all, const struct site *s)
{
    char id[UUID_TEXT_LEN + 1];
    struct removal *r = mem_zalloc(sizeof(*r));
    uuid_format(s->id, id);
    *r = (struct removal){
        .job = {.work = removal_work, .done = removal_done},
        .all = all,
        .directory = mem_strdup(s->directory),
        .trash = mem_printf("%s/zones/.trash", all->host->data),
        .grave = mem_printf("%s/zones/.trash/%s", all->host->data, id),
    };
    all->open++;
    if (worker_post(all->worker, &r->job) < 0)
        removal_done(&r->job, true);
}

static void drop_gone(struct zones *all)
{
    const struct catalog *c = engine_catalog(all->host->engine);
    struct site *s, *tmp;
    HASH_ITER (hh, all->sites, s, tmp) {
        if (catalog_zone(c, s->id) != NULL)
            continue;
        if (s->made_by_us)
            remove_directory(all, s);
        site_drop(s);
    }
}

static void adopt(struct zones *all, const struct zone *z)
{
    struct site *s = zones_find(all, z->key);
    if (s == NULL)
        site_step(site_create(all, z));
    else if (s->def != z->def)
        site_redefine(s, z);
}

static void changed(struct zone_watcher *w)
{
    struct zones *all = container_of(w, struct zones, offer);
    if (all->stopping)
        return;
    drop_gone(all);
    const struct catalog *c = engine_catalog(all->host->engine);
    for (const struct zone *z = c->zones_by_id; z != NULL; z = z->by_id.next)
        adopt(all, z);
}

/* ---- those who wait ---- */

static void await(struct zone_watcher *w, struct zone_waiter *x)
{
    struct zones *all = container_of(w, struct zones, offer);
    DL_APPEND(all->waiters, x);
    for (struct site *s = all->sites; s != NULL; s = s->hh.next)
        if (uuid_cmp(s->id, x->zone) == 0 && !s->tried)
            return;
    DL_DELETE(all->waiters, x);
    x->done(x);
}

void zones_tried(struct site *s)
{
    struct zone_waiter *x, *tmp;
    s->tried = true;
    DL_FOREACH_SAFE (s->all->waiters, x, tmp) {
        if (uuid_cmp(x->zone, s->id) != 0)
            continue;
        DL_DELETE(s->all->waiters, x);
        x->done(x);
    }
}

/* ---- questions ---- */

struct question {
    struct worker_job job;
    struct zones *all;
    struct zone_probe *probe;
    int err;
};

static void question_work(struct worker_job *j, void *thread_state)
{
    struct question *q = container_of(j, struct question, job);
    const int fd = zone_fs_root(&(struct zone_root){.directory = q->probe->directory});
    q->err = fd < 0 && fd != -ENOENT ? fd : 0;
    if (fd >= 0)
        close(fd);
}

static void question_done(struct worker_job *j, bool cancelled)
{
    struct question *q = container_of(j, struct question, job);
    struct zones *all = q->all;
    q->probe->err = cancelled ? -ECANCELED : q->err;
    q->probe->done(q->probe);
    free(q);
    zones_part_closed(all);
}

static void probe(struct zone_watcher *w, struct zone_probe *p)
{
    struct question *q = mem_zalloc(sizeof(*q));
    *q = (struct question){
        .job = {.work = question_work, .done = question_done},
        .all = container_of(w, struct zones, offer),
        .probe = p,
    };
    q->all->open++;
    CHECK(worker_post(q->all->worker, &q->job) == 0); /* it takes more than there may be requests */
}

/* ---- the source ---- */

static struct source *start(struct host *h, struct http_server *http, struct diag *reterr)
{
    struct zones *all = mem_zalloc(sizeof(*all));
    const struct worker_options opt = {
        .name = "zones", .threads = ZONE_WORKER_THREADS, .waiting_max = JOBS_WAITING_MAX};
    const struct worker_options uploads = {
        .name = "uploads", .threads = UPLOAD_THREADS, .waiting_max = JOBS_WAITING_MAX};
    signal(SIGIO, SIG_IGN); /* a lease that somebody breaks: zone_fs.c */
    all->host = h;
    all->offer.changed = changed;
    all->offer.await = await;
    all->offer.probe = probe;
    all->inotify_fd = -EMFILE; /* none yet */
    all->worker = worker_create(h->loop, &opt);
    all->upload_worker = worker_create(h->loop, &uploads);
    all->open = 2;
    http_server_route(http, zone_file_routes, zone_file_route_count, all);
    h->zones = &all->offer;
    mounts_open(all);
    changed(&all->offer);
    return (struct source *)all;
}

static void worker_closed(void *arg)
{
    zones_part_closed(arg);
}

/* Sites and uploads are gone when the workers are told to end; what they wait for comes through the loop. */
void zones_part_closed(void *arg)
{
    struct zones *all = arg;
    CHECK(all->open > 0);
    all->open--;
    if (!all->stopping)
        return;
    if (all->open == 2 && !all->ending) {
        all->ending = true;
        worker_close(all->worker, worker_closed, all);
        worker_close(all->upload_worker, worker_closed, all);
    } else if (all->open == 0) {
        void (*closed)(void *) = all->closed;
        void *closed_arg = all->arg;
        CHECK(all->sites == NULL && all->watches == NULL && all->waiters == NULL);
        free(all);
        closed(closed_arg);
    }
}

static void stop(struct source *source, void (*closed)(void *arg), void *arg)
{
    struct zones *all = (struct zones *)source;
    struct site *s, *tmp;
    all->stopping = true;
    all->closed = closed;
    all->arg = arg;
    all->host->zones = NULL;
    all->open++; /* ours, meanwhile */
    zone_uploads_stop(all);
    HASH_ITER (hh, all->sites, s, tmp)
        site_drop(s);
    watch_close(all);
    mounts_close(all);
    zones_part_closed(all);
}

const struct source_type source_zone = {
    .name = "zone",
    .help = "files that arrive in landing zones",
    .trigger_types = trigger_types,
    .start = start,
    .stop = stop,
};
