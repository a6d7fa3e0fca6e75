/* A worker process: what it is given, what it says, and how it goes.
 *
 * stdout is read into `lines` and taken apart after stderr was read up to that moment: what a worker logs before it answers belongs
 * to the run that it answers.
 */
#include "base/check.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/event_doc.h"
#include "executor/pool.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

static struct timers *timers_of(const struct instance *i)
{
    return i->pool->all->timers;
}

static uint64_t now_ms(const struct instance *i)
{
    return uv_now(i->pool->all->loop);
}

/* ---- holding runs ---- */

static void let_go(struct instance *i, struct pool_run *r)
{
    DL_DELETE(i->held, r);
    i->held_count--;
    i->lost_count -= r->fate != FATE_OPEN;
    r->instance = NULL;
    timer_cancel(timers_of(i), &r->timer);
}

bool instance_has_room(const struct instance *i)
{
    return i->state == INSTANCE_READY && i->held_count < i->pool->per_instance &&
           i->lost_count == 0 && process_unsent(&i->process) <= INSTANCE_UNSENT_BYTES_MAX;
}

static void run_timed_out(struct timer *t)
{
    struct pool_run *r = container_of(t, struct pool_run, timer);
    r->fate = FATE_TIMED_OUT;
    r->instance->lost_count++;
    instance_end(r->instance, "its worker was ended because another run in it timed out");
}

static void write_event(struct instance *i, struct pool_run *r)
{
    struct str *line = &i->pool->all->line;
    event_line_add(line, r->start);
    r->line_from = i->written;
    i->written += line->len;
    process_write(&i->process, str_slice(line));
    if (line->cap > PROCESS_INPUT_KEPT_BYTES)
        str_release(line);
    else
        str_reset(line);
}

void instance_give(struct instance *i, struct pool_run *r)
{
    CHECK(instance_has_room(i));
    DL_APPEND(i->held, r);
    i->held_count++;
    r->instance = i;
    write_event(i, r);
    r->timer.fired = run_timed_out;
    if (r->start->timeout_ms > 0)
        timer_set(timers_of(i), &r->timer, r->start->timeout_ms);
    pool_place(i);
}

/* ---- idle time ---- */

void instance_check_idle(struct instance *i)
{
    if (i->state != INSTANCE_READY || i->held_count > 0)
        return;
    const uint64_t idle = now_ms(i) - i->idle_since, limit = pool_idle_ms(i->pool);
    if (idle < limit)
        timer_set(timers_of(i), &i->timer, limit - idle);
    else if (pool_may_shrink(i->pool))
        instance_retire(i);
}

static void idle_time(struct timer *t)
{
    instance_check_idle(container_of(t, struct instance, timer));
}

/* The timer is not moved with every run: when it fires, it looks how long the idle time really was. In a retired pool it may stand
 * too late. */
static void note_idle(struct instance *i)
{
    i->idle_since = now_ms(i);
    if (i->state == INSTANCE_READY && (i->pool->retired || !wheel_is_set(&i->timer.w)))
        timer_set(timers_of(i), &i->timer, pool_idle_ms(i->pool));
}

/* ---- going ---- */

static void leave(struct instance *i)
{
    if (i->state == INSTANCE_LEAVING)
        return;
    struct pool *p = i->pool;
    p->starting -= i->state == INSTANCE_STARTING;
    p->leaving++;
    i->state = INSTANCE_LEAVING;
    pool_place(i);
}

static void patience_over(struct timer *t)
{
    process_stop(&container_of(t, struct instance, timer)->process);
}

static void stop_after(struct instance *i, uint64_t ms)
{
    i->timer.fired = patience_over;
    timer_set(timers_of(i), &i->timer, ms);
}

void instance_retire(struct instance *i)
{
    const bool starting = i->state == INSTANCE_STARTING;
    leave(i);
    if (starting) {
        process_stop(&i->process);
        return;
    }
    process_close_input(&i->process);
    stop_after(i, i->program.kill_grace_ms);
}

void instance_end(struct instance *i, const char *why)
{
    if (i->why == NULL)
        i->why = mem_strdup(why);
    leave(i);
    timer_cancel(timers_of(i), &i->timer);
    process_stop(&i->process);
}

