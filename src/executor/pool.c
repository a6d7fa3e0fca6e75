#include "executor/pool.h"
#include "base/check.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/mem.h"
#include "executor/dispatcher.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* ---- runs ---- */

void pool_run_report(struct pool_run *r, const struct run_result *result)
{
    CHECK(!r->reported);
    r->reported = true;
    execution_ended(&r->x, result);
}

void pool_run_report_fate(struct pool_run *r)
{
    struct diag why;
    char limit[DURATION_TEXT_MAX];
    struct run_result result = {.run = r->x.run, .status = RUN_FAILED};
    if (r->fate == FATE_TIMED_OUT) {
        duration_format(r->start->timeout_ms, limit);
        diag_set(&why, DIAG_DEADLINE_EXCEEDED, "timed out after %s", limit);
    } else {
        const bool interrupted = r->fate == FATE_INTERRUPTED;
        diag_set(&why, DIAG_INTERNAL, interrupted ? "interrupted" : "cancelled");
        result.status = interrupted ? RUN_FAILED : RUN_CANCELLED;
        result.interrupted = interrupted;
    }
    result.error = slice_of(why.msg);
    pool_run_report(r, &result);
}

void pool_run_destroy(struct pool_run *r)
{
    free(r);
}

static void report_ghost(struct timer *t)
{
    pool_run_report_fate(container_of(t, struct pool_run, timer));
}

static void report_and_destroy(struct timer *t)
{
    struct pool_run *r = container_of(t, struct pool_run, timer);
    pool_run_report_fate(r);
    pool_run_destroy(r);
}

static struct pool_run *take_waiting(struct pool *p)
{
    struct pool_run *r = p->waiting;
    DL_DELETE(p->waiting, r);
    p->waiting_count--;
    return r;
}

/* Never from inside: whoever cancels is in the middle of something. */
static void report_later(struct pool_run *r, void (*fired)(struct timer *t))
{
    struct timers *timers = execution_host(&r->x)->timers;
    r->timer.fired = fired;
    timer_set(timers, &r->timer, 0);
}

static void cancel_waiting(struct pool_run *r)
{
    struct pool *p = r->pool;
    DL_DELETE(p->waiting, r);
    p->waiting_count--;
    r->pool = NULL;
    report_later(r, report_and_destroy);
}

/* While its instance works for others as well, the run ends without it: the answer will be ignored. */
void pool_run_cancel(struct pool_run *r, bool interrupted)
{
    struct instance *i = r->instance;
    if (r->fate != FATE_OPEN)
        return;
    r->fate = interrupted ? FATE_INTERRUPTED : FATE_CANCELLED;
    if (i == NULL) {
        cancel_waiting(r);
        return;
    }
    timer_cancel(i->pool->all->timers, &r->timer); /* its time-out, which cannot be why any more */
    i->lost_count++;
    pool_place(i);
    if (i->lost_count < i->held_count)
        report_later(r, report_ghost);
    else
        instance_check_lost(i);
}

void pool_add(struct pool *p, struct pool_run *r)
{
    r->pool = p;
    DL_APPEND(p->waiting, r);
    p->waiting_count++;
}

/* ---- instances ---- */

void pool_place(struct instance *i)
{
    struct pool *p = i->pool;
    const bool listed = i->open_prev != NULL, room = instance_has_room(i);
    if (listed) {
        DL_DELETE2(p->open, i, open_prev, open_next);
        i->open_prev = i->open_next = NULL;
    }
    if (room)
        DL_PREPEND2(p->open, i, open_prev, open_next);
}

bool pool_may_shrink(const struct pool *p)
{
    return p->retired || p->count - p->leaving > p->instances_min;
}

uint64_t pool_idle_ms(const struct pool *p)
{
    if (p->all->closing)
        return 0;
    return p->retired && p->idle_ms > POOL_RETIRED_IDLE_MS ? POOL_RETIRED_IDLE_MS : p->idle_ms;
}

