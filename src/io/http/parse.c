/* parse.c - the llhttp glue. Every callback that matters pauses llhttp, which turns its callbacks
 * into a sequence of events that the caller pulls: nothing of ours ever runs inside of
 * llhttp_execute(). */
#include "io/http/parse.h"

#include <string.h>

#include "base/check.h"

/* Chunk framing beyond this and beyond FRAMING_RATIO times the body is an attack on our time (one
 * extension per byte, endless zeros in front of a size), not a body. One-byte chunks cost six bytes
 * each and stay below. */
#define FRAMING_BYTES_FREE 8192
#define FRAMING_RATIO 16

struct slice head_target(const struct head *h)
{
    return (struct slice){h->bytes.p, h->target_len};
}

struct slice head_name(const struct head *h, unsigned i)
{
    return (struct slice){h->bytes.p + h->fields[i].name, h->fields[i].name_len};
}

struct slice head_value(const struct head *h, unsigned i)
{
    return slice_trim((struct slice){h->bytes.p + h->fields[i].value, h->fields[i].value_len});
}

static struct parse *parse_of(llhttp_t *l)
{
    return container_of(l, struct parse, llhttp);
}

static int url(llhttp_t *l, const char *at, size_t len)
{
    struct head *h = parse_of(l)->head;

    str_add(&h->bytes, at, len);
    h->target_len += (uint32_t)len;
    return 0;
}

static void add_lower(struct str *s, const char *at, size_t len)
{
    str_reserve(s, len);
    for (size_t i = 0; i < len; i++) {
        char c = at[i];

        s->p[s->len + i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    s->len += len;
    s->p[s->len] = '\0';
}

static int field_name(llhttp_t *l, const char *at, size_t len)
{
    struct parse *p = parse_of(l);
    struct head *h = p->head;

    if (!p->in_head)
        return 0; /* a trailer */
    if (!p->in_name) {
        if (h->field_count == HEAD_FIELDS_MAX) {
            p->too_many_fields = true;
            return HPE_USER;
        }
        h->fields[h->field_count++] = (struct head_field){.name = (uint32_t)h->bytes.len};
        p->in_name = true;
    }
    add_lower(&h->bytes, at, len);
    h->fields[h->field_count - 1].name_len += (uint32_t)len;
    return 0;
}

static int field_name_complete(llhttp_t *l)
{
    struct parse *p = parse_of(l);

    struct head_field *f;

    if (!p->in_head)
        return 0;
    f = &p->head->fields[p->head->field_count - 1];
    f->value = (uint32_t)p->head->bytes.len;
    p->in_name = false;
    if (f->name_len > 0)
        return 0;
    llhttp_set_error_reason(l, "a header without a name");
    return HPE_USER;
}

static int field_value(llhttp_t *l, const char *at, size_t len)
{
    struct parse *p = parse_of(l);

    if (p->in_head) {
        str_add(&p->head->bytes, at, len);
        p->head->fields[p->head->field_count - 1].value_len += (uint32_t)len;
    }
    return 0;
}

static int headers_complete(llhttp_t *l)
{
    struct parse *p = parse_of(l);
    struct head *h = p->head;

    h->method = llhttp_method_name(l->method);
    h->major = l->http_major;
    h->minor = l->http_minor;
    h->keep_alive = llhttp_should_keep_alive(l) != 0;
    l->upgrade = 0; /* whatever it asked for */
    p->event = PARSE_HEAD;
    return HPE_PAUSED;
}

static int body(llhttp_t *l, const char *at, size_t len)
{
    struct parse *p = parse_of(l);

    if (len == 0)
        return 0;
    p->piece = (struct slice){at, len};
    p->event = PARSE_BODY;
    return HPE_PAUSED;
}

static int message_complete(llhttp_t *l)
{
    parse_of(l)->event = PARSE_DONE;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = url,
    .on_header_field = field_name,
    .on_header_field_complete = field_name_complete,
    .on_header_value = field_value,
    .on_headers_complete = headers_complete,
    .on_body = body,
    .on_message_complete = message_complete,
};

void parse_init(struct parse *p, size_t head_bytes_max)
{
    *p = (struct parse){.head_max = head_bytes_max};
    llhttp_init(&p->llhttp, HTTP_REQUEST, &settings);
}

void parse_begin(struct parse *p, struct head *h)
{
    str_reset(&h->bytes);
    h->target_len = 0;
    h->field_count = 0;
    p->head = h;
    p->head_used = 0;
    p->body_bytes = p->framing_bytes = 0;
    p->in_head = true;
    p->in_name = p->after_lf = p->after_cr = false;
}

static enum parse_event bad(struct parse *p, const char *why)
{
    p->why = why;
    return PARSE_BAD;
}

/* Looks at the line ends of a part of the head: each LF follows a CR, and no line begins with a
 * blank. llhttp joins folded lines and may take a bare LF; either is read differently by another
 * server in front of us, which is how requests are smuggled. */
static const char *check_lines(struct parse *p, const char *data, size_t len)
{
    const char *at = data, *end = data + len;

    if (len == 0)
        return NULL;
    if (p->after_lf && (*at == ' ' || *at == '\t'))
        return "a header line begins with a blank";
    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        bool cr = at > data ? at[-1] == '\r' : p->after_cr;

        if (!cr)
            return "a line ends without CR";
        at++;
        if (at == end)
            break;
        if (*at == ' ' || *at == '\t')
            return "a header line begins with a blank";
    }
    p->after_lf = end[-1] == '\n';
    p->after_cr = end[-1] == '\r';
    return NULL;
}

static enum parse_event head_fed(struct parse *p, llhttp_errno_t err, const char *data, size_t used)
{
    const char *why = check_lines(p, data, used);

    if (why != NULL)
        return bad(p, why);
    p->head_used += used;
    if (err == HPE_PAUSED && p->event == PARSE_HEAD) {
        p->in_head = false;
        p->head = NULL;
        return PARSE_HEAD;
    }
    return p->head_used == p->head_max ? PARSE_TOO_LARGE : PARSE_MORE;
}

/* The framing in front of a piece is weighed against the body before it: so the verdict does not
 * depend on how the bytes came. */
static enum parse_event body_fed(struct parse *p, llhttp_errno_t err, size_t used)
{
    enum parse_event event = err == HPE_PAUSED ? p->event : PARSE_MORE;
    size_t piece = event == PARSE_BODY ? p->piece.len : 0;

    p->framing_bytes += used - piece;
    if (p->framing_bytes > FRAMING_BYTES_FREE + FRAMING_RATIO * p->body_bytes)
        return bad(p, "the chunk framing is out of proportion");
    p->body_bytes += piece;
    return event;
}

enum parse_event parse_feed(struct parse *p, const char *data, size_t len, size_t *used)
{
    size_t left = p->head_max - p->head_used;
    size_t take = p->in_head && len > left ? left : len;
    llhttp_errno_t err = llhttp_execute(&p->llhttp, data, take);

    *used = take;
    if (err == HPE_PAUSED) {
        *used = (size_t)(llhttp_get_error_pos(&p->llhttp) - data);
        llhttp_resume(&p->llhttp);
    } else if (err != HPE_OK) {
        return p->too_many_fields ? PARSE_TOO_LARGE : bad(p, llhttp_get_error_reason(&p->llhttp));
    }
    return p->in_head ? head_fed(p, err, data, *used) : body_fed(p, err, *used);
}