void instance_check_lost(struct instance *i)
{
    if (i->held_count > 0 && i->lost_count == i->held_count)
        instance_end(i, "its run was cancelled");
}

/* It did what it must not do. The runs that it holds say so; when there is none, nobody else does. */
static void instance_break(struct instance *i, const char *why)
{
    if (i->held == NULL)
        log_warn("a worker is ended", LOG_STR("pipeline", i->pool->path), LOG_STR("why", why));
    i->broken = i->own_fault = true;
    instance_end(i, why);
}

/* ---- what it says ---- */

/* The run that stdout and stderr belong to: the oldest that is not over. */
static struct execution *logged_run(const struct instance *i)
{
    struct pool_run *r;
    DL_FOREACH (i->held, r)
        if (!r->reported)
            return &r->x;
    return NULL;
}

static void log_output(struct instance *i, int fd, struct slice bytes)
{
    struct execution *x = logged_run(i);
    if (x != NULL)
        execution_log(x, fd, bytes);
}

static struct pool_run *find_held(const struct instance *i, struct uuid id)
{
    struct pool_run *r;
    DL_FOREACH (i->held, r)
        if (uuid_cmp(r->x.run, id) == 0)
            return r;
    return NULL;
}

static void report_answer(struct pool_run *r, const struct answer *a)
{
    struct diag why;
    struct run_result result = {.run = r->x.run,
                                .status = a->success ? RUN_SUCCESS : RUN_FAILED,
                                .output = a->output,
                                .conclusive = a->conclusive};
    if (!a->success) {
        const struct slice said = a->error.len > 0 ? a->error : SLICE("the worker said so");
        diag_set(&why, DIAG_INTERNAL, "%.*s", (int)said.len, said.p);
        result.error = slice_of(why.msg);
    }
    pool_run_report(r, &result);
}

static void take_answer(struct instance *i, struct slice line)
{
    struct answer *a = &i->pool->all->answer;
    struct diag why, said;
    struct pool_run *r = NULL;
    if (answer_read(a, line, &said) == 0) {
        r = find_held(i, a->id);
        diag_set(&said, DIAG_INTERNAL, "its id is not that of an event which waits for an answer");
    }
    if (r == NULL) {
        diag_set(&why, DIAG_INTERNAL, "its worker wrote a wrong answer: %s", said.msg);
        instance_break(i, why.msg);
        return;
    }
    if (r->fate != FATE_OPEN && i->state == INSTANCE_LEAVING)
        return; /* too late: it ends with the process */
    if (r->fate == FATE_OPEN)
        report_answer(r, a);
    else if (!r->reported)
        pool_run_report_fate(r);
    let_go(i, r);
    pool_run_destroy(r);
    i->answered++;
    i->pool->failures = 0;
    if (i->held_count == 0)
        note_idle(i);
    instance_check_lost(i);
}

static void take_line(struct instance *i, struct slice line)
{
    if (answer_is(line))
        take_answer(i, line);
    else
        log_output(i, STDOUT_FILENO, (struct slice){line.p, line.len + 1});
}

static void take_lines(struct instance *i)
{
    const char *newline, *from = i->lines.p, *const end = i->lines.p + i->lines.len;
    const char *look = from + i->looked_at;
    while (!i->broken && (newline = memchr(look, '\n', (size_t)(end - look))) != NULL) {
        take_line(i, (struct slice){from, (size_t)(newline - from)});
        from = look = newline + 1;
    }
    i->looked_at = i->lines.len = (size_t)(end - from);
    memmove(i->lines.p, from, i->lines.len);
    if (i->lines.len > ANSWER_BYTES_MAX && !i->broken) {
        struct diag why;
        diag_set(&why, DIAG_INTERNAL, "its worker wrote a line of more than %d bytes",
                 ANSWER_BYTES_MAX);
        instance_break(i, why.msg);
    }
}

/* Afterwards i is as it was before, or has room, or is leaving; it is not gone: its process has not ended. */
static void take_stdout(struct instance *i, struct slice bytes)
{
    if (i->broken)
        return;
    str_add_slice(&i->lines, bytes);
    process_read(&i->process, STDERR_FILENO);
    take_lines(i);
    if (i->broken || (i->lines.len == 0 && i->lines.cap > PROCESS_INPUT_KEPT_BYTES))
        str_release(&i->lines);
    if (i->broken)
        i->looked_at = 0;
    pool_place(i);
    pool_serve(i->pool);
}

