/* Whatever write or sync fails during a commit: all of the batch is there or nothing is, readers see
 * only what was committed, and the next commit works. */
#include "store_fixture.h"
#include "fault_vfs.h"
#include <sys/wait.h>

#define WEBHOOKS 40 /* enough for several pages of log */

static int setup(void **state)
{
    store_setup(state);
    struct store *s = *state;
    put_pipeline(s, 1, "default.bronze.orders", "{}");
    put_trigger(s, 1, 1);
    store_write(s);
    return 0;
}

static void put_webhooks(struct store *s, int n)
{
    for (int i = 0; i < n; i++)
        put_webhook(s, UUID_NIL, 1, 1, RUN_PENDING);
}

static int64_t read_count(struct db *reader, const char *sql)
{
    struct stmt q;
    stmt_begin(&q, reader, sql);
    assert_true(stmt_row(&q));
    const int64_t n = column_int(&q, 0);
    assert_int_equal(stmt_end(&q), 0);
    return n;
}

static void expect_webhooks(struct store *s, struct db *reader, int64_t n)
{
    assert_int_equal(store_count(s, "SELECT count(*) FROM events"), n);
    assert_int_equal(store_count(s, "SELECT count(*) FROM runs"), n);
    assert_int_equal(read_count(reader, "SELECT count(*) FROM events"), n);
    assert_int_equal(read_count(reader, "SELECT count(*) FROM runs"), n);
}

static void whole_or_not_at_all(struct store *s, enum fault fault, bool lasts)
{
    struct diag why;
    struct db *reader = db_open_reader(s->dir, &why);
    assert_non_null(reader);
    int64_t n = store_count(s, "SELECT count(*) FROM events");
    unsigned hits = 1, failures = 0;
    for (unsigned nth = 1; hits > 0; nth++) {
        put_webhooks(s, WEBHOOKS);
        fault_arm(fault, nth, lasts);
        const int err = store_try_write(s);
        hits = fault_disarm();
        assert_true(err == 0 || hits > 0);
        assert_true(err == 0 || err == (fault == FAULT_ENOSPC ? -ENOSPC : -EIO));
        failures += err != 0;
        n += err == 0 ? WEBHOOKS : 0;
        expect_webhooks(s, reader, n);

        put_webhooks(s, 1);
        store_write(s);
        expect_webhooks(s, reader, ++n);
    }
    assert_true(failures > 0);
    db_close(reader);
    store_reopen(s);
    assert_int_equal(store_count(s, "SELECT count(*) FROM events"), n);
    assert_int_equal(store_count(s, "SELECT count(*) FROM pragma_integrity_check WHERE "
                                    "integrity_check <> 'ok'"),
                     0);
}

static void no_room(void **state)
{
    whole_or_not_at_all(*state, FAULT_ENOSPC, false);
}

static void no_room_for_long(void **state)
{
    whole_or_not_at_all(*state, FAULT_ENOSPC, true);
}

static void bad_write(void **state)
{
    whole_or_not_at_all(*state, FAULT_EIO, false);
}

static void torn_write(void **state)
{
    whole_or_not_at_all(*state, FAULT_TORN, true);
}

static void bad_sync(void **state)
{
    whole_or_not_at_all(*state, FAULT_SYNC, false);
}

/* A checkpoint may fail at any write: what is committed stays readable from the log. */
static void checkpoint_faults_lose_nothing(void **state)
{
    static const enum fault faults[] = {FAULT_ENOSPC, FAULT_EIO, FAULT_TORN, FAULT_SYNC};
    struct store *s = *state;
    int64_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        unsigned hits = 1;
        put_webhooks(s, WEBHOOKS);
        store_write(s);
        n += WEBHOOKS;
        for (unsigned nth = 1; hits > 0; nth++) {
            fault_arm(faults[i], nth, false);
            sqlite3_wal_checkpoint_v2(s->db->sql, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
            hits = fault_disarm();
            assert_int_equal(store_count(s, "SELECT count(*) FROM events"), n);
        }
    }
    store_reopen(s);
    assert_int_equal(store_count(s, "SELECT count(*) FROM events"), n);
}

/* Refused is refused: a crash after a failed sync must not bring the batch back. */
static void crash_after_a_failed_sync(void **state)
{
    struct store *s = *state;
    put_webhooks(s, 3);
    store_write(s);
    db_close(s->db);
    s->db = NULL;
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        struct diag why;
        s->db = db_open(s->dir, &why);
        put_webhooks(s, 2);
        const int first = store_try_write(s);
        put_webhooks(s, WEBHOOKS);
        fault_arm(FAULT_SYNC, 1, true);
        _exit(first == 0 && store_try_write(s) == -EIO ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    struct diag why;
    s->db = db_open(s->dir, &why);
    assert_non_null(s->db);
    assert_int_equal(store_count(s, "SELECT count(*) FROM events"), 5);
    s->now.ms++; /* ids beyond the child's */
    put_webhooks(s, 1);
    store_write(s);
}

/* Two records that cannot both be: the second undoes the first. */
static void conflict_undoes_the_batch(void **state)
{
    struct store *s = *state;
    put_webhooks(s, 2);
    put_pipeline(s, 1, "default.bronze.orders", "{}"); /* its version 1 exists */
    assert_int_equal(store_try_write(s), -EEXIST);
    assert_int_equal(store_count(s, "SELECT count(*) FROM events"), 0);
    put_webhooks(s, 2);
    store_write(s);
    assert_int_equal(store_count(s, "SELECT count(*) FROM events"), 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, store_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_room),
        TEST(no_room_for_long),
        TEST(bad_write),
        TEST(torn_write),
        TEST(bad_sync),
        TEST(checkpoint_faults_lose_nothing),
        TEST(crash_after_a_failed_sync),
        TEST(conflict_undoes_the_batch),
    };
    fault_vfs_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
