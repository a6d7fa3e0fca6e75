/* store_fixture.h - a database in a directory of its own, and batches to write to it. */
#ifndef UNIT_STORE_FIXTURE_H
#define UNIT_STORE_FIXTURE_H
#include "base/check.h"
#include "base/mem.h"
#include "base/vec.h"
#include "core/decision.h"
#include "io/store/journal.h"
#include "io/store/query.h"
#include "io/store/stmt.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define T0 ((struct wall){1771000000000}) /* 2026-02-13T16:26:40Z */

struct store {
    char dir[32];
    struct db *db;
    struct batch *b;
    struct prng prng;
    struct uuid_gen ids;
    struct wall now;
    struct str text; /* what the last query gave */
};

/* A webhook's event and the run that it started. */
struct fired {
    struct uuid event, run;
};

static inline struct uuid next_id(struct store *s)
{
    return uuid_next(&s->ids, s->now, &s->prng);
}

/* ---- life ---- */

static inline int store_setup(void **state)
{
    struct store *s = mem_zalloc(sizeof(*s));
    struct diag why;
    strcpy(s->dir, "store.XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    prng_init(&s->prng, 7);
    s->now = T0;
    s->b = batch_create();
    s->db = db_open(s->dir, &why);
    assert_non_null(s->db);
    *state = s;
    return 0;
}

static inline void remove_dir(const char *dir)
{
    char command[64];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

static inline int store_teardown(void **state)
{
    struct store *s = *state;
    db_close(s->db);
    batch_destroy(s->b);
    str_release(&s->text);
    remove_dir(s->dir);
    free(s);
    return 0;
}

/* Closes and opens again. */
static inline void store_reopen(struct store *s)
{
    struct diag why;
    db_close(s->db);
    s->db = db_open(s->dir, &why);
    assert_non_null(s->db);
}

/* ---- batches ---- */

static inline int store_try_write(struct store *s)
{
    const int err = journal_write(s->db, s->b);
    batch_reset(s->b);
    return err;
}

static inline void store_write(struct store *s)
{
    assert_int_equal(store_try_write(s), 0);
}

static inline struct uuid put_pipeline(struct store *s, int64_t key, const char *path,
                                       const char *spec)
{
    const struct uuid id = next_id(s);
    batch_add(s->b, EFFECT_PUT_PIPELINE)->put_pipeline = (struct effect_put_pipeline){
        .id = id,
        .key = key,
        .path = slice_of(path),
        .spec = slice_of(spec),
        .version = 1,
        .created_at = s->now,
        .updated_at = s->now,
    };
    return id;
}

static inline struct uuid put_trigger(struct store *s, int64_t key, int64_t pipeline_key)
{
    const struct uuid id = next_id(s);
    batch_add(s->b, EFFECT_PUT_TRIGGER)->put_trigger = (struct effect_put_trigger){
        .id = id,
        .key = key,
        .pipeline_key = pipeline_key,
        .type = SLICE("webhook"),
        .config = SLICE("{\"token_hash\":\"ab\"}"),
        .label = SLICE("trigger:webhook"),
        .enabled = true,
        .cooldown_ms = 5000,
        .created_at = s->now,
        .updated_at = s->now,
    };
    return id;
}

/* A webhook that fires trigger_key, whose id is `trigger`, for pipeline_key. */
static inline struct fired put_webhook(struct store *s, struct uuid trigger, int64_t trigger_key,
                                       int64_t pipeline_key, enum run_status status)
{
    const struct fired f = {next_id(s), next_id(s)};
    struct uuid *run = arena_alloc(&s->b->arena, sizeof(*run));
    *run = f.run;
    const struct decision d = {.trigger = trigger, .runs = run, .run_count = 1};
    batch_add(s->b, EFFECT_PUT_EVENT)->put_event = (struct effect_put_event){
        .id = f.event,
        .source = trigger_key != 0 ? "webhook" : "manual",
        .type = SLICE("webhook"),
        .content_type = SLICE("application/json"),
        .payload = SLICE("{\"n\":1}"),
        .time = s->now,
        .decisions = decision_encode(&s->b->arena, &d, 1),
    };
    batch_add(s->b, EFFECT_PUT_RUN)->put_run = (struct effect_put_run){
        .id = f.run,
        .event = f.event,
        .pipeline_key = pipeline_key,
        .version = 1,
        .trigger_key = trigger_key,
        .status = status,
        .attempt = 1,
        .started_at = status == RUN_PENDING ? WALL_UNSET : s->now,
    };
    if (trigger_key != 0)
        batch_add(s->b, EFFECT_TRIGGER_STATE)->trigger_state =
            (struct effect_trigger_state){trigger_key, s->now, f.run};
    return f;
}

static inline struct effect_move_run *put_move(struct store *s, struct uuid run,
                                               enum run_status status)
{
    const bool final = run_status_is_final(status);
    struct effect_move_run *m = &batch_add(s->b, EFFECT_MOVE_RUN)->move_run;
    *m = (struct effect_move_run){
        .id = run,
        .status = status,
        .attempt = 1,
        .started_at = status == RUN_PENDING ? WALL_UNSET : s->now,
        .finished_at = final ? (struct wall){s->now.ms + 1500} : WALL_UNSET,
        .due_at = WALL_UNSET,
    };
    return m;
}

/* ---- looking ---- */

static inline int64_t store_count(struct store *s, const char *sql)
{
    sqlite3_stmt *q = NULL;
    assert_int_equal(sqlite3_prepare_v2(s->db->sql, sql, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    const int64_t n = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return n;
}

/* The text of an id; a few are good at the same time. */
static inline const char *text_of(struct uuid id)
{
    static char texts[16][UUID_TEXT_LEN + 1];
    static unsigned n;
    char *text = texts[n++ % ARRAY_SIZE(texts)];
    uuid_format(id, text);
    return text;
}

/* Compares s->text with JSON in which ' stands for ", and empties it. */
__attribute__((format(printf, 2, 3))) static inline void expect_text(struct store *s,
                                                                     const char *fmt, ...)
{
    char *expected;
    va_list ap;
    va_start(ap, fmt);
    assert_true(vasprintf(&expected, fmt, ap) >= 0);
    va_end(ap);
    for (char *p = expected; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    assert_string_equal(s->text.p, expected);
    free(expected);
    str_reset(&s->text);
}

/* True when s->text contains it (' for "). Keeps s->text. */
static inline bool text_has(struct store *s, const char *part)
{
    char *p = mem_strdup(part);
    for (char *q = p; *q != '\0'; q++)
        if (*q == '\'')
            *q = '"';
    const bool found = strstr(s->text.p, p) != NULL;
    free(p);
    return found;
}

/* Moves a page on to the cursor at the end of s->text, which it empties. False at the end. */
static inline bool next_page(struct store *s, struct page *page, char cursor[32])
{
    static const char name[] = "\"next_cursor\":\"";
    const char *at = strstr(s->text.p, name);
    if (at == NULL)
        return false;
    at += sizeof(name) - 1;
    const size_t len = strcspn(at, "\"");
    assert_true(len < 32);
    memcpy(cursor, at, len);
    page->cursor = (struct slice){cursor, len};
    str_reset(&s->text);
    return true;
}

/* How often a text stands in s->text. */
static inline size_t text_times(struct store *s, const char *part)
{
    size_t n = 0;
    for (const char *p = s->text.p; (p = strstr(p, part)) != NULL; p++)
        n++;
    return n;
}

#endif
