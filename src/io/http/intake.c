/* intake.c - from a complete head to a handler, or to the reason why not.
 *
 * Everything that can be refused is refused at the end of the headers, before a byte of the body is
 * kept. The connection is in its next state before the answer is made, because the answer says
 * whether the connection goes on. */
#include <string.h>
#include "base/check.h"
#include "io/http/internal.h"

#define BODY_BYTES_RESERVED_MAX 65536 /* on the word of a Content-Length */

#define UNAVAILABLE_TEXT "too many request bodies are in memory"

static const struct refusal too_large = {413, "PAYLOAD_TOO_LARGE",
                                         "the request body is larger than what is accepted here"};
static const struct refusal too_much = {503, "UNAVAILABLE", UNAVAILABLE_TEXT};
static const struct refusal no_path = {404, "NOT_FOUND", "there is nothing at this path"};
static const struct refusal no_method = {405, "METHOD_NOT_ALLOWED",
                                         "this path does not have this method"};

/* What was decided about a head: status 0 lets it pass. */
struct verdict {
    struct refusal why;
    struct diag diag; /* of the authorizer; why.message may point here */
};

static void route(struct request *r, struct verdict *ret)
{
    struct http_server *s = r->server;

    switch (router_find(&s->router, &r->pub)) {
    case ROUTER_FOUND:
        break;
    case ROUTER_NO_PATH:
        ret->why = no_path;
        break;
    case ROUTER_NO_METHOD:
        http_response_header(&r->pub, "Allow", router_allow(&s->router, &r->pub));
        ret->why = no_method;
        break;
    }
}

static void authorize(struct request *r, struct verdict *ret)
{
    const struct http_server_options *opt = &r->server->opt;
    struct diag *d = &ret->diag;

    if (r->pub.route->scope != SCOPE_API || opt->authorize == NULL ||
        opt->authorize(opt->arg, &r->pub, d))
        return;
    ret->why = (struct refusal){diag_code_status(d->code), diag_code_name(d->code), d->msg};
}

static struct refusal refusal_of(const struct diag *d)
{
    return (struct refusal){diag_code_status(d->code), diag_code_name(d->code), d->msg};
}

static void admit_stream(struct request *r, const struct head_facts *facts, struct verdict *ret)
{
    const struct http_sink *sink = r->pub.route->sink;

    r->body_max = sink->body_bytes_max(r->pub.ctx);
    if (facts->length > r->body_max)
        ret->why = too_large;
    else if (sink->begin(&r->pub, r->pub.ctx, &ret->diag) < 0)
        ret->why = refusal_of(&ret->diag);
    else
        r->streaming = true;
}

static void admit_body(struct request *r, const struct head_facts *facts, struct verdict *ret)
{
    const struct http_limits *l = &r->server->opt.limits;

    if (r->pub.route->sink != NULL) {
        admit_stream(r, facts, ret);
        return;
    }
    r->body_max = r->pub.route->body_bytes_max ? r->pub.route->body_bytes_max : l->body_bytes_max;
    r->length = facts->length;
    if (facts->length > r->body_max)
        ret->why = too_large;
    else if (facts->length > 0 && facts->length > l->buffered_bytes_max - r->server->buffered_bytes)
        ret->why = too_much;
}

static bool is_options_all(const struct request *r)
{
    return slice_is(r->pub.path, "*");
}

static void decide(struct request *r, const struct head_facts *facts, struct verdict *ret)
{
    ret->why.status = 0;
    if (is_options_all(r)) {
        ret->why.status = 204;
        return;
    }
    route(r, ret);
    if (ret->why.status == 0)
        authorize(r, ret);
    if (ret->why.status == 0)
        admit_body(r, facts, ret);
}

/* A small body is read and forgotten, and the connection goes on. Otherwise it ends here: a big one
 * is not worth it, a chunked one has no known size, and who waits for 100 Continue may or may not
 * send it now. */
static enum conn_state state_after_early_answer(const struct conn *c, const struct request *r,
                                                const struct head_facts *facts)
{
    bool small = !facts->chunked && facts->length <= HTTP_DRAIN_BYTES_MAX;
    bool waits = facts->expect_continue && facts->length > 0;

    return r->head.keep_alive && !c->server->stopping && small && !waits ? CONN_DRAIN : CONN_LAST;
}

