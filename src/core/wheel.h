/* wheel.h - a hierarchical timer wheel (Varghese and Lauck, 1987, scheme 6): a million timers, O(1) each.
 *
 * Pure: time is handed in, in milliseconds of whatever clock the owner keeps. Timers are embedded in their owners; the wheel
 * allocates nothing. Eleven levels of 64 slots cover every uint64 of milliseconds; one bit per slot says which are occupied, so
 * finding the next expiry looks at a handful of words, and at the timers of one slot when the earliest of them went away.
 *
 *     struct wheel w;
 *     wheel_init(&w, now_ms);
 *     wheel_set(&w, &conn->deadline, now_ms + 10000);
 *     wheel_advance(&w, now_ms);                                   moves what is due to the due list, in order of expiry
 *     while ((t = wheel_take(&w)) != NULL) ... container_of(t, struct conn, deadline)
 *     sleep until wheel_next(&w)
 */
#ifndef CORE_WHEEL_H
#define CORE_WHEEL_H
#include <stdbool.h>
#include <stdint.h>

#define WHEEL_LEVELS 11
#define WHEEL_SLOTS 64
#define WHEEL_NEVER UINT64_MAX

/* All zero means "not set". A timer must not move in memory or be freed while it is set. */
struct wheel_timer {
    struct wheel_timer *prev, *next;
    uint64_t expires; /* milliseconds; meaningful while set */
    uint16_t
        place; /* level * WHEEL_SLOTS + slot + 1; the due list has a place of its own; 0: not set */
    uint16_t tag; /* the owner's: says which of its timers this is */
};

struct wheel {
    uint64_t now;                    /* everything before it has been moved to the due list */
    uint64_t occupied[WHEEL_LEVELS]; /* bit s: slot s of that level is not empty */
    struct wheel_timer *slots[WHEEL_LEVELS][WHEEL_SLOTS]; /* circular lists */
    struct wheel_timer *due;                              /* circular list, oldest expiry first */
    uint64_t count;                                       /* timers set, due ones included */
    uint64_t next;                                        /* what wheel_next found last; a cache */
    bool next_known;                                      /* and it still holds */
};

void wheel_init(struct wheel *w, uint64_t now);

/* Sets (or moves) a timer. An expiry that is not after the wheel's now makes it due at the next wheel_advance. */
void wheel_set(struct wheel *w, struct wheel_timer *t, uint64_t expires);

/* Takes a timer out, due or not; does nothing when it is not set. */
void wheel_cancel(struct wheel *w, struct wheel_timer *t);

bool wheel_is_set(const struct wheel_timer *t);

/* Moves the wheel to `now` and everything with expires <= now to the due list. A `now` before the wheel's is ignored. */
void wheel_advance(struct wheel *w, uint64_t now);

/* Takes the next due timer out of the wheel; NULL when none is left. Equal expiries come in the order they were set. */
struct wheel_timer *wheel_take(struct wheel *w);

/* The exact time of the earliest expiry (at most w->now when something is due already), or WHEEL_NEVER. */
uint64_t wheel_next(const struct wheel *w);

#endif
