/* A run that a worker has: its process, and the lease that makes it ours. Three things go on side by side:
 *
 *     process     runs, or is being stopped; then what it wrote becomes the report
 *     heartbeat   every third of the lease, until the report was taken. When none was for three quarters of it a process that still
 *                 runs is stopped, so that nothing is left of it when somebody else may have it
 *     report      sent until the server has said whether it counts, however long that is away: leases outlast it
 *
 * The run is gone when none of the three is under way and nothing is left to say.
 */
#include "base/check.h"
#include "base/json_scan.h"
#include "base/mem.h"
#include "cli/worker.h"
#include "io/process/run_log.h"
#include "io/process/run_output.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#define ANSWER_BYTES_MAX (1 << 20)

extern char **environ;

struct worker_run {
    struct worker_main *worker;
    char *id, *token;
    struct str document;  /* for its stdin */
    VEC(char *) env;      /* ends with NULL */
    size_t env_inherited; /* the first of them are not ours */
    struct process process;
    bool running; /* the process has not ended */
    struct run_log *log;
    struct run_output output;
    const char *error; /* why it was stopped; static memory, NULL: it was not */
    bool lost;         /* the lease: there is nothing to report, or nobody who would listen */

    struct outbound_request beat, report;
    bool beating, reporting;
    bool reported;
    bool waits; /* the server did not take the report yet, which has been said */
    struct str beat_body, report_body;
    char *beat_url, *report_url;
    struct timer next_beat, too_late, report_again;
    struct worker_run *prev, *next;
};

struct worker_run *worker_run_next(struct worker_main *w, struct worker_run *r)
{
    return r == NULL ? w->runs : r->next;
}

/* ---- the end ---- */

static void destroy(struct worker_run *r)
{
    struct worker_main *w = r->worker;
    DL_DELETE(w->runs, r);
    w->run_count--;
    timer_cancel(&w->timers, &r->next_beat);
    timer_cancel(&w->timers, &r->too_late);
    timer_cancel(&w->timers, &r->report_again);
    for (size_t i = r->env_inherited; i < r->env.len; i++)
        free(r->env.items[i]);
    vec_release(&r->env);
    run_log_unref(r->log);
    run_output_release(&r->output);
    str_release(&r->document);
    str_release(&r->beat_body);
    str_release(&r->report_body);
    free(r->beat_url);
    free(r->report_url);
    free(r->id);
    free(r->token);
    free(r);
    worker_run_gone(w);
}

static void look(struct worker_run *r)
{
    if (r->running || (!r->reported && !r->lost))
        return;
    timer_cancel(&r->worker->timers, &r->next_beat);
    timer_cancel(&r->worker->timers, &r->too_late);
    timer_cancel(&r->worker->timers, &r->report_again);
    if (r->reporting)
        outbound_cancel(&r->report);
    else if (r->beating)
        outbound_cancel(&r->beat);
    else
        destroy(r);
}

static void lose(struct worker_run *r, const char *why)
{
    if (r->lost || r->reported)
        return;
    worker_say("run %s: %s", r->id, why);
    r->lost = true;
    if (r->running)
        process_stop(&r->process);
    look(r);
}

static void lease_over(struct timer *t)
{
    lose(container_of(t, struct worker_run, too_late),
         "the server was not heard for too long; giving it up");
}

/* ---- asking the server ---- */

static void post(struct worker_run *r, struct outbound_request *request, const char *url,
                 const struct str *body,
                 void (*ended)(struct outbound_request *, const struct outbound_end *))
{
    struct worker_main *w = r->worker;
    outbound_start(w->outbound, request,
                   &(struct outbound_options){
                       .method = "POST",
                       .url = url,
                       .headers = w->headers,
                       .body = str_slice(body),
                       .connect_ms = WORKER_REQUEST_MS,
                       .total_ms = WORKER_REQUEST_MS,
                       .body_bytes_max = ANSWER_BYTES_MAX,
                       .ended = ended,
                   });
}

/* Not now, but perhaps later. */
static bool may_try_again(const struct outbound_end *e)
{
    return e->err != 0 || e->status == 408 || e->status == 429 || e->status >= 500;
}

/* ---- heartbeats ---- */

static void arm(struct worker_run *r)
{
    struct worker_main *w = r->worker;
    timer_set(&w->timers, &r->too_late, w->lease_ms * 3 / 4);
}