static void answer_early(struct conn *c, struct request *r, const struct head_facts *facts,
                         const struct verdict *v)
{
    c->reading = NULL;
    c->state = state_after_early_answer(c, r, facts);
    if (v->why.code == NULL || v->why.status == 204)
        http_respond(&r->pub, v->why.status, NULL, SLICE(""));
    else
        respond_code(r, v->why.status, v->why.code, 0, v->why.message);
}

void intake_head(struct conn *c)
{
    struct request *r = c->reading;
    struct head_facts facts;
    struct verdict v;
    const struct refusal *why = head_check(&r->head, &facts);

    c->since_ms = c->progress_ms = conn_now(c);
    c->server->stats.requests_total++;
    r->pub.method = r->head.method;
    if (why != NULL) {
        intake_refuse(c, why);
        return;
    }
    r->pub.path = facts.path;
    r->pub.query = facts.query;
    conn_enqueue(c, r);
    decide(r, &facts, &v);
    if (v.why.status != 0) {
        answer_early(c, r, &facts, &v);
        return;
    }
    r->continue_due = facts.expect_continue && (facts.chunked || facts.length > 0);
    c->state = CONN_BODY;
}

static void stream_body(struct conn *c, struct request *r, struct slice piece)
{
    struct diag why;
    struct refusal refusal;

    if (c->parse.body_bytes > r->body_max) {
        intake_refuse(c, &too_large);
        return;
    }
    switch (r->pub.route->sink->data(&r->pub, piece, &why)) {
    case HTTP_ON:
        break;
    case HTTP_HOLD:
        conn_hold(c);
        break;
    case HTTP_REFUSE:
        refusal = refusal_of(&why);
        intake_refuse(c, &refusal);
        break;
    }
}

void http_body_resume(struct http_request *req)
{
    struct request *r = request_of(req);

    CHECK(r->streaming && r->conn != NULL && r->conn->reading == r);
    if (r->conn->held)
        conn_unhold(r->conn);
}

void http_body_refuse(struct http_request *req, const struct diag *why)
{
    struct request *r = request_of(req);
    const struct refusal refusal = refusal_of(why);

    CHECK(r->streaming && r->conn != NULL && r->conn->reading == r && !r->conn->busy);
    r->conn->held = false;
    intake_refuse(r->conn, &refusal);
}

void intake_body(struct conn *c, struct slice piece)
{
    struct http_server *s = c->server;
    struct request *r = c->reading;

    c->progress_ms = conn_now(c);
    if (c->state == CONN_DRAIN)
        return;
    r->continue_due = false;
    if (r->streaming) {
        stream_body(c, r, piece);
        return;
    }
    if (piece.len > r->body_max - r->body.len) {
        intake_refuse(c, &too_large);
        return;
    }
    if (piece.len > s->opt.limits.buffered_bytes_max - s->buffered_bytes) {
        intake_refuse(c, &too_much);
        return;
    }
    if (r->body.len == 0 && r->length > piece.len)
        str_reserve(&r->body, r->length < BODY_BYTES_RESERVED_MAX ? (size_t)r->length
                                                                  : BODY_BYTES_RESERVED_MAX);
    str_add_slice(&r->body, piece);
    r->buffered += piece.len;
    s->buffered_bytes += piece.len;
}

void intake_done(struct conn *c)
{
    struct request *r = c->reading;

    c->since_ms = conn_now(c);
    if (c->state == CONN_DRAIN) {
        c->state = c->server->stopping ? CONN_LAST : CONN_HEAD;
        return;
    }
    c->reading = NULL;
    c->state = r->head.keep_alive && !c->server->stopping ? CONN_HEAD : CONN_LAST;
    r->continue_due = false;
    r->pub.body = str_slice(&r->body);
    r->streaming = false;
    r->state = REQUEST_HANDLING;
    c->server->requests_open++;
    r->pub.route->handler(&r->pub, r->pub.ctx);
}

void intake_refuse(struct conn *c, const struct refusal *why)
{
    struct request *r = c->reading;

    c->reading = NULL;
    conn_last(c);
    if (r == NULL)
        return; /* answered already */
    if (!r->queued)
        conn_enqueue(c, r);
    r->continue_due = false;
    respond_code(r, why->status, why->code, 0, why->message);
}