static void instance_output(struct process *process, int fd, struct slice bytes)
{
    struct instance *i = container_of(process, struct instance, process);
    if (fd == STDOUT_FILENO)
        take_stdout(i, bytes);
    else
        log_output(i, fd, bytes);
}

/* ---- its life ---- */

static void instance_started(struct process *process)
{
    struct instance *i = container_of(process, struct instance, process);
    CHECK(i->state == INSTANCE_STARTING);
    i->state = INSTANCE_READY;
    i->pool->starting--;
    i->timer.fired = idle_time;
    note_idle(i);
    pool_place(i);
    pool_serve(i->pool);
}

/* Without stdout there are no answers, without stdin no events. As a rule its end follows at once, and says more. */
static void instance_closed(struct process *process, int fd)
{
    struct instance *i = container_of(process, struct instance, process);
    if (fd == STDERR_FILENO || i->state == INSTANCE_LEAVING)
        return;
    i->own_fault = true;
    i->why = mem_printf("its worker closed its %s", fd == STDIN_FILENO ? "stdin" : "stdout");
    leave(i);
    stop_after(i, INSTANCE_CLOSED_MS);
    pool_serve(i->pool);
}

static void explain_end(const struct instance *i, const struct process_end *e, struct diag *why)
{
    struct diag how;
    if (i->why != NULL && e->cause != PROCESS_BY_ITSELF) {
        diag_set(why, DIAG_INTERNAL, "%s", i->why);
        return;
    }
    program_explain_exit(e, "worker exited with status", "worker was killed", &how);
    diag_set(why, DIAG_INTERNAL, "%s before answering", how.msg);
}

/* What it certainly never saw goes back, unless it seems to see nothing at all. */
static bool was_not_seen(const struct instance *i, const struct pool_run *r)
{
    return r->line_from >= i->process.input_taken && i->answered > 0 && !i->broken;
}

static void give_back(struct pool *p, struct pool_run *r)
{
    DL_PREPEND(p->waiting, r);
    p->waiting_count++;
}

/* From the newest to the oldest: those that go back are in order then. */
static void end_held(struct instance *i, const struct process_end *e)
{
    struct diag why = {0};
    explain_end(i, e, &why);
    while (i->held != NULL) {
        struct pool_run *r = i->held->prev;
        let_go(i, r);
        if (r->fate == FATE_OPEN && was_not_seen(i, r)) {
            give_back(i->pool, r);
            continue;
        }
        if (r->fate == FATE_OPEN)
            pool_run_report(r, &(struct run_result){.run = r->x.run,
                                                    .status = RUN_FAILED,
                                                    .error = slice_of(why.msg)});
        else if (!r->reported)
            pool_run_report_fate(r);
        pool_run_destroy(r);
    }
}

static void instance_ended(struct process *process, const struct process_end *e)
{
    struct instance *i = container_of(process, struct instance, process);
    timer_cancel(timers_of(i), &i->timer);
    end_held(i, e);
    pool_lost(i->pool, i, e); /* last: frees i */
}

void instance_start(struct pool *p)
{
    char number[24];
    struct instance *i = mem_zalloc(sizeof(*i));
    i->pool = p;
    i->number = ++p->all->numbers;
    snprintf(number, sizeof(number), "%" PRIu64, i->number);
    const struct program_variable variables[] = {{"PIPELINE", slice_of(p->path)},
                                                 {"WORKER_ID", slice_of(number)}};
    program_read(&i->arena, p->config, variables, ARRAY_SIZE(variables), &i->program);
    DL_APPEND(p->instances, i);
    p->count++;
    p->starting++;
    process_start(&i->process, p->all->spawner,
                  &(struct process_options){
                      .argv = i->program.argv,
                      .env = i->program.env,
                      .cwd = i->program.cwd,
                      .kill_grace_ms = i->program.kill_grace_ms,
                      .interactive = true,
                      .whole_group = true,
                      .started = instance_started,
                      .closed = instance_closed,
                      .output = instance_output,
                      .ended = instance_ended,
                  });
}