static void beat_ended(struct outbound_request *request, const struct outbound_end *e)
{
    struct worker_run *r = container_of(request, struct worker_run, beat);
    struct worker_main *w = r->worker;
    r->beating = false;
    if (r->lost || (r->reported && !r->running)) {
        look(r);
        return;
    }
    if (r->running && e->err == 0 && e->status == 200) {
        const uint64_t gone = e->duration_ms < w->lease_ms / 4 ? e->duration_ms : w->lease_ms / 4;
        timer_set(&w->timers, &r->too_late, w->lease_ms * 3 / 4 - gone);
    }
    if (may_try_again(e) || e->status == 200)
        timer_set(&w->timers, &r->next_beat, w->lease_ms / 3);
    else
        lose(r, "the server says that it is not ours any more");
}

static void beat(struct timer *t)
{
    struct worker_run *r = container_of(t, struct worker_run, next_beat);
    r->beating = true;
    post(r, &r->beat, r->beat_url, &r->beat_body, beat_ended);
}

/* ---- the report ---- */

/* The log's lines are objects already; what says that it was cut has a member that reports do not have. */
static void add_logs(struct str *s, const struct run_log *log)
{
    static const char cut[] = ",\"truncated\":true}";
    struct slice rest = str_slice(&log->text);
    str_add_cstr(s, ",\"logs\":[");
    for (bool first = true; rest.len > 0; first = false) {
        const char *newline = memchr(rest.p, '\n', rest.len);
        const size_t len = newline != NULL ? (size_t)(newline - rest.p) : rest.len;
        const size_t tail = sizeof(cut) - 1;
        const bool is_cut = len > tail && memcmp(rest.p + len - tail, cut, tail) == 0;
        str_add_cstr(s, first ? "" : ",");
        str_add(s, rest.p, is_cut ? len - tail : len);
        str_add_cstr(s, is_cut ? "}" : "");
        rest.p += len < rest.len ? len + 1 : len;
        rest.len -= len < rest.len ? len + 1 : len;
    }
    str_add_char(s, ']');
}

static void make_report(struct worker_run *r, const char *error)
{
    struct str *s = &r->report_body;
    str_printf(s, "{\"lease_token\":\"%s\"", r->token);
    if (error != NULL) {
        str_add_cstr(s, ",\"error\":");
        str_add_json(s, slice_of(error));
    }
    if (r->output.text.len > 0) {
        str_add_cstr(s, ",\"output\":");
        str_add_json(s, str_slice(&r->output.text));
    }
    add_logs(s, r->log);
    str_add_char(s, '}');
    r->report_url = mem_printf("%s/api/v1/runs/%s/%s", r->worker->server.url, r->id,
                               error != NULL ? "fail" : "complete");
}

static void send_report(struct worker_run *r);

static void report_again(struct timer *t)
{
    send_report(container_of(t, struct worker_run, report_again));
}

static void report_ended(struct outbound_request *request, const struct outbound_end *e)
{
    struct worker_run *r = container_of(request, struct worker_run, report);
    struct diag why;
    r->reporting = false;
    if (r->lost) {
        look(r);
        return;
    }
    why = e->why;
    if (e->err == 0 && e->status != 200)
        server_explain(e->status, e->body, &why);
    if (may_try_again(e)) {
        if (!r->waits)
            worker_say("run %s: its end was not reported yet: %s; trying again", r->id, why.msg);
        r->waits = true;
        r->report_again.fired = report_again;
        timer_set(&r->worker->timers, &r->report_again, WORKER_BACKOFF_MS_MIN);
        return;
    }
    if (e->status != 200) {
        worker_say("run %s: its end was not taken: %s", r->id, why.msg);
    }
    r->reported = true;
    look(r);
}

static void send_report(struct worker_run *r)
{
    r->reporting = true;
    post(r, &r->report, r->report_url, &r->report_body, report_ended);
}

/* ---- the process ---- */

static struct wall wall_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (struct wall){(int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000};
}

/* JSON that the server takes has no NUL: it becomes a question mark. */
static void output(struct process *p, int fd, struct slice bytes)
{
    struct worker_run *r = container_of(p, struct worker_run, process);
    char *copy = NULL;
    if (memchr(bytes.p, '\0', bytes.len) != NULL) {
        copy = mem_dup(bytes.p, bytes.len);
        for (size_t i = 0; i < bytes.len; i++)
            copy[i] = copy[i] == '\0' ? '?' : copy[i];
        bytes.p = copy;
    }
    if (fd == STDOUT_FILENO)
        run_output_add(&r->output, bytes);
    run_log_add(r->log, fd, bytes, wall_now());
    free(copy);
}

