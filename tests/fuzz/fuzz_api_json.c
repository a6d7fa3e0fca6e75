/* Bodies of API requests: the first byte says which request, the rest is its body. Whatever it is, the handler answers exactly once, with
 * a success that the engine has recorded or with a clean error; and what it made can be loaded again. */
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/json.h"
#include "core/pipeline_spec.h"
#include "io/secret/secret.h"
#include "pawl/source.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the HTTP server, as far as handlers see it ---- */

struct exchange {
    struct http_request req;
    struct arena arena;
    unsigned answers;
    int status;
};

static struct exchange *exchange_of(struct http_request *req)
{
    return container_of(req, struct exchange, req);
}

struct slice http_header(const struct http_request *req, const char *name)
{
    return strcmp(name, "host") == 0 ? SLICE("localhost:8080") : SLICE_NONE;
}

bool http_query(struct http_request *req, const char *name, struct slice *ret)
{
    return false;
}

void http_respond(struct http_request *req, int status, const char *content_type, struct slice body)
{
    struct exchange *x = exchange_of(req);
    x->answers++;
    x->status = status;
}

void http_respond_json(struct http_request *req, int status, struct slice body)
{
    json_t *v = json_parse(body, NULL);
    CHECK(v != NULL);
    json_decref(v);
    http_respond(req, status, "application/json", body);
}

void http_respond_error(struct http_request *req, enum diag_code code, unsigned retry_after_s,
                        const char *message)
{
    CHECK(message[0] != '\0' && utf8_valid(slice_of(message)) &&
          strpbrk(message, "\n\r\x1b") == NULL);
    http_respond(req, diag_code_status(code), NULL, SLICE_NONE);
}

void http_respond_diag(struct http_request *req, const struct diag *d)
{
    http_respond_error(req, d->code, 0, d->msg);
}

void http_server_route(struct http_server *s, const struct http_route *routes, size_t n, void *ctx)
{
}

void http_on_gone(struct http_request *req, void (*gone)(struct http_request *req))
{
    /* Nobody leaves. */
}

void http_body_forget(struct http_request *req)
{
}

void http_body_resume(struct http_request *req)
{
}

void http_body_refuse(struct http_request *req, const struct diag *why)
{
}

/* Nothing here asks for a stream. */

void http_response_header(struct http_request *req, const char *name, const char *value)
{
}

bool http_stream_begin(struct http_request *req, int status, const char *content_type,
                       const struct http_stream_ops *ops)
{
    CHECK(!"a stream");
    return false;
}

bool http_stream_write(struct http_request *req, struct http_piece *p)
{
    return true;
}

bool http_stream_has_room(struct http_request *req)
{
    return true;
}

size_t http_stream_queued(const struct http_request *req)
{
    return 0;
}

void http_stream_end(struct http_request *req)
{
}

struct http_piece *http_piece_make(struct slice bytes)
{
    return NULL;
}

void http_piece_release(struct http_piece *p)
{
}

struct slice http_piece_bytes(const struct http_piece *p)
{
    return SLICE("");
}

struct http_stats http_server_stats(const struct http_server *s)
{
    return (struct http_stats){0};
}

/* ---- the host ---- */

static const struct now now = {{1000}, {1767225600000}};

static struct now host_now(struct host *h)
{
    return now;
}

static int host_feed(struct host *h, const struct event *ev)
{
    return engine_feed(h->engine, now, ev);
}

static bool host_pipeline_exists(struct host *h, struct slice path)
{
    return catalog_pipeline_at(engine_catalog(h->engine), path) != NULL;
}

static bool host_zone_exists(struct host *h, struct slice path)
{
    return catalog_zone_at(engine_catalog(h->engine), path) != NULL;
}

/* There is no store: what is answered after a query is answered with 503. */
static int host_read(struct host *h, struct read_job *j)
{
    return -ECANCELED;
}

/* ---- one request ---- */

static const struct http_route *route_find(const struct resource *r, const char *method,
                                           const char *pattern)
{
    for (size_t i = 0; i < r->count; i++) {
        if (strcmp(r->routes[i].method, method) == 0 && strcmp(r->routes[i].pattern, pattern) == 0)
            return &r->routes[i];
    }
    return NULL;
}

