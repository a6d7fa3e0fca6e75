/* executor_fixture.h - a dispatcher on a real loop, with a host that only remembers how runs ended. */
#ifndef UNIT_EXECUTOR_FIXTURE_H
#define UNIT_EXECUTOR_FIXTURE_H
#include "base/check.h"
#include "base/mem.h"
#include "base/vec.h"
#include "executor/dispatcher.h"
#include "io/loop/timers.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* How a run ended. */
struct end {
    struct uuid run;
    enum run_status status;
    char *output, *error, *log, *steps;
    size_t output_len, log_len;
    bool interrupted;
    uint32_t attempt;
};

struct world {
    uv_loop_t loop;
    struct timers timers;
    struct host host;
    struct dispatcher *dispatcher;
    VEC(struct end) ends;
    uint32_t started;
    size_t news; /* calls of run_news */
    char dir[32];
    int ready; /* the reading end of the fifo `ready`, held open for commands to say that they got somewhere */
    char ready_path[48];
};

static inline struct now world_now(struct host *h)
{
    return clock_now(h->loop);
}

static inline char *copy_slice(struct slice s)
{
    return mem_dup(s.p != NULL ? s.p : "", s.len);
}

static inline void world_run_finished(struct host *h, const struct run_result *r)
{
    struct world *w = container_of(h, struct world, host);
    for (size_t i = 0; i < w->ends.len; i++)
        assert_int_not_equal(uuid_cmp(w->ends.items[i].run, r->run), 0);
    assert_true(r->error.p == NULL || utf8_valid(r->error));
    struct end e = {.run = r->run,
                    .status = r->status,
                    .output = copy_slice(r->output),
                    .error = copy_slice(r->error),
                    .log = copy_slice(r->log),
                    .steps = copy_slice(r->steps),
                    .output_len = r->output.len,
                    .log_len = r->log.len,
                    .interrupted = r->interrupted,
                    .attempt = r->attempt};
    vec_push(&w->ends, e);
    uv_stop(h->loop); /* a turn that ran a timer would go on to wait for something else */
}

static inline void world_run_news(struct host *h, struct uuid run, struct run_log *log)
{
    struct world *w = container_of(h, struct world, host);
    w->news++;
}

/* There is no store: nothing is kept of a log while its run goes on. */
static inline int world_keep_log(struct host *h, struct uuid run, uint32_t attempt, uint64_t at,
                                 struct slice text)
{
    return -ENOENT;
}

static inline int world_setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN); /* as a careless parent may leave it */
    CHECK(uv_loop_init(&w->loop) == 0);
    timers_init(&w->timers, &w->loop);
    w->host = (struct host){.loop = &w->loop,
                            .timers = &w->timers,
                            .now = world_now,
                            .run_news = world_run_news,
                            .keep_log = world_keep_log,
                            .run_finished = world_run_finished};
    w->dispatcher = dispatcher_create(&w->host);
    strcpy(w->dir, "/tmp/pawl-test-XXXXXX");
    CHECK(mkdtemp(w->dir) != NULL);
    snprintf(w->ready_path, sizeof(w->ready_path), "%s/ready", w->dir);
    CHECK(mkfifo(w->ready_path, 0600) == 0);
    w->ready = open(w->ready_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    CHECK(w->ready >= 0);
    *state = w;
    return 0;
}

static inline void world_closed(void *arg)
{
    struct world *w = arg;
    timers_close(&w->timers, NULL);
}

static inline void world_forget_ends(struct world *w)
{
    for (size_t i = 0; i < w->ends.len; i++) {
        free(w->ends.items[i].output);
        free(w->ends.items[i].error);
        free(w->ends.items[i].log);
        free(w->ends.items[i].steps);
    }
    vec_release(&w->ends);
}

static inline int world_teardown(void **state)
{
    struct world *w = *state;
    dispatcher_close(w->dispatcher, world_closed, w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&w->loop) == 0);
    world_forget_ends(w);
    close(w->ready);
    unlink(w->ready_path);
    rmdir(w->dir);
    free(w);
    return 0;
}

/* Runs the loop until `count` runs have ended since the world began. */
static inline void world_await(struct world *w, size_t count)
{
    while (w->ends.len < count)
        if (uv_run(&w->loop, UV_RUN_ONCE) == 0 && w->ends.len < count)
            fail_msg("nothing left to wait for: %zu of %zu runs ended", w->ends.len, count);
}

