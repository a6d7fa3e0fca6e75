#include "core/wheel.h"
#include <stddef.h>
#include "base/check.h"

/* Times are read as eleven digits of six bits. A timer sits at the level of the highest digit in
 * which its expiry differs from the wheel's now, in the slot of that digit. From this follows, and
 * every function here keeps it so:
 *
 *   1. At level L a timer shares with now all digits above L, and its own digit L is greater than
 * now's. So everything at a lower level expires before everything at a higher one, and within a
 * level slots expire from low to high: the earliest timers are in the lowest occupied slot of the
 * lowest occupied level.
 *   2. At level 0 all timers of a slot expire in the same millisecond. The one exception is now's
 * own slot, which (1) leaves free: it holds what was already over when it was set.
 *   3. Timers with equal expiries are always in the same list, in the order they were set: they
 * have the same digits, and a slot is emptied into lower ones in order, all at once.
 *
 * When now reaches the first millisecond of a slot, its timers no longer differ in that digit and
 * move down. A timer moves at most once per level. */
#define DIGIT_BITS 6
#define DIGIT_MASK (WHEEL_SLOTS - 1)
#define PLACE_DUE (WHEEL_LEVELS * WHEEL_SLOTS + 1)

_Static_assert(WHEEL_SLOTS == 1 << DIGIT_BITS, "one digit chooses a slot");
_Static_assert(WHEEL_LEVELS *DIGIT_BITS >= 64, "every expiry has a level");

/* ---- circular lists, known by their first member ---- */

static void list_append(struct wheel_timer **list, struct wheel_timer *t)
{
    struct wheel_timer *first = *list;

    if (first == NULL) {
        t->prev = t->next = t;
        *list = t;
    } else {
        t->prev = first->prev;
        t->next = first;
        first->prev->next = t;
        first->prev = t;
    }
}

static void list_remove(struct wheel_timer **list, struct wheel_timer *t)
{
    if (t->next == t) {
        *list = NULL;
    } else {
        t->prev->next = t->next;
        t->next->prev = t->prev;
        if (*list == t)
            *list = t->next;
    }
    t->prev = t->next = NULL;
}

/* ---- places ---- */

static unsigned digit(uint64_t time, unsigned level)
{
    return (unsigned)(time >> (DIGIT_BITS * level)) & DIGIT_MASK;
}

/* The first millisecond of a slot that is occupied. */
static uint64_t slot_start(const struct wheel *w, unsigned level, unsigned slot)
{
    const unsigned above = DIGIT_BITS * (level + 1);
    uint64_t shared = above < 64 ? w->now >> above << above : 0;

    return shared | (uint64_t)slot << (DIGIT_BITS * level);
}

static void link_timer(struct wheel *w, struct wheel_timer *t)
{
    uint64_t expires = t->expires > w->now ? t->expires : w->now;
    uint64_t differing = expires ^ w->now;
    unsigned level = differing ? (63 - (unsigned)__builtin_clzll(differing)) / DIGIT_BITS : 0;
    unsigned slot = digit(expires, level);

    list_append(&w->slots[level][slot], t);
    w->occupied[level] |= (uint64_t)1 << slot;
    t->place = (uint16_t)(level * WHEEL_SLOTS + slot + 1);
    if (w->next_known && expires < w->next)
        w->next = expires;
}

static void unlink_timer(struct wheel *w, struct wheel_timer *t)
{
    if (t->place == PLACE_DUE) {
        list_remove(&w->due, t);
    } else {
        unsigned level = (t->place - 1u) / WHEEL_SLOTS, slot = (t->place - 1u) % WHEEL_SLOTS;

        list_remove(&w->slots[level][slot], t);
        if (w->slots[level][slot] == NULL)
            w->occupied[level] &= ~((uint64_t)1 << slot);
    }
    t->place = 0;
    if (t->expires <= w->next)
        w->next_known = false;
}

/* Due timers arrive in order, but for those that were set late: these are put where they belong. */
static void link_due(struct wheel *w, struct wheel_timer *t)
{
    struct wheel_timer *later;

    t->place = PLACE_DUE;
    if (w->due == NULL || w->due->prev->expires <= t->expires) {
        list_append(&w->due, t);
        return;
    }
    later = w->due->prev;
    while (later != w->due && later->prev->expires > t->expires)
        later = later->prev;
    const bool first = later == w->due;

    list_append(&later, t); /* the end of a circle that begins with `later` is just before it */
    if (first)
        w->due = t;
}

/* False when no timer is in a slot. Due ones are not. */
static bool first_slot(const struct wheel *w, unsigned *ret_level, unsigned *ret_slot)
{
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        if (w->occupied[level] != 0) {
            *ret_level = level;
            *ret_slot = (unsigned)__builtin_ctzll(w->occupied[level]);
            return true;
        }
    }
    return false;
}

/* ---- the interface ---- */

void wheel_init(struct wheel *w, uint64_t now)
{
    *w = (struct wheel){.now = now, .next = WHEEL_NEVER, .next_known = true};
}

bool wheel_is_set(const struct wheel_timer *t)
{
    return t->place != 0;
}

void wheel_set(struct wheel *w, struct wheel_timer *t, uint64_t expires)
{
    if (wheel_is_set(t))
        unlink_timer(w, t);
    else
        w->count++;
    t->expires = expires;
    link_timer(w, t);
}

void wheel_cancel(struct wheel *w, struct wheel_timer *t)
{
    if (!wheel_is_set(t))
        return;
    unlink_timer(w, t);
    CHECK(w->count > 0);
    w->count--;
}

/* Moves now to the slot's first millisecond and its timers to where they belong then. */
static void empty_slot(struct wheel *w, unsigned level, unsigned slot)
{
    struct wheel_timer *list = w->slots[level][slot], *t;

    w->now = slot_start(w, level, slot);
    w->slots[level][slot] = NULL;
    w->occupied[level] &= ~((uint64_t)1 << slot);
    while ((t = list) != NULL) {
        list_remove(&list, t);
        if (t->expires <= w->now)
            link_due(w, t);
        else
            link_timer(w, t);
    }
}

void wheel_advance(struct wheel *w, uint64_t now)
{
    unsigned level, slot;

    if (now < w->now)
        now = w->now;
    while (first_slot(w, &level, &slot) && slot_start(w, level, slot) <= now)
        empty_slot(w, level, slot);
    w->now = now;
    if (w->next <= now)
        w->next_known = false;
}

struct wheel_timer *wheel_take(struct wheel *w)
{
    struct wheel_timer *t = w->due;

    if (t != NULL)
        wheel_cancel(w, t);
    return t;
}

static uint64_t find_next(const struct wheel *w)
{
    unsigned level, slot;
    uint64_t next = WHEEL_NEVER;

    if (w->due != NULL)
        return w->now;
    if (!first_slot(w, &level, &slot))
        return WHEEL_NEVER;
    if (level == 0)
        return slot_start(w, level, slot);
    const struct wheel_timer *first = w->slots[level][slot], *t = first;

    do {
        next = t->expires < next ? t->expires : next;
        t = t->next;
    } while (t != first);
    return next;
}

uint64_t wheel_next(const struct wheel *w)
{
    if (!w->next_known) {
        struct wheel *cache = (struct wheel *)w; /* asking changes nothing that can be seen */

        cache->next = find_next(w);
        cache->next_known = true;
    }
    return w->next;
}