static void explain(const struct worker_run *r, const struct process_end *e, struct diag *why)
{
    const char *name = e->signo != 0 ? sigabbrev_np(e->signo) : NULL;
    if (r->error != NULL)
        diag_set(why, DIAG_INTERNAL, "%s", r->error);
    else if (e->err < 0)
        diag_set(why, DIAG_INTERNAL, "cannot start \"%s\": %s", r->worker->command[0],
                 strerror(-e->err));
    else if (e->signo != 0)
        diag_set(why, DIAG_INTERNAL, "killed by signal %d (SIG%s)", e->signo,
                 name != NULL ? name : "?");
    else
        diag_set(why, DIAG_INTERNAL, "exit status %d", e->exit_status);
}

static void ended(struct process *p, const struct process_end *e)
{
    struct worker_run *r = container_of(p, struct worker_run, process);
    const bool well = r->error == NULL && e->err == 0 && e->signo == 0 && e->exit_status == 0;
    struct diag why;
    r->running = false;
    if (r->lost) {
        look(r);
        return;
    }
    timer_cancel(&r->worker->timers, &r->too_late); /* there is nothing left that could run twice */
    run_log_flush(r->log, wall_now());
    explain(r, e, &why);
    make_report(r, well ? NULL : why.msg);
    send_report(r);
}

static void give_document(struct process *p)
{
    struct worker_run *r = container_of(p, struct worker_run, process);
    str_add_slice(&p->input, str_slice(&r->document));
}

/* ---- the start ---- */

/* A member that is a string without escapes, as ids, tokens and slugs are. */
static struct slice plain(struct slice object, const char *name)
{
    const struct slice v = json_scan_member(object, name);
    if (v.len < 2 || v.p[0] != '"' || memchr(v.p, '\\', v.len) != NULL)
        return SLICE_NONE;
    return (struct slice){v.p + 1, v.len - 2};
}

static void add_variable(struct worker_run *r, const char *name, struct slice value)
{
    vec_push(&r->env,
             mem_printf("PAWL_%s=%.*s", name, (int)value.len, value.p != NULL ? value.p : ""));
}

/* The worker's own, but for what is pawl's: neither its key nor anything of another run. */
static void make_env(struct worker_run *r, struct slice text, struct slice event)
{
    for (char **v = environ; *v != NULL; v++)
        if (strncmp(*v, "PAWL_", 5) != 0)
            vec_push(&r->env, *v);
    r->env_inherited = r->env.len;
    add_variable(r, "RUN_ID", slice_of(r->id));
    add_variable(r, "EVENT_ID", plain(event, "id"));
    add_variable(r, "PIPELINE", plain(text, "pipeline"));
    add_variable(r, "TRIGGER_TYPE", plain(json_scan_member(text, "trigger"), "type"));
    add_variable(r, "ATTEMPT", json_scan_member(text, "attempt"));
    vec_push(&r->env, NULL);
}

static uint64_t kill_grace_ms(const struct worker_main *w)
{
    return w->lease_ms / 6 < PROCESS_KILL_GRACE_MS ? w->lease_ms / 6 : PROCESS_KILL_GRACE_MS;
}

void worker_run_start(struct worker_main *w, struct slice text)
{
    struct worker_run *r = mem_zalloc(sizeof(*r));
    const struct slice id = plain(text, "run_id"), token = plain(text, "lease_token");
    const struct slice event = json_scan_member(text, "event");
    r->worker = w;
    r->id = mem_dup(id.p != NULL ? id.p : "", id.len);
    r->token = mem_dup(token.p != NULL ? token.p : "", token.len);
    r->log = run_log_create(1);
    r->running = true;
    r->next_beat.fired = beat;
    r->too_late.fired = lease_over;
    str_add_slice(&r->document, event);
    str_add_char(&r->document, '\n');
    /* A server that was started anew does not know how long it was. */
    str_printf(&r->beat_body, "{\"lease_token\":\"%s\",\"lease_seconds\":%.3f}", r->token,
               (double)w->lease_ms / 1000);
    r->beat_url = mem_printf("%s/api/v1/runs/%s/heartbeat", w->server.url, r->id);
    make_env(r, text, event);
    DL_APPEND(w->runs, r);
    w->run_count++;
    timer_set(&w->timers, &r->next_beat, w->lease_ms / 3);
    arm(r);
    process_start(&r->process, w->spawner,
                  &(struct process_options){
                      .argv = w->command,
                      .env = r->env.items,
                      .kill_grace_ms = kill_grace_ms(w),
                      .dies_with_us = true,
                      .prepare = give_document,
                      .output = output,
                      .ended = ended,
                  });
}

void worker_run_stop(struct worker_run *r)
{
    if (!r->running || r->error != NULL)
        return;
    r->error = "the worker was stopped";
    process_stop(&r->process);
}

void worker_run_kill(struct worker_run *r)
{
    if (r->running)
        process_kill(&r->process);
}
