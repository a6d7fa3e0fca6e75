#include "source/kafka_parts.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/engine.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* One message, or one beginning, on its way to the disk. */
struct flight {
    struct ticket ticket;
    struct kafka_parts *parts;
    struct kafka_part *part;
    int64_t next;
    size_t bytes;
    bool is_message; /* that can be an event */
};

/* ---- the assignment ---- */

void kafka_parts_assign(struct kafka_parts *ps, const int32_t *partitions, size_t n)
{
    CHECK(ps->items == NULL && ps->in_flight == 0);
    ps->items = mem_zalloc((n + 1) * sizeof(ps->items[0]));
    ps->places = mem_zalloc((n + 1) * sizeof(ps->places[0]));
    ps->count = n;
    for (size_t i = 0; i < n; i++) {
        ps->items[i] = (struct kafka_part){partitions[i], false, -1, -1, false};
        ps->places[i] = (struct kafka_place){.partition = partitions[i], .next = -1};
    }
}

void kafka_parts_drop(struct kafka_parts *ps)
{
    free(ps->items);
    free(ps->places);
    ps->items = NULL;
    ps->places = NULL;
    ps->count = 0;
}

struct kafka_part *kafka_parts_find(struct kafka_parts *ps, int32_t partition)
{
    for (size_t i = 0; i < ps->count; i++)
        if (ps->items[i].partition == partition)
            return &ps->items[i];
    return NULL;
}

/* ---- positions ---- */

static struct position position_of(const struct kafka_parts *ps, const struct kafka_part *p)
{
    return (struct position){.subscription = slice_of(ps->topic),
                             .partition = (uint32_t)p->partition};
}

/* Negative when there is none. */
static int64_t own_position(const struct kafka_parts *ps, const struct kafka_part *p)
{
    struct position pos = position_of(ps, p);
    return engine_position(ps->host->engine, &pos) ? (int64_t)pos.at : -1;
}

static void settled(struct ticket *t, const struct outcome *o)
{
    struct flight *x = container_of(t, struct flight, ticket);
    struct kafka_parts *ps = x->parts;
    ps->in_flight--;
    ps->in_flight_bytes -= x->bytes;
    if (o->err == 0) {
        x->part->settled = x->next;
        x->part->dirty = true;
        if (x->is_message && uuid_is_nil(o->event))
            ps->duplicates++;
        else if (x->is_message)
            ps->received++;
    }
    free(x);
    ps->settled(ps, o->err);
}

int kafka_parts_feed(struct kafka_parts *ps, struct kafka_part *p, struct event *ev, int64_t next)
{
    struct position pos = position_of(ps, p);
    struct flight *x = mem_alloc(sizeof(*x));
    *x = (struct flight){{settled}, ps, p, next, ev->payload.len, ev->scope.p != NULL};
    pos.at = (uint64_t)next;
    pos.again = p->again;
    ev->position = &pos;
    ev->ticket = &x->ticket;
    const int err = ps->host->feed(ps->host, ev);
    if (err < 0) {
        free(x);
        return err;
    }
    p->next = next;
    p->again = false;
    ps->in_flight++;
    ps->in_flight_bytes += ev->payload.len;
    return 0;
}

/* ---- where a partition begins ---- */

static void log_place(const struct kafka_parts *ps, const struct kafka_part *p, const char *what,
                      int64_t from, int64_t to)
{
    log_warn(what, LOG_STR("topic", ps->topic), LOG_INT("partition", p->partition),
             LOG_INT("from", from), LOG_INT("to", to));
}

/* The further one of what pawl has and what the group has committed: another pawl may have had the partition meanwhile. */
static int64_t resume_at(const struct kafka_parts *ps, const struct kafka_place *at, int64_t own,
                         bool anew)
{
    const int64_t mine = ps->fresh || anew ? -1 : own;
    if (at->committed > mine && at->committed <= at->high)
        return at->committed;
    if (mine >= 0)
        return mine;
    return ps->known || (anew && !ps->fresh) ? at->low : at->high;
}

static void decide_place(struct kafka_parts *ps, struct kafka_part *p, struct kafka_place *at)
{
    const int64_t own = own_position(ps, p);
    const bool anew = own > at->high;
    at->next = resume_at(ps, at, own, anew);
    if (anew && !ps->fresh)
        log_place(ps, p, "the topic was made anew, it is read from there", own, at->next);
    if (at->next < at->low) {
        log_place(ps, p, "messages are gone from the topic before they were read", at->next,
                  at->low);
        at->next = at->low;
    }
    p->again = at->next < own;
}

static int record_beginnings(struct kafka_parts *ps)
{
    for (size_t i = 0; i < ps->count; i++) {
        struct kafka_part *p = &ps->items[i];
        struct event ev = {.source = "topic", .type = SLICE("beginning")};
        p->next = ps->places[i].next;
        p->dirty = ps->places[i].committed != p->next;
        if (!p->again && own_position(ps, p) >= p->next)
            p->settled = p->next;
        else if (kafka_parts_feed(ps, p, &ev, p->next) < 0)
            return -EAGAIN;
    }
    return 0;
}

int kafka_parts_begin(struct kafka_parts *ps)
{
    bool any = ps->known;
    for (size_t i = 0; i < ps->count; i++)
        any |= !ps->fresh && own_position(ps, &ps->items[i]) >= 0;
    ps->known = any;
    for (size_t i = 0; i < ps->count; i++)
        decide_place(ps, &ps->items[i], &ps->places[i]);
    return record_beginnings(ps);
}

/* ---- what the group is told ---- */

bool kafka_parts_offsets(struct kafka_parts *ps, bool all)
{
    bool some = false;
    for (size_t i = 0; i < ps->count; i++) {
        struct kafka_part *p = &ps->items[i];
        ps->places[i].next = all || p->dirty ? p->settled : -1;
        some |= p->dirty;
        p->dirty = false;
    }
    return some;
}

void kafka_parts_untold(struct kafka_parts *ps)
{
    for (size_t i = 0; i < ps->count; i++)
        ps->items[i].dirty = ps->items[i].settled >= 0;
}

bool kafka_parts_dirty(const struct kafka_parts *ps)
{
    for (size_t i = 0; i < ps->count; i++)
        if (ps->items[i].dirty)
            return true;
    return false;
}