/* How many instances there should be and are not: for the runs that wait, and the minimum. */
static uint32_t count_missing(const struct pool *p)
{
    const uint32_t alive = p->count - p->leaving;
    const uint64_t for_runs = (p->waiting_count + p->per_instance - 1) / p->per_instance;
    uint64_t want = alive - p->starting + for_runs;
    if (!p->retired && want < p->instances_min)
        want = p->instances_min;
    if (want > p->instances_max)
        want = p->instances_max;
    const uint32_t missing = want > alive ? (uint32_t)want - alive : 0;
    const uint32_t room = p->instances_max - p->count;
    return missing < room ? missing : room;
}

static void free_pool(struct pool *p)
{
    HASH_DEL(p->all->table, p);
    json_decref(p->config);
    free(p->path);
    free(p);
}

static bool is_needed(const struct pool *p)
{
    return p->instances != NULL || p->waiting != NULL || wheel_is_set(&p->pause.w) ||
           (!p->retired && p->instances_min > 0);
}

static void pools_step(struct pools *ps);

void pool_serve(struct pool *p)
{
    struct pools *ps = p->all;
    while (p->waiting != NULL && p->open != NULL)
        instance_give(p->open, take_waiting(p));
    if (!wheel_is_set(&p->pause.w) && !ps->closing)
        for (uint32_t n = count_missing(p); n > 0; n--)
            instance_start(p);
    if (!is_needed(p)) {
        free_pool(p);
        pools_step(ps);
    }
}

static void pause_over(struct timer *t)
{
    pool_serve(container_of(t, struct pool, pause));
}

/* ---- an instance has ended ---- */

/* Those that were started together and fail together are one failure. */
static void note_failure(struct pool *p, const char *why)
{
    if (wheel_is_set(&p->pause.w))
        return;
    const unsigned doublings = p->failures < 10 ? p->failures : 10;
    uint64_t ms = (uint64_t)POOL_PAUSE_MS << doublings;
    if (ms > POOL_PAUSE_MS_MAX)
        ms = POOL_PAUSE_MS_MAX;
    p->failures++;
    timer_set(p->all->timers, &p->pause, ms);
    log_warn("a worker ended before it had answered anything", LOG_STR("pipeline", p->path),
             LOG_STR("why", why), LOG_INT("next_try_ms", ms));
}

/* A program that cannot be started is the fault of a run as well: somebody has to learn of it. */
static void blame(struct pool *p, const char *why)
{
    if (p->waiting == NULL)
        return;
    struct pool_run *r = take_waiting(p);
    pool_run_report(
        r, &(struct run_result){.run = r->x.run, .status = RUN_FAILED, .error = slice_of(why)});
    pool_run_destroy(r);
}

static void explain_failure(const struct instance *i, const struct process_end *e, struct diag *why)
{
    if (e->err < 0)
        program_explain_start(&i->program, e, why);
    else if (i->why != NULL && e->cause != PROCESS_BY_ITSELF)
        diag_set(why, DIAG_INTERNAL, "%s", i->why);
    else
        program_explain_exit(e, "exit status", "killed", why);
}

static void note_end(struct pool *p, const struct instance *i, const struct process_end *e)
{
    struct diag why;
    const bool wanted = e->cause != PROCESS_BY_ITSELF || i->state == INSTANCE_LEAVING;
    if (i->answered > 0 || p->all->closing || (wanted && !i->own_fault))
        return;
    explain_failure(i, e, &why);
    if (e->err < 0)
        blame(p, why.msg);
    note_failure(p, why.msg);
}

void pool_lost(struct pool *p, struct instance *i, const struct process_end *e)
{
    CHECK(i->held == NULL);
    p->count--;
    p->starting -= i->state == INSTANCE_STARTING;
    p->leaving -= i->state == INSTANCE_LEAVING;
    DL_DELETE(p->instances, i);
    if (i->open_prev != NULL)
        DL_DELETE2(p->open, i, open_prev, open_next);
    note_end(p, i, e);
    str_release(&i->lines);
    arena_release(&i->arena);
    free(i->why);
    free(i);
    pool_serve(p);
}

/* ---- pools ---- */

struct pools *pools_create(struct dispatcher *d, struct host *h)
{
    struct pools *ps = mem_zalloc(sizeof(*ps));
    ps->dispatcher = d;
    ps->spawner = dispatcher_spawner(d);
    ps->timers = h->timers;
    ps->loop = h->loop;
    return ps;
}