#define PIPELINES "/api/v1/pipelines"
#define PIPELINE PIPELINES "/{ns}/{layer}/{name}"
static const struct {
    const struct resource *resource;
    const char *method, *pattern;
} requests[] = {
    {&resource_pipelines, "POST", PIPELINES},
    {&resource_pipelines, "PUT", PIPELINE},
    {&resource_triggers, "POST", PIPELINE "/triggers"},
    {&resource_triggers, "PUT", PIPELINE "/triggers/{id}"},
    {&resource_runs, "POST", "/api/v1/runs"},
    {&resource_zones, "POST", "/api/v1/landing-zones"},
    {&resource_zones, "PUT", "/api/v1/landing-zones/{ns}/{name}"},
};

/* Commits what the request made: the tickets are redeemed, the definitions load again. Returns the number of records. */
static size_t commit(struct engine *e)
{
    struct batch *b = engine_take(e);
    if (b == NULL)
        return 0;
    engine_settle(e, now, b, 0);
    for (struct effect *f = b->first; f != NULL; f = f->next) {
        struct pipeline_def def;
        if (f->type == EFFECT_PUT_PIPELINE)
            CHECK(pipeline_spec_parse(f->put_pipeline.spec, &def, NULL, NULL) == 0);
        if (f->type == EFFECT_REPLY)
            f->reply.ticket->done(f->reply.ticket, &f->reply.outcome);
    }
    const size_t records = b->record_count;
    batch_reset(b);
    engine_recycle(e, b);
    return records;
}

static size_t call(struct api *a, size_t which, struct slice body, const struct trigger *t,
                   int *ret_status)
{
    char id[UUID_TEXT_LEN + 1] = "";
    if (t != NULL)
        uuid_format(t->id, id);
    struct exchange x = {
        .req = {
            .method = requests[which].method,
            .body = body,
            .params = {SLICE("default"), SLICE("bronze"), SLICE("orders"), {id, UUID_TEXT_LEN}},
            .route = route_find(requests[which].resource, requests[which].method,
                                requests[which].pattern),
            .ctx = a,
        }};
    CHECK(x.req.route != NULL);
    x.req.arena = &x.arena;
    x.req.route->handler(&x.req, a);
    CHECK(x.answers <= 1);
    const size_t records = commit(a->host->engine);
    CHECK(x.answers == 1);
    *ret_status = x.status;
    arena_release(&x.arena);
    return records;
}

static struct engine *make_engine(void)
{
    static const struct engine_options opt = {.running_max = 4, .batch_bytes_max = 1 << 24};
    return engine_create(&opt, now, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slice pipeline =
        SLICE("{\"namespace\":\"default\",\"layer\":\"bronze\",\"name\":\"orders\",\"executor\":{"
              "\"type\":\"pull\"}}");
    if (size == 0)
        return 0;
    secret_init();
    struct host h = {.engine = make_engine(),
                     .now = host_now,
                     .feed = host_feed,
                     .read = host_read,
                     .pipeline_exists = host_pipeline_exists,
                     .zone_exists = host_zone_exists,
                     .data = "/data"};
    struct api a = {.host = &h};
    const struct catalog *c = engine_catalog(h.engine);
    int status;
    CHECK(call(&a, 0, pipeline, NULL, &status) == 1);
    CHECK(call(&a, 2, SLICE("{\"type\":\"webhook\",\"config\":{}}"), NULL, &status) == 1);
    CHECK(call(&a, 5, SLICE("{\"namespace\":\"default\",\"name\":\"bronze\"}"), NULL, &status) ==
          1);

    const struct slice body = {(const char *)data + 1, size - 1};
    const size_t records = call(&a, (uint8_t)(data[0] - (unsigned)'0') % ARRAY_SIZE(requests), body,
                                trigger_table_next(&c->triggers, NULL), &status);
    CHECK((records > 0) == (status == 202 || status == 503)); /* 503: the query after the commit */
    engine_destroy(h.engine);
    return 0;
}
