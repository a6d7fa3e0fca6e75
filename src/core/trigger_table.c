#include "core/trigger_table.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/catalog.h"
#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 16

static uint64_t hash(struct uuid id)
{
    uint64_t h = 0;
    for (size_t i = 8; i < sizeof(id.b); i++)
        h = h << 8 | id.b[i];
    return h;
}

/* The largest power of two that is not above n. */
static size_t floor_pow2(size_t n)
{
    return (size_t)1 << (63 - __builtin_clzll(n));
}

/* Buckets from floor_pow2(n) to n - 1 have been split off; what hashes beyond them is still in the bucket it will be split from. */
static size_t bucket_of(const struct trigger_table *tt, struct uuid id)
{
    const size_t half = floor_pow2(tt->bucket_count);
    const size_t i = hash(id) & (2 * half - 1);
    return i < tt->bucket_count ? i : i - half;
}

/* Adds a bucket and moves to it what belongs there. */
static void split(struct trigger_table *tt)
{
    const size_t added = tt->bucket_count;
    if (added == tt->bucket_cap) {
        tt->bucket_cap = added > 0 ? 2 * added : BUCKETS_MIN;
        tt->buckets = mem_realloc(tt->buckets, tt->bucket_cap * sizeof(*tt->buckets));
    }
    tt->buckets[added] = NULL;
    tt->bucket_count++;
    if (added == 0)
        return;
    struct trigger **at = &tt->buckets[added - floor_pow2(added)];
    while (*at != NULL) {
        struct trigger *t = *at;
        if (bucket_of(tt, t->id) != added) {
            at = &t->table_next;
            continue;
        }
        *at = t->table_next;
        t->table_next = tt->buckets[added];
        tt->buckets[added] = t;
    }
}

void trigger_table_reserve(struct trigger_table *tt, size_t count)
{
    CHECK(tt->count == 0);
    if (count <= tt->bucket_count)
        return;
    tt->buckets = mem_realloc(tt->buckets, count * sizeof(*tt->buckets));
    memset(tt->buckets, 0, count * sizeof(*tt->buckets)); /* NULL */
    tt->bucket_count = tt->bucket_cap = count;
}

void trigger_table_add(struct trigger_table *tt, struct trigger *t)
{
    if (tt->count++ == tt->bucket_count)
        split(tt);
    struct trigger **at = &tt->buckets[bucket_of(tt, t->id)];
    t->table_next = *at;
    *at = t;
}

void trigger_table_remove(struct trigger_table *tt, struct trigger *t)
{
    struct trigger **at = &tt->buckets[bucket_of(tt, t->id)];
    while (*at != t) {
        CHECK(*at != NULL);
        at = &(*at)->table_next;
    }
    *at = t->table_next;
    tt->count--;
}

struct trigger *trigger_table_find(const struct trigger_table *tt, struct uuid id)
{
    struct trigger *t = tt->bucket_count > 0 ? tt->buckets[bucket_of(tt, id)] : NULL;
    while (t != NULL && uuid_cmp(t->id, id) != 0)
        t = t->table_next;
    return t;
}

struct trigger *trigger_table_next(const struct trigger_table *tt, const struct trigger *t)
{
    if (t != NULL && t->table_next != NULL)
        return t->table_next;
    for (size_t i = t != NULL ? bucket_of(tt, t->id) + 1 : 0; i < tt->bucket_count; i++)
        if (tt->buckets[i] != NULL)
            return tt->buckets[i];
    return NULL;
}

void trigger_table_release(struct trigger_table *tt)
{
    free(tt->buckets);
    *tt = (struct trigger_table){0};
}
