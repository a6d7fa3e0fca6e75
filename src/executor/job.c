#include "executor/job.h"
#include "base/check.h"
#include "base/duration.h"
#include "base/mem.h"
#include <stdlib.h>

static void later(struct timer *t);
static void deadline(struct timer *t);

/* ---- making ---- */

static void copy_start(struct job *j, const struct run_start *s)
{
    j->start = *s;
    struct slice *texts[] = {&j->start.pipeline, &j->start.trigger_type, &j->start.source,
                             &j->start.type,     &j->start.subject,      &j->start.content_type,
                             &j->start.payload,  &j->start.files,        &j->start.message_key};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        *texts[i] = arena_copy(&j->arena, *texts[i]);
    j->start.spec = j->start.step = j->start.previous = SLICE_NONE;
}

struct job *job_create(struct dispatcher *d, struct host *h, const struct run_start *s,
                       struct plan *plan)
{
    struct job *j = mem_zalloc(sizeof(*j));
    j->dispatcher = d;
    j->host = h;
    j->run = s->run;
    j->timeout_ms = s->timeout_ms;
    j->log = run_log_create(s->attempt);
    log_save_init(&j->save, j->run, j->log);
    j->later.fired = later;
    j->deadline.fired = deadline;
    copy_start(j, s);
    j->plan = plan;
    j->steps = &plan->steps;
    progress_init(&j->progress, j->steps->count);
    return j;
}

void job_destroy(struct job *j)
{
    CHECK(j->execution == NULL && j->save.state == LOG_SAVE_IDLE);
    timer_cancel(j->host->timers, &j->later);
    timer_cancel(j->host->timers, &j->deadline);
    run_log_unref(j->log);
    progress_release(&j->progress);
    plan_unref(j->plan);
    str_release(&j->previous);
    arena_release(&j->arena);
    free(j);
}

/* ---- the end ---- */

static struct wall wall_now(const struct job *j)
{
    return j->host->now(j->host).wall;
}

bool job_add_steps(const struct job *j, bool over, struct str *ret)
{
    if (j->steps->count == 0 || j->steps->items[0].name.p == NULL)
        return false;
    progress_add(&j->progress, j->steps, over, ret);
    return true;
}

static void end(struct job *j, struct run_result r)
{
    struct str steps = {0};
    if (run_log_flush(j->log, wall_now(j)))
        j->host->run_news(j->host, j->run, j->log);
    r.run = j->run;
    r.attempt = j->start.attempt;
    r.log = str_slice(&j->log->text);
    r.steps = job_add_steps(j, true, &steps) ? str_slice(&steps) : SLICE_NONE;
    dispatcher_job_ended(j, &r);
    str_release(&steps);
}

/* A job that was stopped, as its result says it. */
static void explain_stop(const struct job *j, struct run_result *r, struct diag *why)
{
    char limit[DURATION_TEXT_MAX];
    r->status = j->stop == JOB_CANCELLED ? RUN_CANCELLED : RUN_FAILED;
    r->interrupted = j->stop == JOB_INTERRUPTED;
    if (j->stop == JOB_TIMED_OUT) {
        duration_format(j->timeout_ms, limit);
        diag_set(why, DIAG_DEADLINE_EXCEEDED, "timed out after %s", limit);
    } else {
        diag_set(why, DIAG_INTERNAL, r->interrupted ? "interrupted" : "cancelled");
    }
    r->error = slice_of(why->msg);
}

/* The step failed, and with it the run. */
static void end_naming_step(struct job *j, struct run_result r)
{
    struct str text = {0};
    str_printf(&text, "step '%s': ", j->steps->items[j->current].name.p);
    str_add_slice(&text, r.error);
    r.error = str_slice(&text);
    end(j, r);
    str_release(&text);
}

/* ---- one after the other ---- */

static uint64_t shorter(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms == 0 || (b_ms != 0 && b_ms < a_ms) ? b_ms : a_ms;
}

static void begin_step(struct job *j)
{
    const struct step *s = &j->steps->items[j->current];
    const bool only = j->steps->count == 1;
    j->start.step = only ? SLICE_NONE : s->name;
    run_log_begin_step(j->log, j->start.step, j->current + 1 == j->steps->count);
    j->start.timeout_ms = only ? shorter(s->timeout_ms, j->timeout_ms) : s->timeout_ms;
    if (j->current > 0)
        j->start.previous = j->previous.len > 0 ? str_slice(&j->previous) : SLICE("");
    j->start.step_number = (uint32_t)j->current;
    progress_begin(&j->progress, j->current, wall_now(j));
    s->type->start(j->dispatcher, &j->start, s->config);
    CHECK(j->execution != NULL);
}

void job_begin(struct job *j)
{
    j->host->run_news(j->host, j->run, j->log);
    if (j->plan->refused.msg[0] != '\0') {
        timer_set(j->host->timers, &j->later, 0);
        return;
    }
    if (j->steps->count > 1 && j->timeout_ms > 0)
        timer_set(j->host->timers, &j->deadline, j->timeout_ms);
    begin_step(j);
}

/* Not from inside the end of the step before: its executor may be busy with ending it. */
static void later(struct timer *t)
{
    struct job *j = container_of(t, struct job, later);
    struct diag why;
    if (j->plan->refused.msg[0] != '\0') {
        end(j, (struct run_result){.status = RUN_FAILED, .error = slice_of(j->plan->refused.msg)});
    } else if (j->stop != JOB_GOES_ON) {
        struct run_result r = {.output = str_slice(&j->previous)};
        explain_stop(j, &r, &why);
        end(j, r);
    } else {
        begin_step(j);
    }
}

static void go_on(struct job *j, struct slice output)
{
    if (run_log_flush(j->log, wall_now(j)))
        dispatcher_job_wrote(j);
    str_reset(&j->previous);
    str_add_slice(&j->previous, output);
    j->current++;
    timer_set(j->host->timers, &j->later, 0);
}

void job_step_ended(struct job *j, const struct run_result *of_step)
{
    struct run_result r = *of_step;
    const bool is_last = j->current + 1 == j->steps->count;
    struct diag why;

    j->execution = NULL;
    if (j->stop == JOB_TIMED_OUT && r.status == RUN_CANCELLED)
        explain_stop(j, &r, &why);
    progress_end(&j->progress, j->current, &r, wall_now(j));
    if (r.status == RUN_FAILED && !r.interrupted && j->steps->count > 1) {
        end_naming_step(j, r);
    } else if (r.status != RUN_SUCCESS || is_last) {
        end(j, r);
    } else if (j->stop == JOB_GOES_ON) {
        go_on(j, r.output);
    } else {
        explain_stop(j, &r, &why);
        end(j, r);
    }
}

void job_stop(struct job *j, enum job_stop why)
{
    if (j->stop == JOB_GOES_ON)
        j->stop = why;
    if (j->execution != NULL)
        j->execution->type->cancel(j->execution, j->stop == JOB_INTERRUPTED);
}

static void deadline(struct timer *t)
{
    job_stop(container_of(t, struct job, deadline), JOB_TIMED_OUT);
}

void job_kill(struct job *j)
{
    j->stop = JOB_INTERRUPTED; /* no step follows */
    if (j->execution != NULL && j->execution->type->kill != NULL)
        j->execution->type->kill(j->execution);
}
