/* app.h - the daemon: everything put together, its start, its life and its end. */
#ifndef APP_APP_H
#define APP_APP_H
#include "app/config.h"

/* Serves until told to stop. Returns the process's exit code: 0 after an orderly stop; 1 when it could not start (said on stderr) or
 * could not stop in order. */
int app_run(const struct config *c);

#endif
