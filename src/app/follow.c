#include "app/follow.h"
#include "base/check.h"
#include "base/mem.h"
#include "executor/dispatcher.h"
#include "io/process/run_log.h"
#include "io/store/query.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* Those who follow one run. */
struct followed_run {
    struct uuid run;
    struct run_follower *list;
    UT_hash_handle hh;
};

static struct app_host *app_host(struct host *h)
{
    return container_of(h, struct app_host, host);
}

static struct followed_run *find(const struct app_host *h, struct uuid run)
{
    struct followed_run *all;
    HASH_FIND(hh, h->followed, &run, sizeof(run), all);
    return all;
}

/* Each may unfollow itself; with the last one the list is gone. */
static void tell(struct followed_run *all)
{
    struct run_follower *f, *next;
    DL_FOREACH_SAFE (all->list, f, next)
        if (!f->ended)
            f->more(f);
}

/* Of a run that is carried out here; NULL of others. */
static struct run_log *live_log(const struct app_host *h, struct uuid run)
{
    return h->dispatcher != NULL ? dispatcher_log(h->dispatcher, run) : NULL;
}

/* ---- what a follower knows ---- */

/* The status, unless what it knows is newer. */
static void know_status(struct run_follower *f, enum run_status status, uint32_t attempt)
{
    if (f->status_known) {
        if (run_status_is_final(f->status) || attempt < f->status_attempt)
            return;
        if (attempt == f->status_attempt && status <= f->status)
            return;
    }
    f->status = status;
    f->status_attempt = attempt;
    f->status_known = true;
    f->status_told = false;
}

static void know_log(struct run_follower *f, struct run_log *log)
{
    const struct run_log *newest = f->next_log != NULL ? f->next_log : f->log;
    if (newest != NULL && log->attempt < newest->attempt + !newest->left)
        return;
    run_log_unref(f->next_log);
    f->next_log = run_log_ref(log);
}

static void read_from(struct run_follower *f, struct run_log *log)
{
    run_log_unref(f->log);
    f->log = log;
    f->offset = 0;
    f->line = 0;
}

/* The attempt whose log is to be read next. */
static uint32_t due(const struct run_follower *f)
{
    if (f->log != NULL)
        return f->log->attempt + !f->log->left;
    return f->after.attempt > 0 ? f->after.attempt : 1;
}

/* There are logs to be read before the newest one. */
static bool is_behind(const struct run_follower *f)
{
    const uint32_t newest = f->next_log != NULL ? f->next_log->attempt
                            : f->status_known   ? f->status_attempt
                                                : 0;
    return due(f) < newest;
}

/* ---- sharing ---- */

static struct run_log *log_of_text(uint32_t attempt, struct slice text)
{
    struct run_log *log = run_log_create(attempt);
    str_add_slice(&log->text, text);
    return log;
}

static bool is_log_of(const struct run_log *log, uint32_t attempt)
{
    return log != NULL && log->attempt == attempt && !log->left;
}

/* The log of an attempt that another reader of the run has, with a reference; else NULL. */
static struct run_log *log_of_others(const struct followed_run *all, uint32_t attempt)
{
    const struct run_follower *f;
    DL_FOREACH (all->list, f) {
        if (is_log_of(f->log, attempt))
            return run_log_ref(f->log);
        if (is_log_of(f->next_log, attempt))
            return run_log_ref(f->next_log);
    }
    return NULL;
}

/* What is on disk may be in memory meanwhile. */
static struct run_log *log_read(struct app_host *h, struct uuid run, uint32_t attempt,
                                struct slice text)
{
    struct run_log *log = log_of_others(find(h, run), attempt);
    return log != NULL ? log : log_of_text(attempt, text);
}

/* ---- its row ---- */

struct run_lookup {
    struct read_job job;
    struct app_host *host;
    uint32_t attempt;              /* 0: the row, and the log of the last one */
    struct run_follower *follower; /* NULL: it does not wait for this any more */
    struct uuid run;
    struct run_row row;
    struct str log;
    int err;
};

static void lookup_work(struct read_job *j, struct db *db)
{
    struct run_lookup *l = container_of(j, struct run_lookup, job);
    l->err = l->attempt == 0 ? query_run_log(db, l->run, &l->row, &l->log)
                             : query_attempt_log(db, l->run, l->attempt, &l->log);
}

static void apply_row(struct run_follower *f, const struct run_lookup *l)
{
    if (l->err == 0 && run_status_is_final(l->row.status)) {
        struct run_log *log = log_read(l->host, l->run, l->row.attempt, str_slice(&l->log));
        know_log(f, log);
        run_log_unref(log);
    }
    if (l->err == 0)
        know_status(f, l->row.status, l->row.attempt);
    else if (!f->status_known)
        f->err = l->err;
}

