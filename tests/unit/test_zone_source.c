/* The zone source on a real loop with a real directory and a real store, whose commits fail when the test says so. */
#include "base/check.h"
#include "base/mem.h"
#include "core/engine.h"
#include "io/http/http.h"
#include "io/store/journal.h"
#include "io/store/query.h"
#include "io/store/reader.h"
#include "io/store/stmt.h"
#include "pawl/source.h"
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

#define WAIT_MS 100000

struct world {
    uv_loop_t loop;
    struct timers timers;
    struct host host;
    struct engine *engine;
    struct reader *reader;
    struct http_server *http;
    struct db *db;
    struct source *source;
    uv_prepare_t commits;
    char dir[40], in[64];
    unsigned failures; /* the next commits that fail */
    unsigned refusals; /* the next events that are not taken */
    bool closed;
};

static struct now world_now(struct host *h)
{
    return clock_now(h->loop);
}

static int world_feed(struct host *h, const struct event *ev)
{
    struct world *w = container_of(h, struct world, host);
    if (w->refusals > 0) {
        w->refusals--;
        return -ENOBUFS;
    }
    return engine_feed(w->engine, world_now(h), ev);
}

static int world_read(struct host *h, struct read_job *j)
{
    return reader_post(container_of(h, struct world, host)->reader, j);
}

static void carry_out(struct world *w, const struct effect *f)
{
    if (f->type == EFFECT_REPLY)
        f->reply.ticket->done(f->reply.ticket, &f->reply.outcome);
    else if (f->type == EFFECT_ARM && w->host.zones != NULL)
        w->host.zones->changed(w->host.zones);
}

static void commit(uv_prepare_t *p)
{
    struct world *w = container_of(p, struct world, commits);
    struct batch *b = engine_take(w->engine);
    if (b == NULL)
        return;
    const bool fails = w->failures > 0;
    w->failures -= fails;
    engine_settle(w->engine, world_now(&w->host), b, fails ? -EIO : journal_write(w->db, b));
    for (const struct effect *next, *f = b->first; f != NULL; f = next) {
        next = f->next;
        carry_out(w, f);
    }
    engine_recycle(w->engine, b);
}

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    struct diag why;
    const struct engine_options opt = {.running_max = 1, .batch_bytes_max = 1 << 20};
    strcpy(w->dir, "/tmp/pawl-zone-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->in, sizeof(w->in), "%s/in", w->dir);
    assert_int_equal(mkdir(w->in, 0700), 0);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    timers_init(&w->timers, &w->loop);
    w->db = db_open(w->dir, &why);
    assert_non_null(w->db);
    w->engine = engine_create(&opt, clock_now(&w->loop), 1);
    w->reader = reader_create(&w->loop, w->dir);
    w->http = http_server_create(&(struct http_server_options){
        .loop = &w->loop, .timers = &w->timers, .limits = http_limits_default});
    w->host = (struct host){
        .loop = &w->loop,
        .timers = &w->timers,
        .engine = w->engine,
        .data = w->dir,
        .now = world_now,
        .feed = world_feed,
        .read = world_read,
    };
    uv_prepare_init(&w->loop, &w->commits);
    uv_prepare_start(&w->commits, commit);
    for (size_t i = 0; source_types[i] != NULL; i++)
        if (strcmp(source_types[i]->name, "zone") == 0)
            w->source = source_types[i]->start(&w->host, w->http, &why);
    assert_non_null(w->source);
    *state = w;
    return 0;
}

static void http_closed(void *arg)
{
    timers_close(&((struct world *)arg)->timers, NULL);
}

static void reader_closed(void *arg)
{
    struct world *w = arg;
    uv_close((uv_handle_t *)&w->commits, NULL);
    http_server_stop(w->http, 0, http_closed, w);
}

static void source_closed(void *arg)
{
    struct world *w = arg;
    w->closed = true;
    reader_close(w->reader, reader_closed, w);
}

