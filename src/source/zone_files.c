/* zone_files.c - DELETE .../files/{id}: the file goes from the directory, then from the ledger. */
#include "base/check.h"
#include "base/mem.h"
#include "core/engine.h"
#include "source/zone_http.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One of them, in the request's arena but for `path`. */
struct removal {
    struct site *site; /* held */
    struct http_request *req;
    struct uuid id;
    struct read_job read;
    struct worker_job job;
    struct ticket ticket;
    struct str path; /* below the zone */
    int err;
};

struct site *zone_http_site(struct zones *all, struct http_request *req, struct diag *why)
{
    struct str path = {0};
    str_add_slice(&path, req->params[0]);
    str_add_char(&path, '.');
    str_add_slice(&path, req->params[1]);
    const struct zone *z = catalog_zone_at(engine_catalog(all->host->engine), str_slice(&path));
    struct site *s = z != NULL ? zones_find(all, z->key) : NULL;
    str_release(&path);
    if (z == NULL)
        diag_set(why, DIAG_NOT_FOUND, "there is no such landing zone");
    else if (s == NULL || all->stopping)
        diag_set(why, DIAG_UNAVAILABLE, "the landing zone is not ready, try again");
    return all->stopping ? NULL : s;
}

static void answer(struct removal *r, enum diag_code code, const char *message)
{
    struct site *s = r->site;
    str_release(&r->path);
    if (message == NULL)
        http_respond(r->req, 204, NULL, SLICE_NONE);
    else
        http_respond_error(r->req, code, 0, message);
    site_release(s);
}

static void recorded(struct ticket *t, const struct outcome *o)
{
    struct removal *r = container_of(t, struct removal, ticket);
    answer(r, DIAG_UNAVAILABLE,
           o->err == 0 ? NULL : "the file is gone, but that could not be stored; try again");
}

static void unlink_work(struct worker_job *j, void *thread_state)
{
    struct removal *r = container_of(j, struct removal, job);
    char *slash = strrchr(r->path.p, '/');
    const int root = zone_fs_root(&(struct zone_root){.directory = r->site->directory});
    if (slash != NULL)
        *slash = '\0';
    const int parent = root < 0 ? root : zone_fs_open_dir(root, slash != NULL ? r->path.p : "");
    if (slash != NULL)
        *slash = '/';
    r->err = parent < 0                                                       ? parent
             : unlinkat(parent, slash != NULL ? slash + 1 : r->path.p, 0) < 0 ? -errno
                                                                              : 0;
    if (parent >= 0)
        close(parent);
    if (root >= 0)
        close(root);
}

static void unlinked(struct worker_job *j, bool cancelled)
{
    struct removal *r = container_of(j, struct removal, job);
    struct host *h = r->site->all->host;
    char message[128] = "the file cannot be deleted: ";
    r->ticket.done = recorded;
    if (cancelled || (r->err != 0 && r->err != -ENOENT && r->err != -ENOTDIR)) {
        strncat(message, strerror(-r->err), sizeof(message) - strlen(message) - 1);
        answer(r, DIAG_UNAVAILABLE, message);
    } else if (engine_drop_file(h->engine, h->now(h), r->site->key, str_slice(&r->path),
                                &r->ticket) < 0) {
        answer(r, DIAG_UNAVAILABLE, "the store does not keep up, try again");
    }
}

static void find_work(struct read_job *j, struct db *db)
{
    struct removal *r = container_of(j, struct removal, read);
    r->err = query_file_path(db, r->site->key, r->id, &r->path);
}

static void found(struct read_job *j, int err)
{
    struct removal *r = container_of(j, struct removal, read);
    if (err == 0)
        err = r->err;
    r->job = (struct worker_job){.work = unlink_work, .done = unlinked};
    if (err == -ENOENT)
        answer(r, DIAG_NOT_FOUND, "the landing zone has no such file");
    else if (err != 0 || worker_post(r->site->all->upload_worker, &r->job) < 0)
        answer(r, DIAG_UNAVAILABLE, "the store cannot be read now, try again");
}

static void delete (struct http_request *req, void *ctx)
{
    struct zones *all = ctx;
    struct diag why;
    struct removal *r = arena_zalloc(req->arena, sizeof(*r));
    struct site *s = zone_http_site(all, req, &why);
    if (s == NULL) {
        http_respond_diag(req, &why);
        return;
    }
    if (!uuid_parse(req->params[2], &r->id)) {
        http_respond_error(req, DIAG_NOT_FOUND, 0, "the landing zone has no such file");
        return;
    }
    r->site = s;
    r->req = req;
    r->read = (struct read_job){.work = find_work, .done = found};
    site_hold(s);
    const int err = all->host->read(all->host, &r->read);
    if (err < 0)
        found(&r->read, err);
}

const struct http_route zone_file_routes[] = {
    {"POST", ZONE_FILES_ROUTE, zone_upload_complete, SCOPE_API, 0, &zone_upload_sink},
    {"DELETE", ZONE_FILES_ROUTE "/{id}", delete, SCOPE_API, 0, NULL},
};
const size_t zone_file_route_count = ARRAY_SIZE(zone_file_routes);
