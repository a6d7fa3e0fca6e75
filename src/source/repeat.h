/* repeat.h - requests that their sender may repeat: of all that carry the same key, one fires.
 *
 * The first one looks into the store whether the key was used before; those that come meanwhile
 * wait in line behind it. Then they go one by one: as long as none has fired, the next in line is
 * let through; once one has, the rest are told its run. The store remembers a key together with the
 * event that fired (pawl/event.h), for a day.
 *
 *     repeat_start(&repeats, &call->repeat)            0, or -EAGAIN: too many are in line
 *     go(x, NULL, 0)          feed the event with x->key, then call repeat_end() exactly once
 *     go(x, &first, 0)        a repetition: this is what the first one made
 *     go(x, NULL, err)        the store could not be read
 */
#ifndef SOURCE_REPEAT_H
#define SOURCE_REPEAT_H
#include "pawl/event.h"
#include "pawl/host.h"
#include <uthash.h>

#define REPEATS_MAX 4096 /* requests in line, over all keys */

struct repeat_line;

/* All lines. {.host = h} is a valid empty one. */
struct repeats {
    struct host *host;
    struct repeat_line *lines; /* by key */
    size_t count;              /* requests in all of them */
};

/* What became of the first request with a key. */
struct repeat_first {
    struct uuid event, run; /* of messages run is a message_span_encode() */
};

/* One request. Embed it; key and go are the owner's to set. */
struct repeat {
    struct dedupe_key key;
    /* later; x may be freed by it */
    void (*go)(struct repeat *x, const struct repeat_first *first, int err);
    struct repeat *prev, *next;
    struct repeat_line *line;
};

/* The key of a request: what its trigger is found by, and what its sender calls it. */
struct dedupe_key repeat_key(const struct match_key *trigger, struct slice senders_key);

int repeat_start(struct repeats *r, struct repeat *x);

/* The event of a request that was let through has its outcome: what it made, or NULL when that is nothing to be remembered. */
void repeat_end(struct repeat *x, const struct repeat_first *first);

#endif
