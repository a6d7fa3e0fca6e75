/* work.h - the two ways a request is answered later: after a query, or after a commit.
 *
 * Both structs live in the request's arena; a handler embeds them in its own when it needs more.
 *
 *     struct reading *r = reading_make(a, req, sizeof(*r), query);   query() runs on a reader thread
 *     r->missing = "no such run";                                    and appends JSON to r->body
 *     reading_start(r);                          answers r->status with r->body, or the error
 *
 *     struct writing *w = writing_make(a, req, sizeof(*w), then);    then() runs after the commit
 *     engine_drop_pipeline(e, now, p, &w->ticket);                   and answers
 */
#ifndef API_WORK_H
#define API_WORK_H
#include "api/api.h"
#include "base/json.h"
#include "base/str.h"
#include "io/loop/timers.h"
#include "io/store/query.h"
#include "pawl/event.h"

struct reading {
    struct api *api;
    struct http_request *req;
    int (*query)(struct reading *r, struct db *db); /* on a reader thread; 0 or a negative errno */
    /* On the loop, after success: answers instead of us, leaves body alone. */
    void (*then)(struct reading *r);
    /* On the loop, before any answer; r->err is set. May be NULL. */
    void (*settled)(struct reading *r);
    int status;          /* of success; 200 */
    const char *missing; /* what -ENOENT says */
    struct str body;     /* released by us */
    struct uuid id;      /* the handler's */
    struct page page;    /* the handler's */
    int err;
    struct read_job job;
    struct timer again;
};

/* A zeroed object of `size` bytes that begins with a struct reading. */
void *reading_make(struct api *a, struct http_request *req, size_t size,
                   int (*query)(struct reading *, struct db *));
void reading_start(struct reading *r);

struct writing {
    struct ticket ticket;
    struct api *api;
    struct http_request *req;
    void (*then)(struct writing *w, const struct outcome *o); /* after the commit; must answer */
};

void *writing_make(struct api *a, struct http_request *req, size_t size,
                   void (*then)(struct writing *, const struct outcome *));

/* One that answers 204. */
struct writing *dropping_make(struct api *a, struct http_request *req);

/* ---- taking things out of requests; each answers the request itself when it returns false ---- */

/* `limit` (1 or more; beyond PAGE_LIMIT_MAX it is PAGE_LIMIT_MAX), `offset` and `cursor`. */
bool take_page(struct http_request *req, unsigned limit_default, struct page *ret);

/* A query parameter that is a UUID or an RFC 3339 time; *ret is untouched when it is absent. */
bool take_uuid(struct http_request *req, const char *name, struct uuid *ret);
bool take_time(struct http_request *req, const char *name, struct wall *ret);

/* The id in a path; what is not a UUID names nothing: 404 with `missing`. */
bool take_path_id(struct http_request *req, unsigned param, const char *missing, struct uuid *ret);

/* The pipeline in a path's first three parameters: 404 when there is none. */
struct pipeline *take_pipeline(struct api *a, struct http_request *req);

/* The landing zone in a path's first two parameters: 404 when there is none. */
struct zone *take_zone(struct api *a, struct http_request *req);

/* The pipeline in a path's parameter: its given id, its UUID, or namespace.layer.name. 404 when there is none. */
struct pipeline *take_pipeline_id(struct api *a, struct http_request *req, unsigned param);

/* `force`: whether something goes although others depend on it. */
bool take_force(struct http_request *req, bool *ret);

void respond_unavailable(struct http_request *req);

/* 409: what is to be deleted is kept for a trigger, which "follows this pipeline", or so. */
void respond_in_use(struct http_request *req, const struct trigger *by, const char *what);

/* Answers an update: hands the body to `change`, which answers later, or has refused it with *reterr. */
void respond_change(struct http_request *req, struct api *a, void *object,
                    int (*change)(struct api *a, struct http_request *req, void *object,
                                  json_t *body, struct diag *reterr));

#endif
