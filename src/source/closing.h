/* closing.h - the end of what others still need: it is gone when it was stopped and nothing of it is open any more.
 *
 *     closing_begin(&s->closing);            a request was taken, a part was started
 *     closing_end(&s->closing);              it was answered, the part is closed: s may be gone now
 *
 *     closing_stop(&s->closing, closed, arg);
 *     ...                                    tells everybody; they may end at once
 *     closing_end(&s->closing);              the stop's own
 */
#ifndef SOURCE_CLOSING_H
#define SOURCE_CLOSING_H
#include <stdbool.h>
#include <stddef.h>

/* Embed it. {.gone = f} is a valid one with nothing open. */
struct closing {
    void (*gone)(struct closing *c); /* frees the owner, and c with it */
    size_t open;
    bool stopping; /* for its owner to read: nothing new is to begin */
    void (*closed)(void *arg);
    void *arg;
};

void closing_begin(struct closing *c);

/* The last end after closing_stop() calls gone() and then closed(), before it returns. */
void closing_end(struct closing *c);
void closing_ended(void *closing); /* the same, where a callback is asked for */

/* Stops, once. It begins something by itself, so that the owner stays until its stopping is over: closing_end() has to follow. */
void closing_stop(struct closing *c, void (*closed)(void *arg), void *arg);

#endif