static void apply_attempt(struct run_follower *f, const struct run_lookup *l)
{
    if (l->err == 0)
        read_from(f, log_read(l->host, l->run, l->attempt, str_slice(&l->log)));
    else
        f->err = l->err;
}

static void lookup_done(struct read_job *j, int err)
{
    struct run_lookup *l = container_of(j, struct run_lookup, job);
    struct run_follower *f = l->follower;
    if (err != 0)
        l->err = err;
    if (f != NULL) {
        f->lookup = NULL;
        if (l->attempt == 0)
            apply_row(f, l);
        else
            apply_attempt(f, l);
    }
    str_release(&l->log);
    free(l);
    if (f != NULL && !f->ended)
        f->more(f);
}

static void lookup_forget(struct run_follower *f)
{
    if (f->lookup != NULL)
        f->lookup->follower = NULL;
    f->lookup = NULL;
}

/* Of an attempt, or of the row: 0. */
static void lookup_start(struct app_host *h, struct run_follower *f, uint32_t attempt)
{
    lookup_forget(f);
    struct run_lookup *l = mem_zalloc(sizeof(*l));
    *l = (struct run_lookup){
        .job = {.work = lookup_work, .done = lookup_done},
        .host = h,
        .attempt = attempt,
        .follower = f,
        .run = f->run,
    };
    const int err = h->host.read(&h->host, &l->job);
    if (err == 0) {
        f->lookup = l;
        return;
    }
    if (!f->status_known || attempt > 0)
        f->err = err;
    free(l);
}

/* ---- following ---- */

static void enlist(struct app_host *h, struct run_follower *f)
{
    struct followed_run *all = find(h, f->run);
    if (all == NULL) {
        all = mem_zalloc(sizeof(*all));
        all->run = f->run;
        HASH_ADD(hh, h->followed, run, sizeof(all->run), all);
    }
    DL_APPEND(all->list, f);
    f->listed = true;
}

/* Another reader knows how the run has ended. */
static bool learn_end(struct run_follower *f, const struct followed_run *all)
{
    const struct run_follower *first = all->list;
    struct run_log *log;
    if (!first->status_known || !run_status_is_final(first->status))
        return false;
    log = log_of_others(all, first->status_attempt);
    if (log == NULL)
        return false;
    know_log(f, log);
    run_log_unref(log);
    know_status(f, first->status, first->status_attempt);
    return true;
}

static void follow_run(struct host *host, struct run_follower *f)
{
    struct app_host *h = app_host(host);
    struct run_log *log = live_log(h, f->run);
    const struct run_result *kept = host_kept_result(h, f->run);
    enlist(h, f);
    if (log == NULL && kept == NULL) {
        if (!learn_end(f, find(h, f->run)))
            lookup_start(h, f, 0);
        return;
    }
    log = log != NULL ? run_log_ref(log) : log_read(h, f->run, kept->attempt, kept->log);
    know_log(f, log);
    know_status(f, RUN_RUNNING, log->attempt);
    run_log_unref(log);
}

static void unfollow_run(struct host *host, struct run_follower *f)
{
    struct app_host *h = app_host(host);
    if (!f->listed)
        return;
    struct followed_run *all = find(h, f->run);
    DL_DELETE(all->list, f);
    f->listed = false;
    if (all->list == NULL) {
        HASH_DEL(h->followed, all);
        free(all);
    }
    lookup_forget(f);
    run_log_unref(f->log);
    run_log_unref(f->next_log);
    f->log = f->next_log = NULL;
}

/* ---- taking ---- */

static bool is_known(const struct run_follower *f)
{
    return f->log->attempt < f->after.attempt ||
           (f->log->attempt == f->after.attempt && f->line <= f->after.line);
}

/* The next line of the log that is being read, if there is one that is not known already. */
static bool next_line(struct run_follower *f, struct follow_news *ret)
{
    while (f->log != NULL && f->offset < f->log->text.len) {
        const char *line = f->log->text.p + f->offset;
        const char *newline = memchr(line, '\n', f->log->text.len - f->offset);
        const size_t len =
            newline != NULL ? (size_t)(newline - line) : f->log->text.len - f->offset;
        f->offset += len + (newline != NULL);
        f->line++;
        if (is_known(f))
            continue;
        *ret = (struct follow_news){
            .kind = FOLLOW_LINE, .at = {f->log->attempt, f->line}, .line = {line, len}};
        return true;
    }
    return false;
}

