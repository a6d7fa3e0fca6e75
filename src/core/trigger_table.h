/* trigger_table.h - triggers by id: a hash table that costs 16 bytes per trigger and never stops to grow.
 *
 * Linear hashing (Litwin, 1980): with each trigger that comes, one bucket is split, so that no insertion has to move a million
 * others. The last bytes of an id are random (base/uuid.h) and serve as its hash. Buckets are lists through trigger.table_next.
 * {0} is a valid empty table. It does not own the triggers.
 */
#ifndef CORE_TRIGGER_TABLE_H
#define CORE_TRIGGER_TABLE_H
#include "base/uuid.h"
#include <stddef.h>

struct trigger;

struct trigger_table {
    struct trigger **buckets;
    size_t bucket_count, bucket_cap;
    size_t count;
};

/* Makes room in an empty table for so many at once: no bucket is split for them. */
void trigger_table_reserve(struct trigger_table *tt, size_t count);

void trigger_table_add(struct trigger_table *tt, struct trigger *t); /* its id must not be there */
void trigger_table_remove(struct trigger_table *tt, struct trigger *t); /* it must be there */
struct trigger *trigger_table_find(const struct trigger_table *tt, struct uuid id); /* or NULL */

/* The one after t in an order of no meaning, which holds while nothing is added; the first for NULL; NULL at the end. */
struct trigger *trigger_table_next(const struct trigger_table *tt, const struct trigger *t);

void trigger_table_release(struct trigger_table *tt); /* *tt is {0} again */

#endif
