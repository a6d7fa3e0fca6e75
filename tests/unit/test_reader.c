#include "store_fixture.h"
#include "io/store/reader.h"

struct world {
    struct store *s;
    uv_loop_t loop;
    struct reader *reader;
    int done, closed;
};

struct probe {
    struct read_job job;
    struct world *w;
    int worked, err;
    int64_t events;
};

static void reader_closed(void *arg)
{
    ((struct world *)arg)->closed++;
}

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    void *store;
    store_setup(&store);
    w->s = store;
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->reader = reader_create(&w->loop, w->s->dir);
    *state = w;
    return 0;
}

static void close_reader(struct world *w)
{
    reader_close(w->reader, reader_closed, w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->closed, 1);
}

static int teardown(void **state)
{
    struct world *w = *state;
    if (w->closed == 0)
        close_reader(w);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    void *store = w->s;
    store_teardown(&store);
    free(w);
    return 0;
}

static void work(struct read_job *j, struct db *db)
{
    struct probe *p = container_of(j, struct probe, job);
    struct stmt q;
    p->worked++;
    stmt_begin(&q, db, "SELECT count(*) FROM events");
    if (stmt_row(&q))
        p->events = column_int(&q, 0);
    stmt_end(&q);
}

static void done(struct read_job *j, int err)
{
    struct probe *p = container_of(j, struct probe, job);
    p->err = err;
    p->w->done++;
}

static void post(struct world *w, struct probe *p)
{
    *p = (struct probe){.job = {.work = work, .done = done}, .w = w, .err = 1};
    assert_int_equal(reader_post(w->reader, &p->job), 0);
}

static void await(struct world *w, int n)
{
    while (w->done < n)
        uv_run(&w->loop, UV_RUN_ONCE);
}

static void jobs_see_what_is_committed(void **state)
{
    struct world *w = *state;
    struct probe p[50];
    for (int i = 0; i < 50; i++) {
        put_webhook(w->s, UUID_NIL, 0, 1, RUN_PENDING);
        store_write(w->s);
        post(w, &p[i]);
        await(w, i + 1);
        assert_int_equal(p[i].err, 0);
        assert_int_equal(p[i].worked, 1);
        assert_int_equal(p[i].events, i + 1);
    }
}

static void missing_database_is_an_error_and_tried_again(void **state)
{
    struct world *w = *state;
    struct probe p;
    char path[64], away[64];
    snprintf(path, sizeof(path), "%s/pawl.db", w->s->dir);
    snprintf(away, sizeof(away), "%s/away", w->s->dir);
    db_close(w->s->db);
    w->s->db = NULL;
    assert_int_equal(rename(path, away), 0);
    for (int i = 1; i <= 4; i++) {
        post(w, &p);
        await(w, i);
        assert_int_equal(p.err, -EIO);
        assert_int_equal(p.worked, 0);
    }
    assert_int_equal(rename(away, path), 0);
    for (int i = 5; i <= 8; i++) {
        post(w, &p);
        await(w, i);
        assert_int_equal(p.err, 0);
    }
}

static void close_cancels_what_waits(void **state)
{
    enum { JOBS = 200 };
    struct world *w = *state;
    static struct probe p[JOBS];
    for (int i = 0; i < JOBS; i++)
        post(w, &p[i]);
    close_reader(w);
    assert_int_equal(w->done, JOBS);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(p[i].err, p[i].worked ? 0 : -ECANCELED);
}

/* Damage that is found while reading is that query's error. */
static void damaged_table_fails_the_query_only(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 500; i++)
        put_webhook(w->s, UUID_NIL, 0, 1, RUN_PENDING);
    put_pipeline(w->s, 1, "default.bronze.orders", "{}");
    store_write(w->s);
    const int64_t root =
        store_count(w->s, "SELECT rootpage FROM sqlite_schema WHERE name = 'events'");
    store_reopen(w->s); /* copies the log */
    db_close(w->s->db);
    w->s->db = NULL;
    char path[64], junk[4096];
    snprintf(path, sizeof(path), "%s/pawl.db", w->s->dir);
    memset(junk, 0xa5, sizeof(junk));
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, junk, sizeof(junk), (root - 1) * 4096), sizeof(junk));
    close(fd);
    struct diag why;
    w->s->db = db_open(w->s->dir, &why);
    assert_non_null(w->s->db);
    const struct event_filter any = {.since = WALL_UNSET};
    const struct page page = {.limit = 5};
    assert_int_equal(query_events(w->s->db, &any, &page, &w->s->text), -EBADMSG);
    str_reset(&w->s->text);
    assert_int_equal(query_pipelines(w->s->db, &(struct pipeline_filter){{0}}, &page, &w->s->text),
                     0);
    assert_true(text_has(w->s, "'total':1"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(jobs_see_what_is_committed),
        TEST(missing_database_is_an_error_and_tried_again),
        TEST(close_cancels_what_waits),
        TEST(damaged_table_fails_the_query_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
