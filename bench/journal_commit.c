/* journal_commit - what a commit costs: batches of webhooks through journal_write(), without the
 * daemon, beside a bare loop of write and fdatasync in the same run.
 *
 *     bench_journal_commit [DIR]           DIR must be on a real disk; default: the current directory
 *
 * Each webhook is an event with 150 bytes of payload, a pending run, and the trigger's state (once
 * per batch). `begin+write` is the time in BEGIN and the statements, `commit` the rest: log writes
 * and the sync. `frames` are the 4 KiB pages a commit adds to the log.
 */
#include "core/decision.h"
#include "core/effect.h"
#include "io/store/checkpoint.h"
#include "io/store/journal.h"
#include "io/store/stmt.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BARE_ROUNDS 2000

static struct uuid_gen ids;
static struct prng prng;
static struct wall wall = {1790000000000};

static double clock_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void put_catalog(struct batch *b)
{
    batch_add(b, EFFECT_PUT_PIPELINE)->put_pipeline =
        (struct effect_put_pipeline){.id = uuid_next(&ids, wall, &prng),
                                     .key = 1,
                                     .path = SLICE("bench.bronze.hook"),
                                     .spec = SLICE("{\"executor\":{\"type\":\"pull\"}}"),
                                     .version = 1,
                                     .created_at = wall,
                                     .updated_at = wall};
    batch_add(b, EFFECT_PUT_TRIGGER)->put_trigger =
        (struct effect_put_trigger){.id = uuid_next(&ids, wall, &prng),
                                    .key = 1,
                                    .pipeline_key = 1,
                                    .type = SLICE("webhook"),
                                    .config = SLICE("{}"),
                                    .label = SLICE("trigger:webhook"),
                                    .enabled = true,
                                    .created_at = wall,
                                    .updated_at = wall};
}

static void put_webhooks(struct batch *b, int n)
{
    static char payload[150];
    memset(payload, 'x', sizeof(payload));
    struct effect *state = NULL;
    for (int i = 0; i < n; i++) {
        wall.ms += i % 16 == 0;
        struct uuid *run = arena_alloc(&b->arena, sizeof(*run));
        const struct uuid event = uuid_next(&ids, wall, &prng);
        *run = uuid_next(&ids, wall, &prng);
        const struct decision d = {.trigger = event, .runs = run, .run_count = 1};
        batch_add(b, EFFECT_PUT_EVENT)->put_event =
            (struct effect_put_event){.id = event,
                                      .source = "webhook",
                                      .type = SLICE("webhook"),
                                      .content_type = SLICE("application/json"),
                                      .payload = {payload, sizeof(payload)},
                                      .time = wall,
                                      .decisions = decision_encode(&b->arena, &d, 1)};
        batch_add(b, EFFECT_PUT_RUN)->put_run = (struct effect_put_run){.id = *run,
                                                                        .event = event,
                                                                        .pipeline_key = 1,
                                                                        .version = 1,
                                                                        .trigger_key = 1,
                                                                        .status = RUN_PENDING,
                                                                        .attempt = 1,
                                                                        .started_at = WALL_UNSET};
        if (state == NULL)
            state = batch_add(b, EFFECT_TRIGGER_STATE);
        state->trigger_state = (struct effect_trigger_state){1, wall, *run};
    }
}

/* The hook runs inside COMMIT, before anything is written. */
static double commit_began;

static int note_commit(void *arg)
{
    commit_began = clock_us(CLOCK_MONOTONIC);
    return 0;
}

static double bare_us(const char *dir, size_t size)
{
    char path[4200];
    snprintf(path, sizeof(path), "%s/bare", dir);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char *bytes = calloc(1, size);
    if (fd < 0 || bytes == NULL)
        die(path, "cannot be made");
    for (int i = 0; i < 64; i++)
        if (pwrite(fd, bytes, size, (off_t)(i * (int)size)) < 0)
            die(path, "cannot be written");
    fdatasync(fd);
    const double begin = clock_us(CLOCK_MONOTONIC);
    for (int i = 0; i < BARE_ROUNDS; i++)
        if (pwrite(fd, bytes, size, (off_t)(i % 64 * (int)size)) < 0 || fdatasync(fd) < 0)
            die(path, "cannot be written");
    const double us = (clock_us(CLOCK_MONOTONIC) - begin) / BARE_ROUNDS;
    close(fd);
    unlink(path);
    free(bytes);
    return us;
}

static void measure(struct db *db, const char *dir, int size, int rounds)
{
    struct batch *b = batch_create();
    double write_us = 0, sync_us = 0, cpu_us = 0, checkpoint_us = 0;
    uint64_t frames = 0, last = db->wal_frames;
    int checkpoints = 0;
    for (int i = 0; i < rounds; i++) {
        batch_reset(b);
        put_webhooks(b, size);
        const double cpu = clock_us(CLOCK_THREAD_CPUTIME_ID), begin = clock_us(CLOCK_MONOTONIC);
        if (journal_write(db, b) != 0)
            die("commit", db_error_text(db));
        const double end = clock_us(CLOCK_MONOTONIC);
        cpu_us += clock_us(CLOCK_THREAD_CPUTIME_ID) - cpu;
        write_us += commit_began - begin;
        sync_us += end - commit_began;
        frames += db->wal_frames > last ? db->wal_frames - last : db->wal_frames;
        last = db->wal_frames;
        if (last < CHECKPOINT_FRAMES)
            continue;
        sqlite3_wal_checkpoint_v2(db->sql, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        checkpoint_us += clock_us(CLOCK_MONOTONIC) - end;
        checkpoints++;
    }
    const double total = write_us + sync_us;
    printf("%6d  %9.1f  %9.1f  %9.1f  %8.1f  %7.1f  %10.0f  %9.1f  (%.1f ms x %d)\n", size,
           total / rounds, write_us / rounds, sync_us / rounds, cpu_us / rounds,
           (double)frames / rounds, 1e6 * size * rounds / total, bare_us(dir, 4096),
           checkpoints > 0 ? checkpoint_us / checkpoints / 1e3 : 0, checkpoints);
    fflush(stdout);
    batch_destroy(b);
}

int main(int argc, char **argv)
{
    static const struct {
        int size, rounds;
    } sizes[] = {{1, 3000}, {32, 3000}, {64, 3000}, {256, 800}, {10000, 10}};
    char dir[4096];
    snprintf(dir, sizeof(dir), "%s/journal_commit.XXXXXX", argc > 1 ? argv[1] : ".");
    struct diag why;
    if (mkdtemp(dir) == NULL)
        die(dir, "cannot be made");
    struct db *db = db_open(dir, &why);
    if (db == NULL)
        die("open", why.msg);
    prng_init(&prng, 1);
    sqlite3_commit_hook(db->sql, note_commit, NULL);
    struct batch *b = batch_create();
    put_catalog(b);
    if (journal_write(db, b) != 0)
        die("catalog", db_error_text(db));
    batch_destroy(b);
    printf("bare write+fdatasync: %.1f us for 4 KiB, %.1f us for 64 KiB\n", bare_us(dir, 4096),
           bare_us(dir, 65536));
    printf("%6s  %9s  %9s  %9s  %8s  %7s  %10s  %9s  %s\n", "batch", "us", "begin+write", "commit",
           "cpu", "frames", "webhooks/s", "bare 4KiB", "(checkpoints)");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        measure(db, dir, sizes[i].size, sizes[i].rounds);
    db_close(db);
    char command[4200];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command) != 0;
}