static uint32_t number_of(json_t *config, const char *name, uint32_t dflt)
{
    json_t *v = json_object_get(config, name);
    return json_is_integer(v) ? (uint32_t)json_integer_value(v) : dflt;
}

static struct pool *make_pool(struct pools *ps, struct pool_key key, struct slice path,
                              json_t *config)
{
    json_t *idle = json_object_get(config, "idle_seconds");
    struct pool *p = mem_zalloc(sizeof(*p));
    *p = (struct pool){
        .key = key,
        .all = ps,
        .config = json_incref(config),
        .path = mem_dup(path.p, path.len),
        .instances_max = number_of(config, "max_instances", POOL_MAX_DEFAULT),
        .per_instance = number_of(config, "per_instance", 1),
        .idle_ms = (uint64_t)(1000 * (json_is_number(idle) ? json_number_value(idle)
                                                           : POOL_IDLE_SECONDS_DEFAULT)),
        .pause.fired = pause_over,
    };
    HASH_ADD(hh, ps->table, key, sizeof(p->key), p);
    return p;
}

struct pool *pools_get(struct pools *ps, struct pool_key key, struct slice path, json_t *config)
{
    struct pool *p;
    HASH_FIND(hh, ps->table, &key, sizeof(key), p);
    return p != NULL ? p : make_pool(ps, key, path, config);
}

void pool_keep_ready(struct pool *p)
{
    p->instances_min = number_of(p->config, "min_instances", POOL_MIN_DEFAULT);
    pool_serve(p);
}

/* Its instances notice it when they look at their idle time: those that have nothing to do look now. */
static void retire_pool(struct pool *p)
{
    struct instance *i, *next;
    p->retired = true;
    DL_FOREACH_SAFE (p->instances, i, next)
        instance_check_idle(i);
    pool_serve(p);
}

void pools_retire(struct pools *ps, int64_t pipeline, uint32_t except_version)
{
    struct pool *p, *next;
    HASH_ITER (hh, ps->table, p, next)
        if ((pipeline == 0 || p->key.pipeline == pipeline) && !p->retired &&
            (except_version == 0 || p->key.version != except_version))
            retire_pool(p);
}

void pools_kill(struct pools *ps)
{
    for (struct pool *p = ps->table; p != NULL; p = p->hh.next)
        for (struct instance *i = p->instances; i != NULL; i = i->next)
            process_kill(&i->process);
}

/* ---- the end of all ----
 *
 * step 0: every stdin is closed; 1: SIGTERM; 2: SIGKILL. Nobody waits for a worker's own grace: the daemon's is over.
 */

static void pools_step(struct pools *ps)
{
    if (!ps->closing || ps->table != NULL)
        return;
    void (*closed)(void *) = ps->closed;
    void *arg = ps->arg;
    timer_cancel(ps->timers, &ps->close_over);
    answer_release(&ps->answer);
    str_release(&ps->line);
    free(ps);
    closed(arg);
}

static void push(struct instance *i, int step)
{
    if (step == 0 && i->state != INSTANCE_LEAVING)
        instance_retire(i);
    else if (step == 1)
        process_stop(&i->process);
    else if (step == 2)
        process_kill(&i->process);
}

static void push_all(struct pools *ps)
{
    struct instance *i, *next;
    for (struct pool *p = ps->table; p != NULL; p = p->hh.next)
        DL_FOREACH_SAFE (p->instances, i, next)
            push(i, ps->close_step);
    ps->close_step++;
    timer_set(ps->timers, &ps->close_over, POOLS_CLOSE_MS);
}

static void close_over(struct timer *t)
{
    push_all(container_of(t, struct pools, close_over));
}

void pools_close(struct pools *ps, void (*closed)(void *arg), void *arg)
{
    struct pool *p, *next;
    ps->closed = closed;
    ps->arg = arg;
    ps->close_over.fired = close_over;
    HASH_ITER (hh, ps->table, p, next) {
        CHECK(p->waiting == NULL);
        p->retired = true;
        timer_cancel(ps->timers, &p->pause);
        if (p->instances == NULL)
            free_pool(p);
    }
    ps->closing = true;
    push_all(ps);
    pools_step(ps);
}
