#include "core/tz_file.h"
#include <errno.h>
#include <string.h>

#define HEADER_SIZE 44
#define TYPE_SIZE 6
#define TYPES_MAX 256

struct header {
    char version; /* '\0' is 1, then '2', '3', '4' */
    uint32_t utc_count, std_count, leap_count, time_count, type_count, char_count;
};

/* The data block after a header, cut into its arrays. */
struct block {
    int64_t time_size; /* of one time: 4 in version 1, then 8 */
    const uint8_t *times, *time_types, *types, *chars, *stds, *utcs;
};

static int bad(struct diag *reterr, const char *what)
{
    return diag_set(reterr, DIAG_INVALID_ARGUMENT, "not a valid time zone file: %s", what);
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be_time(const uint8_t *p, int64_t size)
{
    if (size == 4)
        return (int32_t)be32(p);
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

static const uint8_t *bytes_of(struct slice s)
{
    return (const uint8_t *)s.p;
}

static void skip(struct slice *s, size_t n)
{
    s->p += n;
    s->len -= n;
}

static bool take_header(struct slice *s, struct header *h)
{
    if (s->len < HEADER_SIZE || memcmp(s->p, "TZif", 4) != 0)
        return false;
    const uint8_t *p = bytes_of(*s);
    *h = (struct header){
        .version = (char)p[4],
        .utc_count = be32(p + 20),
        .std_count = be32(p + 24),
        .leap_count = be32(p + 28),
        .time_count = be32(p + 32),
        .type_count = be32(p + 36),
        .char_count = be32(p + 40),
    };
    skip(s, HEADER_SIZE);
    return h->version == '\0' || (h->version >= '2' && h->version <= '9');
}

static bool take_block(struct slice *s, const struct header *h, int64_t time_size, struct block *b)
{
    const uint32_t counts[] = {h->utc_count,  h->std_count,  h->leap_count,
                               h->time_count, h->type_count, h->char_count};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        if (counts[i] > TZ_BYTES_MAX) /* so that nothing below overflows */
            return false;
    }
    const uint8_t *p = bytes_of(*s);
    *b = (struct block){.time_size = time_size, .times = p};
    b->time_types = b->times + h->time_count * time_size;
    b->types = b->time_types + h->time_count;
    b->chars = b->types + (size_t)h->type_count * TYPE_SIZE;
    b->stds = b->chars + h->char_count + h->leap_count * (time_size + 4);
    b->utcs = b->stds + h->std_count;
    const size_t size = (size_t)(b->utcs + h->utc_count - p);
    if (size > s->len)
        return false;
    skip(s, size);
    return true;
}

/* ---- what a block says ---- */

static int32_t type_offset(const struct block *b, uint32_t i)
{
    return (int32_t)be32(b->types + (size_t)i * TYPE_SIZE);
}

static const char *check_types(const struct header *h, const struct block *b)
{
    if (h->type_count == 0 || h->type_count > TYPES_MAX)
        return "it has no types of local time, or too many";
    if (h->char_count == 0 || b->chars[h->char_count - 1] != '\0')
        return "its names do not end";
    for (uint32_t i = 0; i < h->type_count; i++) {
        const uint8_t *t = b->types + (size_t)i * TYPE_SIZE;
        if (type_offset(b, i) < TZ_OFFSET_MIN || type_offset(b, i) > TZ_OFFSET_MAX)
            return "an offset from UTC is out of range";
        if (t[4] > 1)
            return "a type is neither standard nor daylight saving time";
        if (t[5] >= h->char_count)
            return "a type's name is out of range";
    }
    return NULL;
}

static const char *check_indicators(const struct header *h, const struct block *b)
{
    if ((h->std_count != 0 && h->std_count != h->type_count) ||
        (h->utc_count != 0 && h->utc_count != h->type_count))
        return "it has indicators for some types only";
    for (uint32_t i = 0; i < h->std_count; i++) {
        if (b->stds[i] > 1)
            return "an indicator is out of range";
    }
    for (uint32_t i = 0; i < h->utc_count; i++) {
        if (b->utcs[i] > 1)
            return "an indicator is out of range";
    }
    return NULL;
}

static const char *check_times(const struct header *h, const struct block *b)
{
    for (uint32_t i = 0; i < h->time_count; i++) {
        if (b->time_types[i] >= h->type_count)
            return "a transition's type is out of range";
        if (i > 0 && be_time(b->times + i * b->time_size, b->time_size) <=
                         be_time(b->times + (i - 1) * b->time_size, b->time_size))
            return "its transitions are not in order";
    }
    return NULL;
}

static const char *check_block(const struct header *h, const struct block *b)
{
    if (h->leap_count != 0)
        return "it counts leap seconds";
    const char *why = check_types(h, b);
    if (why == NULL)
        why = check_indicators(h, b);
    if (why == NULL)
        why = check_times(h, b);
    return why;
}

void tz_file_add(struct tz_file *f, struct tz_event change)
{
    const int32_t before =
        f->changes.len > 0 ? f->changes.items[f->changes.len - 1].offset : f->first_offset;
    if (change.offset != before)
        vec_push(&f->changes, change);
}

/* Transitions before all history (some writers begin with one at the Big Bang) are none. */
static void load_block(struct tz_file *f, const struct header *h, const struct block *b)
{
    f->first_offset = type_offset(b, 0);
    f->rule_from = INT64_MIN;
    for (uint32_t i = 0; i < h->time_count; i++) {
        const struct tz_event change = {
            .at = be_time(b->times + i * b->time_size, b->time_size),
            .offset = type_offset(b, b->time_types[i]),
        };
        f->rule_from = change.at < TZ_TIME_MAX ? change.at : TZ_TIME_MAX;
        if (change.at < -TZ_TIME_MAX)
            f->first_offset = change.offset;
        else
            tz_file_add(f, change);
    }
}

/* A line of its own: the rule between two newlines, and nothing after them. Empty: there is
 * none. */
static const char *load_footer(struct tz_file *f, struct slice s)
{
    if (s.len < 2 || s.p[0] != '\n' || s.p[s.len - 1] != '\n')
        return "it does not end with a line for later times";
    const struct slice rule = {s.p + 1, s.len - 2};
    f->has_rule = rule.len > 0;
    if (f->has_rule && !tz_rule_parse(rule, &f->rule))
        return "its rule for later times is not understood";
    return NULL;
}

/* From version 2 on, a second header and block with 64-bit times follow the first ones, which are
 * there for old readers and often empty. */
int tz_file_parse(struct slice bytes, struct tz_file *ret, struct diag *reterr)
{
    struct header h;
    struct block b;
    struct tz_file f = {0};
    if (bytes.len > TZ_BYTES_MAX)
        return bad(reterr, "it is too long");
    if (!take_header(&bytes, &h))
        return bad(reterr, "it does not begin like one");
    if (!take_block(&bytes, &h, 4, &b))
        return bad(reterr, "it is cut short");
    if (h.version != '\0' && (!take_header(&bytes, &h) || !take_block(&bytes, &h, 8, &b)))
        return bad(reterr, "it is cut short");
    const char *why = check_block(&h, &b);
    if (why == NULL && h.version != '\0')
        why = load_footer(&f, bytes);
    else if (why == NULL && bytes.len > 0)
        why = "it goes on after its end";
    if (why != NULL)
        return bad(reterr, why);
    load_block(&f, &h, &b);
    *ret = f;
    return 0;
}
