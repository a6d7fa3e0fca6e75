/* rules.h - what a complete request head must satisfy before anything is done for it (contracts/http.md; RFC 9110, 9112).
 *
 * Pure. The parser has made sure of the syntax; this is about what the fields mean together: exactly one Host, one
 * unambiguous length, a target that names a resource here.
 */
#ifndef IO_HTTP_RULES_H
#define IO_HTTP_RULES_H
#include "base/str.h"
#include "io/http/parse.h"
#include <stdbool.h>
#include <stdint.h>

/* A request that gets an error instead of its handler. All static memory. */
struct refusal {
    int status;
    const char *code; /* as it stands in the envelope */
    const char *message;
};

/* 505: for what the parser found out before there was a head to check. */
extern const struct refusal refusal_version;

/* What a head says, once it has passed. Slices point into the head. */
struct head_facts {
    struct slice path, query; /* as sent; path is "*" for OPTIONS *; query is absent without '?' */
    bool chunked;
    uint64_t length; /* Content-Length, 0 without one */
    bool expect_continue;
};

/* NULL and *ret filled; or why the request is refused. Framing cannot be trusted then: the connection must close. */
const struct refusal *head_check(const struct head *h, struct head_facts *ret);

/* True when every '%' is followed by two hexadecimal digits that are not 00. */
bool escapes_valid(struct slice text);

/* Decodes escapes that are valid into ret, which has room for text.len bytes; '+' becomes a blank when plus is set. Returns the
 * length. */
size_t escapes_decode(struct slice text, bool plus, char *ret);

#endif
