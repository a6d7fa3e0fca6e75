/* A process that commits batch after batch is killed at any moment: every batch it was told is
 * committed is whole afterwards, and of the one it was in, all is there or nothing. */
#include "store_fixture.h"
#include <signal.h>
#include <sys/wait.h>

#define ROUNDS 20
#define WEBHOOKS 7

/* Commits for ever; after each commit its number goes down the pipe. */
static void commit_for_ever(struct store *s, int out, int64_t batches)
{
    for (;;) {
        for (int i = 0; i < WEBHOOKS; i++)
            put_webhook(s, UUID_NIL, 1, 1, RUN_PENDING);
        if (store_try_write(s) != 0)
            _exit(1);
        batches++;
        if (write(out, &batches, sizeof(batches)) != sizeof(batches))
            _exit(1);
    }
}

/* Ids must not repeat over the processes. */
static pid_t start_writer(struct store *s, int round, int out, int64_t batches)
{
    s->now.ms = T0.ms + round * 3600 * 1000;
    fflush(NULL);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid != 0)
        return pid;
    struct diag why;
    s->db = db_open(s->dir, &why);
    if (s->db == NULL)
        _exit(1);
    commit_for_ever(s, out, batches);
    return 0;
}

static int64_t last_acknowledged(int in, int64_t last)
{
    int64_t n;
    while (read(in, &n, sizeof(n)) == sizeof(n))
        last = n;
    return last;
}

/* Kills the writer after it has acknowledged a few batches, somewhere in the next. */
static int64_t run_and_kill(struct store *s, int round, int64_t batches)
{
    int fds[2];
    int64_t n;
    assert_int_equal(pipe(fds), 0);
    const pid_t pid = start_writer(s, round, fds[1], batches);
    close(fds[1]);
    for (int i = 0; i < 3 + round; i++)
        assert_int_equal(read(fds[0], &n, sizeof(n)), sizeof(n));
    for (uint64_t spin = prng_below(&s->prng, 300000); spin > 0; spin--)
        __asm__ volatile("");
    kill(pid, SIGKILL);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    n = last_acknowledged(fds[0], n);
    close(fds[0]);
    return n;
}

static void kills_lose_and_tear_nothing(void **state)
{
    struct store *s = *state;
    int64_t batches = 0;
    put_pipeline(s, 1, "default.bronze.orders", "{}");
    put_trigger(s, 1, 1);
    store_write(s);
    db_close(s->db);
    s->db = NULL;
    for (int round = 0; round < ROUNDS; round++) {
        const int64_t acknowledged = run_and_kill(s, round, batches);
        struct diag why;
        s->db = db_open(s->dir, &why);
        assert_non_null(s->db);
        const int64_t events = store_count(s, "SELECT count(*) FROM events");
        assert_int_equal(events % WEBHOOKS, 0);
        batches = events / WEBHOOKS;
        assert_true(batches == acknowledged || batches == acknowledged + 1);
        assert_int_equal(store_count(s, "SELECT count(*) FROM runs"), events);
        assert_int_equal(store_count(s, "SELECT count(*) FROM trigger_states, runs ON "
                                        "last_fired = (SELECT max(time) FROM events) AND "
                                        "runs.key = (SELECT max(key) FROM runs)"),
                         1);
        db_close(s->db);
        s->db = NULL;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kills_lose_and_tear_nothing, store_setup, store_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
