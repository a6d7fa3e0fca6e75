#include "core/tz.h"
#include "base/check.h"
#include "core/tz_file.h"
#include <stdlib.h>

/* A file's rule is written out into the table until then: looking up is faster than reckoning. */
#define TABLE_END INT64_C(4102444800) /* 2100 */

struct tz {
    int32_t first_offset;
    bool by_rule;      /* the rule says more than the table, */
    int64_t rule_from; /* after this */
    struct tz_rule rule;
    size_t count;
    struct tz_event *changes; /* as in struct tz_file */
};

static void unroll_rule(struct tz_file *f)
{
    if (f->rule_from < -TZ_TIME_MAX || f->rule_from >= TABLE_END)
        return;
    struct tz_span span = tz_rule_at(&f->rule, f->rule_from);
    while (span.until < TABLE_END) {
        span = tz_rule_at(&f->rule, span.until);
        tz_file_add(f, (struct tz_event){span.from, span.offset});
    }
}

struct tz *tz_create(struct slice file, struct diag *reterr)
{
    struct tz_file f;
    if (tz_file_parse(file, &f, reterr) < 0)
        return NULL;
    if (f.has_rule && f.rule.has_dst && f.changes.len > 0)
        unroll_rule(&f);
    if (f.has_rule && f.changes.len == 0)
        f.first_offset = f.rule.offset;
    struct tz *tz = mem_zalloc(sizeof(*tz));
    tz->first_offset = f.first_offset;
    tz->by_rule = f.has_rule && f.rule.has_dst;
    tz->rule_from = f.rule_from;
    tz->rule = f.rule;
    tz->count = f.changes.len;
    tz->changes = f.changes.items;
    return tz;
}

void tz_destroy(struct tz *tz)
{
    if (tz == NULL)
        return;
    free(tz->changes);
    free(tz);
}

/* The number of changes that are not after t. */
static size_t changes_until(const struct tz *tz, int64_t t)
{
    size_t low = 0, high = tz->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (tz->changes[middle].at <= t)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct tz_span tz_at(const struct tz *tz, int64_t t)
{
    CHECK(t >= -TZ_TIME_MAX && t <= TZ_TIME_MAX);
    if (tz == NULL)
        return (struct tz_span){INT64_MIN, INT64_MAX, 0};
    const size_t i = changes_until(tz, t);
    struct tz_span span = {
        .from = i > 0 ? tz->changes[i - 1].at : INT64_MIN,
        .until = i < tz->count ? tz->changes[i].at : INT64_MAX,
        .offset = i > 0 ? tz->changes[i - 1].offset : tz->first_offset,
    };
    if (i < tz->count || !tz->by_rule)
        return span;
    const struct tz_span later = tz_rule_at(&tz->rule, t);
    if (later.from > tz->rule_from)
        return later;
    span.until = t < tz->rule_from ? tz_rule_at(&tz->rule, tz->rule_from).until : later.until;
    return span;
}

/* No instant before local - TZ_OFFSET_MAX can show `local` or a later time, so the first span that
 * gets there after that has the answer; none after local - TZ_OFFSET_MIN can show it still. */
enum tz_fit tz_from_local(const struct tz *tz, int64_t local, int64_t *ret_first, int64_t *ret_last)
{
    struct tz_span span = tz_at(tz, local - TZ_OFFSET_MAX - 1);
    int64_t first = local - span.offset;
    while (first >= span.until) {
        span = tz_at(tz, span.until);
        first = local - span.offset < span.from ? span.from : local - span.offset;
    }
    int64_t last = first;
    const bool skipped = first + span.offset > local;
    while (!skipped && span.until <= local - TZ_OFFSET_MIN) {
        span = tz_at(tz, span.until);
        if (local - span.offset >= span.from && local - span.offset < span.until)
            last = local - span.offset;
    }
    *ret_first = first;
    *ret_last = last;
    return skipped ? TZ_SKIPPED : first == last ? TZ_ONCE : TZ_REPEATED;
}
