/* claim.c - workers outside ask for runs; who gets which.
 *
 *                      compared with the              one wants runs
 *     engine_claim --> pipelines in READY_OFFERED --> FETCHING --- some came ---> CLAIM_DONE
 *          NEW         |                              |    ^
 *                      | none wants it                |    |
 *                      v                       none   |    | compared with each pipeline
 *                   WAITING <-------- NEW <-----------+    | in READY_TO_LEASE
 *                      |                                   |
 *                      +-----------------------------------+
 *
 * Every pair of a claim and a pipeline that could serve it is looked at once, when the later one of the two comes: then either a
 * fetch is made, or they do not match. So nothing is searched when a run ends, however many wait.
 *
 * Runs go to a claim as they are leased, each after its own commit; the claim is done when all of its fetches have come back.
 * Pipelines take turns: one whose runs were asked for goes behind all others.
 */
#include "base/check.h"
#include "base/mem.h"
#include "core/engine_internal.h"
#include <errno.h>
#include <utlist.h>

/* One claim reads the queues of at most this many pipelines. */
#define FETCHES_MAX 16

/* Without backtracking over more than the last '*': no pattern takes long. */
static bool matches(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL;
    while (*text != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
        } else if (*pattern == *text || *pattern == '?') {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool wants(const struct claim *c, const struct pipeline *p)
{
    for (size_t i = 0; i < c->pattern_count; i++)
        if (matches(c->patterns[i], p->path))
            return true;
    return false;
}

/* ---- life ---- */

static void put(struct engine *e, struct claim *c, int state)
{
    DL_DELETE(e->claims[c->state], c);
    c->state = state;
    DL_APPEND(e->claims[state], c);
}

static struct claim *make(const struct claim_request *q)
{
    struct claim *c = mem_zalloc(sizeof(*c));
    *c = (struct claim){
        .wait.tag = DEADLINE_CLAIM,
        .ticket = q->ticket,
        .patterns = mem_alloc(q->pattern_count * sizeof(*c->patterns)),
        .pattern_count = q->pattern_count,
        .count_max = q->count_max,
        .lease_ms = q->lease_ms,
        .state = CLAIM_NEW,
    };
    for (size_t i = 0; i < q->pattern_count; i++)
        c->patterns[i] = mem_strdup(q->patterns[i]);
    return c;
}

void claim_destroy(struct claim *c)
{
    for (size_t i = 0; i < c->pattern_count; i++)
        free(c->patterns[i]);
    free(c->patterns);
    free(c);
}

static void end(struct engine *e, struct claim *c)
{
    CHECK(c->fetches == 0);
    emit(e, EFFECT_CLAIM_DONE)->claim_done = (struct effect_claim_done){.ticket = c->ticket};
    DL_DELETE(e->claims[c->state], c);
    wheel_cancel(&e->wheel, &c->wait);
    e->claim_count--;
    claim_destroy(c);
}

/* It is answered now, or with what the fetches that are out for it bring. */
static void wait_is_over(struct engine *e, struct claim *c)
{
    c->over = true;
    if (c->state != CLAIM_FETCHING)
        end(e, c);
}

int engine_claim(struct engine *e, struct now now, const struct claim_request *q)
{
    CHECK(q->pattern_count > 0 && q->pattern_count <= CLAIM_PATTERNS_MAX);
    CHECK(q->count_max > 0 && q->count_max <= CLAIM_RUNS_MAX);
    CHECK(q->lease_ms > 0 && q->lease_ms <= LEASE_MS_MAX);
    if (e->claim_count >= CLAIMS_MAX)
        return -ENOBUFS;
    if (e->leased >= e->opt.leased_max)
        return -EDQUOT;
    struct claim *c = make(q);
    e->claim_count++;
    DL_APPEND(e->claims[CLAIM_NEW], c);
    wheel_set(&e->wheel, &c->wait, now.mono.ms + q->wait_ms);
    queue_schedule(e, now);
    if (q->wait_ms == 0 || e->held)
        wait_is_over(e, c);
    return 0;
}

void engine_unclaim(struct engine *e, struct claim_ticket *t)
{
    for (int state = 0; state < CLAIM_STATES; state++) {
        struct claim *c;
        DL_SEARCH_SCALAR(e->claims[state], c, ticket, t);
        if (c == NULL)
            continue;
        c->unheard = true;
        wait_is_over(e, c);
        return;
    }
}

void claim_due(struct engine *e, struct wheel_timer *w)
{
    wait_is_over(e, container_of(w, struct claim, wait));
}

void claim_hold(struct engine *e)
{
    struct claim *c, *next;
    for (int state = 0; state < CLAIM_STATES; state++)
        DL_FOREACH_SAFE (e->claims[state], c, next)
            wait_is_over(e, c);
}

/* ---- bringing claims and pipelines together ---- */

bool claim_has_work(const struct engine *e)
{
    return e->claims[CLAIM_NEW] != NULL ||
           (e->claims[CLAIM_WAITING] != NULL && e->ready[READY_TO_LEASE] != NULL);
}

/* Asks for runs of p for c, if p may have more at the same time. One that may not comes back when one of its runs has ended. */
static bool ask(struct engine *e, struct claim *c, struct pipeline *p)
{
    const uint32_t room = c->count_max - c->asked;
    const uint32_t slots = p->pending > 0 ? queue_free_leases(e, p) : 0;
    queue_put(e, p, READY_NOT);
    if (slots == 0)
        return false;
    p->claim = c;
    c->fetches++;
    c->asked += queue_fetch(e, p, slots < room ? slots : room);
    put(e, c, CLAIM_FETCHING);
    return true;
}

/* For a new claim: the pipelines that nobody has wanted so far. */
static void look_around(struct engine *e, struct claim *c)
{
    struct pipeline *p, *next;
    DL_FOREACH_SAFE2 (e->ready[READY_OFFERED], p, next, ready_next) {
        if (!engine_has_lease_left(e) || c->asked == c->count_max || c->fetches == FETCHES_MAX)
            return;
        if (wants(c, p))
            ask(e, c, p);
    }
}

/* For a pipeline that has something to offer: whoever has waited longest. */
static void offer(struct engine *e, struct pipeline *p)
{
    struct claim *c, *next;
    DL_FOREACH_SAFE (e->claims[CLAIM_WAITING], c, next) {
        if (wants(c, p)) {
            ask(e, c, p);
            return;
        }
    }
    queue_put(e, p, READY_OFFERED);
}

void claim_schedule(struct engine *e)
{
    struct claim *c;
    struct pipeline *p;
    while ((p = e->ready[READY_TO_LEASE]) != NULL && engine_has_lease_left(e))
        offer(e, p);
    while ((c = e->claims[CLAIM_NEW]) != NULL) {
        if (c->over || c->got > 0) {
            end(e, c);
            continue;
        }
        if (!engine_has_lease_left(e))
            return;
        look_around(e, c);
        if (c->state == CLAIM_NEW)
            put(e, c, CLAIM_WAITING);
    }
}

/* ---- what comes back ---- */

void claim_take(struct engine *e, struct now now, struct pipeline *p, const struct offered_run *o)
{
    struct claim *c = p->claim;
    struct lease *l = lease_make(now, o->hash, c->lease_ms);
    queue_begin(e, now, p, &o->start, l);
    lease_record(e, l);
    const struct run_start start = queue_keep_start(e, &o->start);
    emit(e, EFFECT_LEASE_RUN)->lease_run = (struct effect_lease_run){
        .ticket = c->ticket,
        .lease = {.start = start, .token = o->token, .expires_at = l->expires_at},
    };
    c->got++;
}

/* The last of its fetches is gone. What was asked for and not there may come from elsewhere. */
static bool is_last_fetch(struct pipeline *p, struct claim **ret)
{
    struct claim *c = *ret = p->claim;
    p->claim = NULL;
    return c != NULL && --c->fetches == 0;
}

void claim_fetched(struct engine *e, struct pipeline *p)
{
    struct claim *c;
    if (!is_last_fetch(p, &c))
        return;
    c->asked = 0;
    if (c->got > 0 || c->over)
        end(e, c);
    else
        put(e, c, CLAIM_NEW);
}

/* No effect may come from here: the batch is about to be thrown away. claim_schedule() goes on with it. What the claim got in
 * that batch is undone, and `got` may say more than is true: then it is answered early. */
void claim_void(struct engine *e, struct pipeline *p)
{
    struct claim *c;
    if (!is_last_fetch(p, &c))
        return;
    c->asked = 0;
    DL_DELETE(e->claims[c->state], c);
    c->state = CLAIM_NEW;
    DL_PREPEND(e->claims[CLAIM_NEW], c); /* first: it may be one that is just to be answered */
}
