/* write_topics.c - topics, and how far those who follow outside ones have come. */
#include "core/topic.h"
#include "io/store/stmt.h"
#include "io/store/write_rows.h"

static void bind_retention(struct stmt *q, int i, uint64_t n)
{
    if (n == RETENTION_DEFAULT)
        bind_null(q, i); /* bindings outlive their use */
    else
        bind_int(q, i, (int64_t)n);
}

int write_put_topic(struct db *db, const struct effect *f)
{
    const struct effect_put_topic *t = &f->put_topic;
    struct stmt q;
    if (stmt_begin(&q, db,
                   "INSERT INTO topics (key, name, age_ms, bytes_max, first_offset, first_total,"
                   " created_at, updated_at) VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?6)"
                   " ON CONFLICT (key) DO UPDATE SET age_ms = excluded.age_ms,"
                   " bytes_max = excluded.bytes_max, updated_at = excluded.updated_at") == 0) {
        bind_int(&q, 1, t->key);
        bind_text(&q, 2, t->name);
        bind_retention(&q, 3, t->age_ms);
        bind_retention(&q, 4, t->bytes_max);
        bind_int(&q, 5, t->created_at.ms);
        bind_int(&q, 6, t->updated_at.ms);
    }
    return stmt_finish(&q);
}

/* Its messages go later, a few at a time (retention.c). */
int write_drop_topic(struct db *db, const struct effect *f)
{
    return write_drop(db, "UPDATE topics SET deleted_at = ?2 WHERE key = ?1", &f->drop);
}

int write_put_position(struct db *db, const struct effect *f)
{
    const struct effect_put_position *p = &f->put_position;
    struct stmt q;
    if (stmt_begin(&q, db,
                   "INSERT OR REPLACE INTO positions (subscription, partition, at, mark)"
                   " VALUES (?1, ?2, ?3, ?4)") == 0) {
        bind_text(&q, 1, p->subscription);
        bind_int(&q, 2, p->partition);
        bind_int(&q, 3, (int64_t)p->at);
        bind_int(&q, 4, (int64_t)p->mark);
    }
    return stmt_finish(&q);
}

int write_drop_position(struct db *db, const struct effect *f)
{
    const struct effect_drop_position *p = &f->drop_position;
    struct stmt q;
    if (stmt_begin(&q, db, "DELETE FROM positions WHERE subscription = ?1 AND partition = ?2") ==
        0) {
        bind_text(&q, 1, p->subscription);
        bind_int(&q, 2, p->partition);
    }
    return stmt_finish(&q);
}