static inline struct end *world_last(struct world *w)
{
    assert_true(w->ends.len > 0);
    return &w->ends.items[w->ends.len - 1];
}

/* Runs the loop until commands have written `count` more bytes to the fifo. */
static inline void world_await_ready(struct world *w, size_t count)
{
    char buf[256];
    while (count > 0) {
        struct pollfd p = {.fd = w->ready, .events = POLLIN};
        uv_run(&w->loop, UV_RUN_NOWAIT);
        if (poll(&p, 1, 1) != 1 || !(p.revents & POLLIN))
            continue;
        ssize_t n = read(w->ready, buf, sizeof(buf) < count ? sizeof(buf) : count);
        assert_true(n >= 0);
        count -= (size_t)n;
    }
}

/* The same, unless a run ends before that: false then, and nothing is left in the fifo. For tests of time limits, which have to be
 * long enough for a command to get somewhere, on a machine of any speed. */
static inline bool world_gets_ready(struct world *w, size_t count)
{
    const size_t ends = w->ends.len;
    char buf[256];
    for (size_t got = 0; got < count;) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
        const bool ended = w->ends.len > ends;
        struct pollfd p = {.fd = w->ready, .events = POLLIN};
        if (poll(&p, 1, 1) == 1 && (p.revents & POLLIN)) {
            const ssize_t n = read(w->ready, buf, count - got < sizeof(buf) ? count - got : sizeof(buf));
            assert_true(n >= 0);
            got += (size_t)n;
        } else if (ended) {
            return false;
        }
    }
    return true;
}

/* True once nobody holds the fifo open for writing any more; false when someone still does after wait_ms. */
static inline bool world_ready_is_let_go(struct world *w, int wait_ms)
{
    struct pollfd p = {.fd = w->ready, .events = POLLIN};
    return poll(&p, 1, wait_ms) == 1 && (p.revents & POLLHUP) != 0;
}

static inline struct uuid run_id(uint32_t number)
{
    struct uuid id = {{0x01, 0x90, 0xa0, 0, 0, 0, 0x70, 0, 0x80}};
    id.b[12] = (uint8_t)(number >> 24);
    id.b[13] = (uint8_t)(number >> 16);
    id.b[14] = (uint8_t)(number >> 8);
    id.b[15] = (uint8_t)number;
    return id;
}

/* A run_start of the next run with everything set but the spec. */
static inline struct run_start world_next(struct world *w)
{
    return (struct run_start){.run = run_id(++w->started),
                              .event = run_id(0xe0000000u + w->started),
                              .pipeline = SLICE("shop.silver.orders"),
                              .version = 1,
                              .attempt = 1,
                              .trigger_type = SLICE("webhook"),
                              .source = SLICE("webhook"),
                              .type = SLICE("webhook"),
                              .payload = SLICE("{\"n\": 1}"),
                              .event_time = {INT64_C(1770977100123)}};
}

/* Starts a run; spec is JSON with ' for ". */
static inline struct uuid world_start(struct world *w, struct run_start s, const char *spec)
{
    char *text = mem_strdup(spec);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\'')
            *c = '"';
    s.spec = slice_of(text);
    size_t ends = w->ends.len, running = dispatcher_running(w->dispatcher);
    dispatcher_start(w->dispatcher, &s);
    assert_int_equal(w->ends.len, ends); /* never from inside */
    assert_int_equal(dispatcher_running(w->dispatcher), running + 1);
    free(text);
    return s.run;
}

/* Starts a shell script; extra is more JSON for the executor, beginning with a comma, or "". The script must not contain '. */
static inline struct uuid world_start_script(struct world *w, struct run_start s,
                                             const char *script, const char *extra)
{
    struct str spec = {0};
    str_add_cstr(&spec, "{'executor':{'type':'command','argv':['sh','-c',");
    str_add_json(&spec, slice_of(script));
    str_printf(&spec, ",'%s']%s}}", w->dir, extra);
    struct uuid run = world_start(w, s, spec.p);
    str_release(&spec);
    return run;
}

static inline void expect_end(const struct end *e, enum run_status status, const char *output,
                              const char *error)
{
    if (strcmp(e->error, error) != 0 || e->status != status)
        fail_msg("expected %s '%s', was %s '%s'", run_status_name(status), error,
                 run_status_name(e->status), e->error);
    if (output != NULL)
        assert_string_equal(e->output, output);
}

static inline size_t count_open_fds(void)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    CHECK(dir != NULL);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

#endif
