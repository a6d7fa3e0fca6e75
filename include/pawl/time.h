/* time.h - the two clocks, as two types that cannot be mixed up.
 *
 * Wall time says when a calendar wants something; monotonic time says how long something takes.
 * Nothing below src/io reads a clock: whoever needs the time is handed a struct now.
 */
#ifndef PAWL_TIME_H
#define PAWL_TIME_H
#include <stdint.h>

/* Milliseconds since an arbitrary start; never goes back, does not count suspension. */
struct mono {
    uint64_t ms;
};

/* Milliseconds since 1970-01-01T00:00:00Z; may step in either direction. */
struct wall {
    int64_t ms;
};

/* One instant, read from both clocks together. */
struct now {
    struct mono mono;
    struct wall wall;
};

/* A monotonic time that never comes. */
#define MONO_NEVER ((struct mono){UINT64_MAX})

/* A wall time that means "not set". */
#define WALL_UNSET ((struct wall){INT64_MIN})
#define wall_is_set(w) ((w).ms != INT64_MIN)

#endif
