/* load.h - stored texts become definitions again, by the tables of trigger types and executors. */
#ifndef APP_LOAD_H
#define APP_LOAD_H
#include "io/secret/seal.h"
#include "io/store/query.h"

extern const struct def_maker load_def_maker;

/* Says in the log whose secrets cannot be read with this key: of pipelines, whose runs will fail, and of ArkEvents. */
void load_check_secrets(struct engine *e, const struct seal *s);

#endif
