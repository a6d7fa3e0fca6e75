/* load.h - stored texts become definitions again, by the tables of trigger types and executors. */
#ifndef APP_LOAD_H
#define APP_LOAD_H
#include "io/store/query.h"

extern const struct def_maker load_def_maker;

#endif
