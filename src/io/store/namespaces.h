/* namespaces.h - the rows of namespaces that were made. For io/store only. */
#ifndef IO_STORE_NAMESPACES_H
#define IO_STORE_NAMESPACES_H
#include "core/effect.h"

struct db;

int write_namespace(struct db *db, const struct effect *f);      /* EFFECT_PUT_NAMESPACE */
int write_namespace_drop(struct db *db, const struct effect *f); /* EFFECT_DROP_NAMESPACE */

#endif
