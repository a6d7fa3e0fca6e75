#include "store_fixture.h"
#include "fault_vfs.h"
#include "io/store/checkpoint.h"

struct world {
    struct store *s;
    uv_loop_t loop;
    struct journal *journal;
    VEC(uint64_t) numbers; /* of the batches that came back */
    VEC(int) errors;
    struct batch *returned;
    bool closed;
};

static void committed(void *arg, struct batch *b, int err)
{
    struct world *w = arg;
    vec_push(&w->numbers, b->number);
    vec_push(&w->errors, err);
    w->returned = b;
}

static void journal_closed(void *arg)
{
    ((struct world *)arg)->closed = true;
}

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    void *store;
    store_setup(&store);
    w->s = store;
    put_pipeline(w->s, 1, "default.bronze.orders", "{}");
    put_trigger(w->s, 1, 1);
    store_write(w->s);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->journal = journal_create(&w->loop, w->s->db, committed, w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    journal_close(w->journal, journal_closed, w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_true(w->closed);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    vec_release(&w->numbers);
    vec_release(&w->errors);
    w->s->db = NULL; /* the journal closed it */
    void *store = w->s;
    store_teardown(&store);
    free(w);
    return 0;
}

/* Commits b and waits for it. */
static int commit(struct world *w, struct batch *b)
{
    const size_t before = w->errors.len;
    journal_commit(w->journal, b);
    assert_true(journal_busy(w->journal));
    assert_int_equal(w->errors.len, before); /* never from inside */
    while (w->errors.len == before)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_false(journal_busy(w->journal));
    assert_ptr_equal(w->returned, b);
    return w->errors.items[before];
}

static int commit_webhooks(struct world *w, int n)
{
    for (int i = 0; i < n; i++)
        put_webhook(w->s, UUID_NIL, 1, 1, RUN_PENDING);
    const int err = commit(w, w->s->b);
    batch_reset(w->s->b);
    return err;
}

static int64_t read_one(struct world *w, const char *sql)
{
    struct diag why;
    struct store reading = {.db = db_open_reader(w->s->dir, &why)};
    assert_non_null(reading.db);
    const int64_t n = store_count(&reading, sql);
    db_close(reading.db);
    return n;
}

static void batches_come_back_committed(void **state)
{
    struct world *w = *state;
    for (uint64_t i = 1; i <= 20; i++) {
        w->s->b->number = i;
        assert_int_equal(commit_webhooks(w, 3), 0);
        assert_int_equal(w->numbers.items[i - 1], i);
        assert_int_equal(read_one(w, "SELECT count(*) FROM events"), 3 * i);
    }
    const struct journal_stats st = journal_stats(w->journal);
    assert_int_equal(st.commits, 20);
    assert_int_equal(st.records, 20 * 9);
    assert_int_equal(st.failures, 0);
    assert_int_equal(st.last_err, 0);
    assert_true(st.commit_us_sum > 0 && st.wal_bytes > 0);
}

static void batch_without_records_comes_back_too(void **state)
{
    struct world *w = *state;
    batch_add(w->s->b, EFFECT_REPLY);
    fault_arm(FAULT_EIO, 1, true);
    assert_int_equal(commit(w, w->s->b), 0);
    assert_int_equal(fault_disarm(), 0);
    assert_int_equal(journal_stats(w->journal).commits, 0);
}

static void full_disk_fails_batches_until_there_is_room(void **state)
{
    struct world *w = *state;
    fault_arm(FAULT_ENOSPC, 1, true);
    assert_int_equal(commit_webhooks(w, 3), -ENOSPC);
    assert_int_equal(commit_webhooks(w, 3), -ENOSPC);
    assert_int_equal(journal_stats(w->journal).last_err, -ENOSPC);
    assert_true(fault_disarm() > 0);
    assert_int_equal(commit_webhooks(w, 3), 0);
    assert_int_equal(read_one(w, "SELECT count(*) FROM runs"), 3);
    const struct journal_stats st = journal_stats(w->journal);
    assert_int_equal(st.failures, 2);
    assert_int_equal(st.commits, 1);
    assert_int_equal(st.last_err, 0);
}

static int64_t log_bytes(struct world *w)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof(path), "%s/pawl.db-wal", w->s->dir);
    return stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
}

/* Several times the log's bound goes through it. */
static void log_stays_short(void **state)
{
    struct world *w = *state;
    const int64_t bound = (int64_t)(3 * CHECKPOINT_FRAMES) * 4120;
    uint64_t written = 0, last = 0;
    while (written < 6 * CHECKPOINT_FRAMES * 4096ULL) {
        w->s->now.ms++;
        assert_int_equal(commit_webhooks(w, 500), 0);
        const uint64_t now = journal_stats(w->journal).wal_bytes;
        written += now > last ? now - last : now;
        last = now;
    }
    assert_in_range(log_bytes(w), 1, bound);
}

/* A failing checkpoint keeps nothing from being committed, and is made good later. */
static void log_grows_while_it_cannot_be_copied(void **state)
{
    struct world *w = *state;
    struct diag why;
    struct db *reader = db_open_reader(w->s->dir, &why); /* a reader that stays pins the log */
    assert_int_equal(stmt_exec(reader, "BEGIN"), 0);
    struct store reading = {.db = reader};
    assert_int_equal(store_count(&reading, "SELECT count(*) FROM events"), 0);
    while (journal_stats(w->journal).wal_bytes < 2 * CHECKPOINT_FRAMES * 4096ULL)
        assert_int_equal(commit_webhooks(w, 500), 0);
    assert_int_equal(store_count(&reading, "SELECT count(*) FROM events"), 0);
    assert_int_equal(stmt_exec(reader, "ROLLBACK"), 0);
    db_close(reader);
    const uint64_t long_log = journal_stats(w->journal).wal_bytes;
    for (int i = 0; i < 2000 && journal_stats(w->journal).wal_bytes >= long_log; i++)
        assert_int_equal(commit_webhooks(w, 100), 0);
    assert_true(journal_stats(w->journal).wal_bytes < long_log);
}

static void retention_runs_between_batches(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 1000; i++) {
        const struct fired f = put_webhook(w->s, UUID_NIL, 1, 1, RUN_RUNNING);
        put_move(w->s, f.run, RUN_SUCCESS);
    }
    assert_int_equal(commit(w, w->s->b), 0);
    batch_reset(w->s->b);
    const struct retention keep_10 = {.count_max = 10};
    journal_retain(w->journal, &keep_10, w->s->now);
    journal_retain(w->journal, &keep_10, w->s->now);
    int64_t n = 0;
    for (int i = 1; i <= 1000; i++) {
        assert_int_equal(commit_webhooks(w, 1), 0);
        n = read_one(w, "SELECT count(*) FROM events");
        if (n <= 10 + i)
            return;
    }
    fail_msg("%d events are left", (int)n);
}

static void close_ends_retention(void **state)
{
    struct world *w = *state;
    assert_int_equal(commit_webhooks(w, 1000), 0);
    journal_retain(w->journal, &(struct retention){.age_ms = 1}, w->s->now);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(batches_come_back_committed),
        TEST(batch_without_records_comes_back_too),
        TEST(full_disk_fails_batches_until_there_is_room),
        TEST(log_stays_short),
        TEST(log_grows_while_it_cannot_be_copied),
        TEST(retention_runs_between_batches),
        TEST(close_ends_retention),
    };
    fault_vfs_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