/* Goes on to the log of the next attempt. False when there is none, or it is still to be read. */
static bool next_log(struct app_host *h, struct run_follower *f)
{
    struct run_log *log = f->next_log;
    if (log != NULL && log->attempt <= due(f)) {
        f->next_log = NULL;
        read_from(f, log);
        return true;
    }
    if (!is_behind(f) || f->lookup != NULL || f->err != 0)
        return false;
    log = log_of_others(find(h, f->run), due(f));
    if (log == NULL) {
        lookup_start(h, f, due(f));
        return false;
    }
    read_from(f, log);
    return true;
}

static struct follow_news tell_status(struct run_follower *f)
{
    f->status_told = true;
    return (struct follow_news){
        .kind = FOLLOW_STATUS, .at = {.attempt = f->status_attempt}, .status = f->status};
}

/* A status comes before the lines of its attempt, a final one after them. */
static bool status_is_first(const struct run_follower *f)
{
    return f->status_known && !f->status_told && !run_status_is_final(f->status) &&
           (f->log != NULL ? f->log->attempt : due(f)) >= f->status_attempt;
}

static struct follow_news follow_next(struct host *host, struct run_follower *f)
{
    struct follow_news news = {.kind = FOLLOW_NOTHING};
    if (f->ended)
        return news;
    do {
        if (status_is_first(f))
            return tell_status(f);
        if (next_line(f, &news))
            return news;
    } while (next_log(app_host(host), f));
    if (is_behind(f) && f->err == 0)
        return news;
    if (f->status_known && !f->status_told && !is_behind(f))
        return tell_status(f);
    f->ended = f->err != 0 || (f->status_known && run_status_is_final(f->status));
    if (f->ended)
        news = (struct follow_news){.kind = FOLLOW_END, .err = f->err};
    return news;
}

/* ---- what happens ---- */

static void run_news(struct host *host, struct uuid run, struct run_log *log)
{
    struct followed_run *all = find(app_host(host), run);
    struct run_follower *f;
    if (all == NULL)
        return;
    DL_FOREACH (all->list, f) {
        know_log(f, log);
        know_status(f, RUN_RUNNING, log->attempt);
    }
    tell(all);
}

void follow_moved(struct app_host *h, const struct effect_move_run *r)
{
    struct followed_run *all = find(h, r->id);
    struct run_follower *f;
    if (all == NULL)
        return;
    const bool last = r->log.p != NULL && run_status_is_final(r->status);
    struct run_log *log = last ? log_read(h, r->id, r->attempt, r->log) : NULL;
    DL_FOREACH (all->list, f) {
        if (log != NULL)
            know_log(f, log);
        know_status(f, r->status, r->attempt);
    }
    run_log_unref(log);
    tell(all);
}

/* Pending runs are on disk only, so nobody can say which ones went with their pipeline. */
void follow_pending_dropped(struct app_host *h)
{
    struct followed_run *all, *next;
    struct run_follower *f;
    HASH_ITER (hh, h->followed, all, next)
        DL_FOREACH (all->list, f)
            if (!f->status_known || f->status == RUN_PENDING)
                lookup_start(h, f, 0);
}

void follow_abandon(struct app_host *h)
{
    struct followed_run *all, *next;
    struct run_follower *f;
    HASH_ITER (hh, h->followed, all, next) {
        DL_FOREACH (all->list, f)
            f->err = -ECANCELED;
        tell(all);
    }
}

static bool run_steps(struct host *host, struct uuid run, struct str *ret)
{
    struct app_host *h = app_host(host);
    const struct run_result *kept = host_kept_result(h, run);
    if (kept != NULL && kept->steps.p != NULL)
        str_add_slice(ret, kept->steps);
    if (kept != NULL || h->dispatcher == NULL)
        return kept != NULL && kept->steps.p != NULL;
    return dispatcher_steps(h->dispatcher, run, ret);
}

static bool run_log(struct host *host, struct uuid run, uint32_t *ret_attempt, struct slice *ret)
{
    const struct run_log *log = live_log(app_host(host), run);
    const struct run_result *kept = host_kept_result(app_host(host), run);
    if (log == NULL && kept == NULL)
        return false;
    *ret_attempt = log != NULL ? log->attempt : kept->attempt;
    *ret = log != NULL ? str_slice(&log->text) : kept->log;
    return true;
}

void follow_init(struct app_host *h)
{
    h->host.run_log = run_log;
    h->host.follow_run = follow_run;
    h->host.follow_next = follow_next;
    h->host.unfollow_run = unfollow_run;
    h->host.run_news = run_news;
    h->host.run_steps = run_steps;
}
