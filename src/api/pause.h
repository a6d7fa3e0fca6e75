/* pause.h - what pausing has in common, whatever is paused. */
#ifndef API_PAUSE_H
#define API_PAUSE_H
#include "api/work.h"

#define PAUSE_REASON_BYTES_MAX 500

/* Pauses what x says, or lets it go on, for w, which has been made; the request's body may give a `reason`. The ticket of w is redeemed
 * after the commit. False: the body is wrong, and the request has been answered. */
bool pause_change(struct writing *w, const struct pause_target *x, bool pause);

#endif
