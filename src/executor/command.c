/* command.c - a run is one execution of a program.
 *
 *     {"type": "command", "argv": ["/usr/local/bin/load", "--fast"],
 *      "env": {"NAME": "value"}, "cwd": "/srv/data", "kill_grace_seconds": 10}
 *
 * The program is argv[0], looked up in the daemon's PATH when it has no slash; there is no shell.
 * It finds the event on stdin (event_doc.h). Its environment is small and always the same: PATH,
 * HOME, LANG, TZ, USER and LOGNAME of the daemon where they are set, then `env`, then PAWL_RUN_ID,
 * PAWL_EVENT_ID, PAWL_PIPELINE, PAWL_TRIGGER_TYPE and PAWL_ATTEMPT. Exit status 0 is success.
 * stdout is the output of the run (run_output.h), both streams are its log. When, how and with whom
 * it ends: process.h.
 */
#include "base/arena.h"
#include "base/check.h"
#include "base/duration.h"
#include "base/json.h"
#include "base/mem.h"
#include "executor/dispatcher.h"
#include "executor/program.h"
#include "core/event_doc.h"
#include "io/process/process.h"
#include "io/process/run_output.h"
#include "pawl/executor.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const struct executor_type executor_command;

struct command {
    struct execution x;
    struct process process;
    struct arena arena; /* of the program */
    struct program program;
    const struct run_start *run;
    struct run_output output;
    bool interrupted; /* why it was stopped, when it was */
};

/* ---- the config ---- */

static const struct option_doc command_options[] = {
    PROGRAM_OPTION_ARGV, PROGRAM_OPTION_CWD, PROGRAM_OPTION_ENV, PROGRAM_OPTION_KILL_GRACE, {NULL},
};

static int command_check(json_t *config, struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, config, "executor", reterr);
    json_take_string(&f, "type", JSON_REQUIRED);
    program_check(&f);
    return json_fields_end(&f);
}

/* ---- what the program gets ---- */

static void read_program(struct command *c, json_t *config, const struct run_start *s)
{
    char run[UUID_TEXT_LEN + 1], event[UUID_TEXT_LEN + 1], attempt[16];
    uuid_format(s->run, run);
    uuid_format(s->event, event);
    snprintf(attempt, sizeof(attempt), "%u", s->attempt);
    const struct program_variable variables[] = {
        {"RUN_ID", slice_of(run)},      {"EVENT_ID", slice_of(event)},
        {"PIPELINE", s->pipeline},      {"TRIGGER_TYPE", s->trigger_type},
        {"ATTEMPT", slice_of(attempt)},
    };
    program_read(&c->arena, config, variables, ARRAY_SIZE(variables), &c->program);
}

/* On a spawner's thread: a payload of a megabyte takes a while to check and to copy. */
static void command_prepare(struct process *p)
{
    struct command *c = container_of(p, struct command, process);
    event_doc_add(&p->input, c->run);
}

/* ---- the end ---- */

static void command_output(struct process *p, int fd, struct slice bytes)
{
    struct command *c = container_of(p, struct command, process);
    if (fd == STDOUT_FILENO)
        run_output_add(&c->output, bytes);
    execution_log(&c->x, fd, bytes);
}

static void explain_timeout(const struct command *c, struct diag *why)
{
    char limit[DURATION_TEXT_MAX];
    duration_format(c->run->timeout_ms, limit);
    diag_set(why, DIAG_DEADLINE_EXCEEDED, "timed out after %s", limit);
}

/* The status of the run, and *why unless it is a success. */
static enum run_status judge(const struct command *c, const struct process_end *e, struct diag *why)
{
    if (e->cause == PROCESS_STOPPED) {
        diag_set(why, DIAG_INTERNAL, c->interrupted ? "interrupted" : "cancelled");
        return c->interrupted ? RUN_FAILED : RUN_CANCELLED;
    }
    if (e->cause == PROCESS_TIMED_OUT)
        explain_timeout(c, why);
    else if (e->err < 0)
        program_explain_start(&c->program, e, why);
    else if (e->signo != 0 || e->exit_status != 0)
        program_explain_exit(e, "exit status", "killed", why);
    else
        return RUN_SUCCESS;
    return RUN_FAILED;
}

static void command_ended(struct process *p, const struct process_end *e)
{
    struct command *c = container_of(p, struct command, process);
    struct diag why = {0};
    struct run_result r = {
        .run = c->x.run,
        .status = judge(c, e, &why),
        .output = str_slice(&c->output.text),
        .interrupted = e->cause == PROCESS_STOPPED && c->interrupted,
        .exited = e->err == 0 && e->signo == 0,
        .exit_status = e->exit_status,
    };
    r.error = r.status == RUN_SUCCESS ? SLICE_NONE : slice_of(why.msg);
    execution_ended(&c->x, &r);
    run_output_release(&c->output);
    arena_release(&c->arena);
    free(c);
}

/* ---- the type ---- */

static struct execution *command_start(struct dispatcher *d, const struct run_start *s,
                                       json_t *config)
{
    struct command *c = mem_zalloc(sizeof(*c));
    execution_init(&c->x, &executor_command, d, s);
    c->run = s;
    read_program(c, config, s);
    process_start(&c->process, dispatcher_spawner(d),
                  &(struct process_options){
                      .argv = c->program.argv,
                      .env = c->program.env,
                      .cwd = c->program.cwd,
                      .timeout_ms = s->timeout_ms,
                      .kill_grace_ms = c->program.kill_grace_ms,
                      .prepare = command_prepare,
                      .output = command_output,
                      .ended = command_ended,
                  });
    return &c->x;
}

static void command_cancel(struct execution *x, bool interrupted)
{
    struct command *c = container_of(x, struct command, x);
    if (c->process.cause == PROCESS_BY_ITSELF)
        c->interrupted = interrupted;
    process_stop(&c->process);
}

static void command_kill(struct execution *x)
{
    process_kill(&container_of(x, struct command, x)->process);
}

const struct executor_type executor_command = {
    .name = "command",
    .help = "runs a program with the event on its stdin",
    .options = command_options,
    .check = command_check,
    .start = command_start,
    .cancel = command_cancel,
    .kill = command_kill,
};
