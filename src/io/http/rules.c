/* rules.c - the request-level rules of the server, one function each. */
#include "io/http/rules.h"

#include <string.h>

#include "base/hex.h"

#define LENGTH_DIGITS_MAX 18 /* below 2^63, whatever the digits are */

#define REFUSAL(name_, status_, code_, message_)                                                   \
    static const struct refusal name_ = {status_, code_, message_}

const struct refusal refusal_version = {505, "HTTP_VERSION_NOT_SUPPORTED",
                                        "only HTTP/1.1 and HTTP/1.0 are spoken"};

REFUSAL(host_missing, 400, "INVALID_ARGUMENT", "an HTTP/1.1 request needs a Host header");
REFUSAL(host_repeated, 400, "INVALID_ARGUMENT", "more than one Host header");
REFUSAL(host_bad, 400, "INVALID_ARGUMENT", "the Host header is not a host");
REFUSAL(length_repeated, 400, "INVALID_ARGUMENT", "more than one Content-Length header");
REFUSAL(length_bad, 400, "INVALID_ARGUMENT", "Content-Length is not a plain decimal number");
REFUSAL(length_and_coding, 400, "INVALID_ARGUMENT",
        "both Transfer-Encoding and Content-Length are given");
REFUSAL(coding_bad, 400, "INVALID_ARGUMENT", "Transfer-Encoding must be exactly chunked");
REFUSAL(coding_in_10, 400, "INVALID_ARGUMENT", "HTTP/1.0 has no Transfer-Encoding");
REFUSAL(expect_bad, 417, "EXPECTATION_FAILED",
        "the only expectation that can be met is 100-continue");
REFUSAL(target_bad, 400, "INVALID_ARGUMENT",
        "the request target is neither a path nor an http URL");
REFUSAL(escape_bad, 400, "INVALID_ARGUMENT",
        "a % in the request target is not followed by two hexadecimal digits other than 00");

/* ---- percent-encoding ---- */

bool escapes_valid(struct slice text)
{
    const char *at = text.p, *end = text.p + text.len;

    while (at < end && (at = memchr(at, '%', (size_t)(end - at))) != NULL) {
        uint8_t byte;

        if (end - at < 3 || !hex_decode((struct slice){at + 1, 2}, &byte, 1) || byte == 0)
            return false;
        at += 3;
    }
    return true;
}

size_t escapes_decode(struct slice text, bool plus, char *ret)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '%') {
            (void)hex_decode((struct slice){text.p + i + 1, 2}, (uint8_t *)ret + len, 1);
            i += 2;
        } else {
            ret[len] = plus && text.p[i] == '+' ? ' ' : text.p[i];
        }
        len++;
    }
    return len;
}

/* ---- the target: RFC 9112, section 3.2 ---- */

/* Letters, digits, and what a registered name, an address literal and a port may hold. */
static bool is_host(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
            continue;
        if (c == '\0' || strchr("-._~:[]%!$&'()*+,;=", c) == NULL)
            return false;
    }
    return true;
}

/* Takes scheme and authority off an absolute-form target. What stays begins with '/' or '?' or is
 * empty. */
static bool strip_authority(struct slice *target)
{
    size_t scheme = 0, end;

    if (target->len > 7 && slice_is_nocase((struct slice){target->p, 7}, "http://"))
        scheme = 7;
    else if (target->len > 8 && slice_is_nocase((struct slice){target->p, 8}, "https://"))
        scheme = 8;
    else
        return false;
    for (end = scheme; end < target->len; end++)
        if (target->p[end] == '/' || target->p[end] == '?')
            break;
    if (end == scheme || !is_host((struct slice){target->p + scheme, end - scheme}))
        return false;
    *target = (struct slice){target->p + end, target->len - end};
    return true;
}

static void split_query(struct slice target, struct head_facts *ret)
{
    const char *mark = target.len > 0 ? memchr(target.p, '?', target.len) : NULL;

    ret->path = target;
    ret->query = SLICE_NONE;
    if (mark != NULL) {
        ret->path.len = (size_t)(mark - target.p);
        ret->query = (struct slice){mark + 1, target.len - ret->path.len - 1};
    }
    if (ret->path.len == 0)
        ret->path = SLICE("/");
}

static const struct refusal *check_target(const struct head *h, struct head_facts *ret)
{
    struct slice target = head_target(h);
    bool options = strcmp(h->method, "OPTIONS") == 0;

    if (target.len == 0 || strcmp(h->method, "CONNECT") == 0)
        return &target_bad;
    if (slice_is(target, "*")) {
        ret->path = target;
        ret->query = SLICE_NONE;
        return options ? NULL : &target_bad;
    }
    if (target.p[0] != '/' && !strip_authority(&target))
        return &target_bad;
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.p[i] <= ' ' || target.p[i] == 0x7f || target.p[i] == '#')
            return &target_bad;
    if (!escapes_valid(target))
        return &escape_bad;
    split_query(target, ret);
    return NULL;
}

/* ---- the fields ---- */

static bool is_length(struct slice v, uint64_t *ret)
{
    size_t zeros = 0;

    while (zeros + 1 < v.len && v.p[zeros] == '0')
        zeros++;
    v = (struct slice){v.p + zeros, v.len - zeros};
    return v.len <= LENGTH_DIGITS_MAX && slice_u64(v, INT64_MAX, ret);
}

struct field_counts {
    unsigned host, length, coding;
};

static const struct refusal *check_field(const struct head *h, unsigned i, struct field_counts *n,
                                         struct head_facts *ret)
{
    struct slice name = head_name(h, i);

    switch (name.len) { /* most fields end here */
    case 4:
        if (!slice_is(name, "host"))
            return NULL;
        if (n->host++ > 0)
            return &host_repeated;
        return is_host(head_value(h, i)) ? NULL : &host_bad;
    case 6:
        if (!slice_is(name, "expect") || h->minor == 0)
            return NULL;
        ret->expect_continue = slice_is_nocase(head_value(h, i), "100-continue");
        return ret->expect_continue ? NULL : &expect_bad;
    case 14:
        if (!slice_is(name, "content-length"))
            return NULL;
        if (n->length++ > 0)
            return &length_repeated;
        return is_length(head_value(h, i), &ret->length) ? NULL : &length_bad;
    case 17:
        if (!slice_is(name, "transfer-encoding"))
            return NULL;
        ret->chunked = n->coding++ == 0 && slice_is_nocase(head_value(h, i), "chunked");
        return ret->chunked ? NULL : &coding_bad;
    default:
        return NULL;
    }
}

const struct refusal *head_check(const struct head *h, struct head_facts *ret)
{
    struct field_counts n = {0};
    const struct refusal *why;

    *ret = (struct head_facts){0};
    if (h->major != 1 || h->minor > 1)
        return &refusal_version;
    for (unsigned i = 0; i < h->field_count; i++)
        if ((why = check_field(h, i, &n, ret)) != NULL)
            return why;
    if (n.coding > 0 && n.length > 0)
        return &length_and_coding;
    if (n.coding > 0 && h->minor == 0)
        return &coding_in_10;
    if (n.host == 0 && h->minor > 0)
        return &host_missing;
    return check_target(h, ret);
}
