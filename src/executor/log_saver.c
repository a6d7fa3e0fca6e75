#include "executor/log_saver.h"
#include "base/check.h"
#include <errno.h>
#include <string.h>
#include <utlist.h>

/* A byte is at most \u0000 in JSON; the rest of a line is its time, its stream and the name of its step. */
_Static_assert(RUN_LOG_LINE_BYTES_MAX * 6 + 1024 <= LOG_SAVE_PART_BYTES_MAX, "a line fits a part");
_Static_assert(LOG_SAVE_PART_BYTES_MAX <= LOG_SAVE_STEP_BYTES, "a part fits a step");

static uint64_t now_ms(const struct log_saver *s)
{
    return s->host->now(s->host).mono.ms;
}

/* ---- when ---- */

static uint64_t wake_at(const struct log_saver *s)
{
    const struct log_save *first = s->lists[LOG_SAVE_WAITING];
    if (s->is_out)
        return UINT64_MAX;
    if (s->lists[LOG_SAVE_IN_TURN] != NULL)
        return s->step_ms;
    if (first == NULL)
        return UINT64_MAX;
    return first->due_ms > s->step_ms ? first->due_ms : s->step_ms;
}

/* It may be too early when somebody was forgotten: a step that finds nothing does no harm. */
static void arm(struct log_saver *s)
{
    const uint64_t at = wake_at(s), now = now_ms(s);
    s->wake_ms = at;
    if (at == UINT64_MAX)
        timer_cancel(s->host->timers, &s->timer);
    else
        timer_set(s->host->timers, &s->timer, at > now ? at - now : 0);
}

/* ---- who ---- */

void log_save_init(struct log_save *l, struct uuid run, struct run_log *log)
{
    *l = (struct log_save){.run = run, .log = log};
}

static void move(struct log_saver *s, struct log_save *l, enum log_save_state to)
{
    if (l->state != LOG_SAVE_IDLE)
        DL_DELETE(s->lists[l->state], l);
    l->state = to;
    if (to != LOG_SAVE_IDLE)
        DL_APPEND(s->lists[to], l);
}

static void wait_for_turn(struct log_saver *s, struct log_save *l)
{
    l->due_ms = now_ms(s) + LOG_SAVE_DELAY_MS;
    move(s, l, LOG_SAVE_WAITING);
}

void log_saver_note(struct log_saver *s, struct log_save *l)
{
    if (l->state != LOG_SAVE_IDLE)
        return;
    wait_for_turn(s, l);
    if (s->wake_ms == UINT64_MAX)
        arm(s);
}

void log_saver_forget(struct log_saver *s, struct log_save *l)
{
    move(s, l, LOG_SAVE_IDLE);
}

/* ---- how much ---- */

/* How much of it goes into a step that has room for so much: whole lines, or nothing. */
static size_t part_of(const struct log_save *l, size_t room)
{
    const char *text = l->log->text.p + l->saved;
    const size_t left = l->log->text.len - l->saved;
    const size_t max = room < LOG_SAVE_PART_BYTES_MAX ? room : LOG_SAVE_PART_BYTES_MAX;
    if (left <= max)
        return left;
    const char *newline = memrchr(text, '\n', max);
    return newline != NULL ? (size_t)(newline - text) + 1 : 0;
}

/* False when nothing more can be taken in this step. */
static bool hand_in(struct log_saver *s, struct log_save *l, size_t *room)
{
    const size_t len = part_of(l, *room);
    if (len == 0)
        return false;
    const int err = s->host->keep_log(s->host, l->run, l->log->attempt, l->saved,
                                      (struct slice){l->log->text.p + l->saved, len});
    if (err == -ENOBUFS)
        return false;
    if (err != 0) { /* it is over, and only its executor does not know yet */
        move(s, l, LOG_SAVE_IDLE);
        return true;
    }
    l->out = len;
    l->seen = l->log->text.len;
    move(s, l, LOG_SAVE_OUT);
    const size_t counted = len > LOG_SAVE_PART_BYTES_COUNTED ? len : LOG_SAVE_PART_BYTES_COUNTED;
    *room -= counted < *room ? counted : *room;
    return true;
}

static void step(struct timer *t)
{
    struct log_saver *s = container_of(t, struct log_saver, timer);
    const uint64_t now = now_ms(s);
    struct log_save *l;
    size_t room = LOG_SAVE_STEP_BYTES;
    while ((l = s->lists[LOG_SAVE_WAITING]) != NULL && l->due_ms <= now)
        move(s, l, LOG_SAVE_IN_TURN);
    while ((l = s->lists[LOG_SAVE_IN_TURN]) != NULL && hand_in(s, l, &room))
        ;
    s->out_ms = now;
    s->step_ms = now + LOG_SAVE_STEP_MS;
    s->is_out = s->lists[LOG_SAVE_OUT] != NULL;
    if (s->is_out)
        s->host->confirm(s->host, &s->ticket);
    arm(s);
}

/* ---- afterwards ---- */

static void part_settled(struct log_saver *s, struct log_save *l, int err)
{
    if (err == 0)
        l->saved += l->out;
    l->out = 0;
    if (l->saved < l->seen)
        move(s, l, LOG_SAVE_IN_TURN);
    else if (l->saved < l->log->text.len)
        wait_for_turn(s, l);
    else
        move(s, l, LOG_SAVE_IDLE);
}

static uint64_t rest_ms(uint64_t took_ms, int err)
{
    const uint64_t ms = took_ms * LOG_SAVE_REST;
    if (err != 0)
        return LOG_SAVE_RETRY_MS;
    return ms < LOG_SAVE_REST_MS_MAX ? ms : LOG_SAVE_REST_MS_MAX;
}

static void settled(struct ticket *t, const struct outcome *o)
{
    struct log_saver *s = container_of(t, struct log_saver, ticket);
    const uint64_t now = now_ms(s), rested_ms = now + rest_ms(now - s->out_ms, o->err);
    struct log_save *l;
    s->is_out = false;
    if (s->step_ms < rested_ms)
        s->step_ms = rested_ms;
    while ((l = s->lists[LOG_SAVE_OUT]) != NULL)
        part_settled(s, l, o->err);
    arm(s);
}

/* ---- life ---- */

void log_saver_init(struct log_saver *s, struct host *h)
{
    *s = (struct log_saver){
        .host = h, .timer.fired = step, .ticket.done = settled, .wake_ms = UINT64_MAX};
}

void log_saver_deinit(struct log_saver *s)
{
    CHECK(!s->is_out);
    for (int i = 0; i < LOG_SAVE_STATES; i++)
        CHECK(s->lists[i] == NULL);
    timer_cancel(s->host->timers, &s->timer);
}
