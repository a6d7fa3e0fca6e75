/* fuzz_http.c - any bytes, in any pieces: the parser's glue, the rules of a head, and the router.
 *
 * The first byte seeds the pieces. The same bytes are read at once and in pieces; both ways must
 * see the same requests, the same bodies and the same end. What passes the rules must be what the
 * rules promise. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/prng.h"
#include "io/http/parse.h"
#include "io/http/router.h"
#include "io/http/rules.h"

#define HEAD_BYTES_MAX 600

static void no_handler(struct http_request *req, void *ctx)
{
}

static const struct http_route routes[] = {
    {"GET", "/", no_handler, SCOPE_PUBLIC, 0},
    {"POST", "/api/v1/webhooks", no_handler, SCOPE_TOKEN, 0},
    {"GET", "/api/v1/pipelines/{ns}/{layer}/{name}", no_handler, SCOPE_API, 0},
    {"GET", "/api/v1/pipelines/{ns}/{layer}/{name}/triggers/{id}", no_handler, SCOPE_API, 0},
    {"PUT", "/api/v1/pipelines/{ns}/silver/{name}", no_handler, SCOPE_API, 0},
};

static struct router router;

static void check_route(const struct head *h, const struct head_facts *facts)
{
    struct arena arena = {0};
    struct http_request req = {
        .method = h->method, .path = facts->path, .query = facts->query, .arena = &arena};

    switch (router_find(&router, &req)) {
    case ROUTER_FOUND:
        CHECK(req.route != NULL && req.route->pattern[0] == '/');
        break;
    case ROUTER_NO_METHOD:
        CHECK(router_allow(&router, &req)[0] != '\0');
        break;
    case ROUTER_NO_PATH:
        break;
    }
    arena_release(&arena);
}

/* Returns whether the head passes. */
static bool check_head(const struct head *h, struct str *trace)
{
    struct head_facts facts;
    const struct refusal *why = head_check(h, &facts);
    unsigned hosts = 0, lengths = 0, codings = 0;

    str_printf(trace, "HEAD %s ", h->method);
    str_add_json(trace, head_target(h));
    for (unsigned i = 0; i < h->field_count; i++) {
        CHECK(head_name(h, i).len > 0);
        hosts += slice_is(head_name(h, i), "host");
        lengths += slice_is(head_name(h, i), "content-length");
        codings += slice_is(head_name(h, i), "transfer-encoding");
        str_add_json(trace, head_name(h, i));
        str_add_json(trace, head_value(h, i));
    }
    str_printf(trace, " %d\n", why ? why->status : 0);
    if (why != NULL)
        return false;
    CHECK(hosts <= 1 && (hosts == 1 || h->minor == 0));
    CHECK(lengths + codings <= 1);
    CHECK(facts.chunked == (codings == 1));
    CHECK(slice_is(facts.path, "*") || facts.path.p[0] == '/');
    CHECK(escapes_valid(facts.path));
    check_route(h, &facts);
    return true;
}

/* Reads all of it, in pieces that the generator chooses, or at once without one. */
static void read_all(const char *data, size_t len, struct prng *pieces, struct str *trace)
{
    struct head head = {0};
    struct parse p;
    enum parse_event event = PARSE_DONE;
    bool go_on = true;

    parse_init(&p, HEAD_BYTES_MAX);
    parse_begin(&p, &head);
    while (len > 0 && go_on) {
        size_t piece = pieces ? 1 + (size_t)prng_below(pieces, 40) : len, used;
        size_t left = piece < len ? piece : len;
        char *copy = malloc(left), *at = copy; /* of its exact size, for the sanitizer */

        CHECK(copy != NULL);
        memcpy(copy, data, left);
        data += left;
        len -= left;
        do {
            event = parse_feed(&p, at, left, &used);
            CHECK(used <= left);
            at += used;
            left -= used;
            if (event == PARSE_HEAD)
                go_on = check_head(&head, trace);
            if (event == PARSE_BODY)
                str_add_slice(trace, p.piece);
            if (event == PARSE_DONE) {
                str_add_cstr(trace, "DONE\n");
                go_on = head.keep_alive;
                parse_begin(&p, &head);
            }
            if (event == PARSE_BAD || event == PARSE_TOO_LARGE) {
                str_add_cstr(trace, "END\n");
                go_on = false;
            }
        } while (go_on && event != PARSE_MORE && (event != PARSE_DONE || left > 0));
        free(copy);
    }
    str_release(&head.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str whole = {0}, split = {0};
    struct prng pieces;

    if (size == 0)
        return 0;
    if (router.root == NULL)
        for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
            router_add(&router, &routes[i], NULL);
    prng_init(&pieces, data[0]);
    read_all((const char *)data + 1, size - 1, NULL, &whole);
    read_all((const char *)data + 1, size - 1, &pieces, &split);
    CHECK(slice_eq(str_slice(&whole), str_slice(&split)));
    str_release(&whole);
    str_release(&split);
    return 0;
}