static int teardown(void **state)
{
    struct world *w = *state;
    char command[80];
    for (size_t i = 0; source_types[i] != NULL; i++)
        if (strcmp(source_types[i]->name, "zone") == 0)
            source_types[i]->stop(w->source, source_closed, w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_true(w->closed);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    engine_destroy(w->engine);
    db_close(w->db);
    snprintf(command, sizeof(command), "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

/* ---- what tests do and see ---- */

static int64_t count(struct world *w, const char *sql)
{
    sqlite3_stmt *q = NULL;
    assert_int_equal(sqlite3_prepare_v2(w->db->sql, sql, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    const int64_t n = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return n;
}

static int64_t events(struct world *w)
{
    return count(w, "SELECT count(*) FROM events");
}

static void await(struct world *w, const char *sql, int64_t n)
{
    const uint64_t give_up = uv_hrtime() / 1000000 + WAIT_MS;
    while (count(w, sql) < n) {
        assert_true(uv_hrtime() / 1000000 < give_up);
        assert_true(uv_run(&w->loop, UV_RUN_NOWAIT) != 0);
    }
    assert_int_equal(count(w, sql), n);
}

static void await_events(struct world *w, int64_t n)
{
    await(w, "SELECT count(*) FROM events", n);
}

struct waiter {
    struct zone_waiter w;
    bool done;
};

static void waited(struct zone_waiter *x)
{
    container_of(x, struct waiter, w)->done = true;
}

/* Adds a zone and waits until it is watched. */
static struct zone *add(struct world *w, const char *path, const char *directory, const char *spec)
{
    struct diag why;
    struct zone_def *def = zone_def_parse(slice_of(spec), (struct wall){0}, &why);
    assert_non_null(def);
    uv_update_time(&w->loop); /* files were made since the last turn */
    struct zone *z = engine_add_zone(w->engine, world_now(&w->host), slice_of(path),
                                     slice_of(directory), false, def, NULL);
    const struct uuid id = z->id;
    char sql[128];
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM zones WHERE path = '%s'", path);
    const unsigned failures = w->failures;
    while (count(w, sql) == 0 && w->failures == failures)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    struct waiter x = {.w = {.zone = id, .done = waited}};
    w->host.zones->await(w->host.zones, &x.w);
    while (!x.done)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    return catalog_zone(engine_catalog(w->engine), id);
}

static void put(struct world *w, const char *name)
{
    char from[80], to[400];
    snprintf(from, sizeof(from), "%s/.new", w->in);
    snprintf(to, sizeof(to), "%s/%s", w->in, name);
    const int fd = open(from, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, name, strlen(name)), strlen(name));
    close(fd);
    assert_int_equal(rename(from, to), 0);
}

static void files_arrive(void **state)
{
    struct world *w = *state;
    add(w, "default.in", w->in, "{}");
    assert_null(w->host.zones->troubles);
    put(w, "a");
    await_events(w, 1);
    put(w, "b\nc");
    await_events(w, 2);
    assert_int_equal(count(w, "SELECT count(*) FROM files"), 2);
}

static void failed_commits_lose_and_double_nothing(void **state)
{
    struct world *w = *state;
    char name[16];
    add(w, "default.in", w->in, "{}");
    await(w, "SELECT primed FROM zones", 1);
    w->failures = 3;
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        put(w, name);
    }
    await_events(w, 50);
    assert_int_equal(w->failures, 0);
    assert_int_equal(count(w, "SELECT count(DISTINCT subject) FROM events"), 50);
    assert_int_equal(count(w, "SELECT count(*) FROM files"), 50);
}

static void a_full_engine_is_waited_for(void **state)
{
    struct world *w = *state;
    char name[16];
    add(w, "default.in", w->in, "{}");
    w->refusals = 20;
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        put(w, name);
    }
    await_events(w, 30);
    assert_int_equal(w->refusals, 0);
}

static void a_zone_that_did_not_come_to_be_is_not_watched(void **state)
{
    struct world *w = *state;
    w->failures = 1;
    assert_null(add(w, "default.in", w->in, "{}"));
    put(w, "a");
    add(w, "default.again", w->in, "{}");
    put(w, "b");
    await_events(w, 1);
}

static void a_scan_of_many_comes_in_slices(void **state)
{
    struct world *w = *state;
    char name[16];
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        put(w, name);
    }
    add(w, "default.in", w->in, "{}");
    await(w, "SELECT primed FROM zones", 1);
    assert_int_equal(count(w, "SELECT files FROM zone_totals"), 3000);
    assert_int_equal(events(w), 0);
    struct zone *other =
        add(w, "default.other", w->in, "{\"initial\":\"fire\",\"include\":[\"f1*\"]}");
    await_events(w, 1111);
    engine_drop_zone(w->engine, world_now(&w->host), other, NULL);
    put(w, "last");
    await_events(w, 1112);
}

static void a_missing_directory_is_a_trouble(void **state)
{
    struct world *w = *state;
    char missing[80];
    snprintf(missing, sizeof(missing), "%s/none", w->dir);
    add(w, "default.in", missing, "{}");
    assert_non_null(w->host.zones->troubles);
    assert_string_equal(w->host.zones->troubles->path, "default.in");
    assert_string_equal(w->host.zones->troubles->status, "error");
    assert_int_equal(rename(w->in, missing), 0);
    strcpy(w->in, missing);
    put(w, "came with it");
    await_events(w, 1);
    assert_null(w->host.zones->troubles);
}

/* Nobody waits for anything when the source is told to stop: teardown finds all closed. */
static void it_stops_in_the_middle(void **state)
{
    struct world *w = *state;
    char name[16];
    add(w, "default.in", w->in, "{\"recursive\":true}");
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        put(w, name);
    }
    const int busy = open(w->in, O_TMPFILE | O_WRONLY, 0600);
    for (int i = 0; i < 3; i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    close(busy);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(files_arrive),
        CASE(failed_commits_lose_and_double_nothing),
        CASE(a_full_engine_is_waited_for),
        CASE(a_zone_that_did_not_come_to_be_is_not_watched),
        CASE(a_scan_of_many_comes_in_slices),
        CASE(a_missing_directory_is_a_trouble),
        CASE(it_stops_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
