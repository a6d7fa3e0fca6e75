/* command.c - a run is one execution of a program.
 *
 *     {"type": "command", "argv": ["/usr/local/bin/load", "--fast"],
 *      "env": {"NAME": "value"}, "cwd": "/srv/data", "kill_grace_seconds": 10}
 *
 * The program is argv[0], looked up in the daemon's PATH when it has no slash; there is no shell.
 * It finds the event on stdin (event_doc.h). Its environment is small and always the same: PATH,
 * HOME, LANG, TZ, USER and LOGNAME of the daemon where they are set, then `env`, then PAWL_RUN_ID,
 * PAWL_EVENT_ID, PAWL_PIPELINE, PAWL_TRIGGER_TYPE and PAWL_ATTEMPT. Exit status 0 is success.
 * stdout is the output of the run, both streams are its log (run_log.h). When, how and with whom it
 * ends: process.h.
 */
#include "base/arena.h"
#include "base/check.h"
#include "base/duration.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/vec.h"
#include "executor/dispatcher.h"
#include "core/event_doc.h"
#include "io/process/process.h"
#include "io/process/run_log.h"
#include "pawl/executor.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

extern const struct executor_type executor_command;

#define KILL_GRACE_SECONDS_MAX 3600
#define RESERVED_PREFIX "PAWL_"

struct command {
    struct execution x;
    struct process process;
    struct arena arena;   /* argv, env, cwd and the copy of the run_start */
    struct run_start run; /* its slices are in the arena */
    struct run_log log;
    bool interrupted; /* why it was stopped, when it was */
};

static const char *const inherited[] = {"PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME"};

/* ---- the config ---- */

static const struct option_doc command_options[] = {
    {"argv", "array", true, "program and arguments; no shell is involved"},
    {"cwd", "string", false, "absolute path of the working directory; default: the daemon's"},
    {"env", "object", false, "environment variables beside the standard ones"},
    {"kill_grace_seconds", "number", false,
     "between SIGTERM and SIGKILL; default 10, at most 3600"},
    {NULL},
};

static void check_argv(struct json_fields *f, json_t *argv)
{
    size_t i;
    json_t *arg;
    char name[48];
    if (argv != NULL && json_array_size(argv) == 0)
        json_fields_fail(f, "argv", "must name a program");
    json_array_foreach(argv, i, arg)
    {
        snprintf(name, sizeof(name), "argv[%zu]", i);
        if (json_string_length(arg) == 0)
            json_fields_fail(f, name, "must be a string that is not empty");
    }
}

static bool env_name_is_valid(const char *name)
{
    if (isdigit((unsigned char)name[0]) || name[0] == '\0')
        return false;
    for (; *name != '\0'; name++)
        if (!isalnum((unsigned char)*name) && *name != '_')
            return false;
    return true;
}

static void check_env(struct json_fields *f, json_t *env)
{
    const char *name;
    json_t *value;
    json_object_foreach(env, name, value)
    {
        if (!env_name_is_valid(name))
            json_fields_fail(f, "env", "'%s' is not a name of letters, digits and '_'", name);
        else if (strncmp(name, RESERVED_PREFIX, strlen(RESERVED_PREFIX)) == 0)
            json_fields_fail(f, "env", "'%s': names that begin with " RESERVED_PREFIX " are taken",
                             name);
        else if (!json_is_string(value))
            json_fields_fail(f, "env", "the value of '%s' must be a string", name);
    }
}

static int command_check(json_t *config, struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, config, "executor", reterr);
    json_take_string(&f, "type", JSON_REQUIRED);
    check_argv(&f, json_take_array(&f, "argv", JSON_REQUIRED));
    check_env(&f, json_take_object(&f, "env", JSON_OPTIONAL));
    const char *cwd = json_take_string(&f, "cwd", JSON_OPTIONAL);
    if (cwd != NULL && cwd[0] != '/')
        json_fields_fail(&f, "cwd", "must be an absolute path");
    json_take_number(&f, "kill_grace_seconds", 0, 0, KILL_GRACE_SECONDS_MAX);
    return json_fields_end(&f);
}

/* ---- what the program gets ---- */

static char **make_argv(struct arena *a, json_t *argv)
{
    size_t i;
    json_t *arg;
    char **ret = arena_zalloc(a, (json_array_size(argv) + 1) * sizeof(*ret));
    json_array_foreach(argv, i, arg) ret[i] = arena_strdup(a, slice_of(json_string_value(arg)));
    return ret;
}

static char *make_variable(struct arena *a, const char *name, struct slice value)
{
    size_t name_len = strlen(name);
    char *ret = arena_alloc(a, name_len + value.len + 2);
    memcpy(ret, name, name_len);
    ret[name_len] = '=';
    memcpy(ret + name_len + 1, value.p, value.len);
    ret[name_len + 1 + value.len] = '\0';
    return ret;
}

static size_t add_run_variables(struct arena *a, const struct run_start *s, char **env)
{
    char run[UUID_TEXT_LEN + 1], event[UUID_TEXT_LEN + 1], attempt[16];
    uuid_format(s->run, run);
    uuid_format(s->event, event);
    snprintf(attempt, sizeof(attempt), "%u", s->attempt);
    const struct {
        const char *name;
        struct slice value;
    } variables[] = {
        {RESERVED_PREFIX "RUN_ID", slice_of(run)},
        {RESERVED_PREFIX "EVENT_ID", slice_of(event)},
        {RESERVED_PREFIX "PIPELINE", s->pipeline},
        {RESERVED_PREFIX "TRIGGER_TYPE", s->trigger_type},
        {RESERVED_PREFIX "ATTEMPT", slice_of(attempt)},
    };
    for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
        env[i] = make_variable(a, variables[i].name, variables[i].value);
    return ARRAY_SIZE(variables);
}

static char **make_env(struct arena *a, json_t *config_env, const struct run_start *s)
{
    enum { RUN_VARIABLES_MAX = 8 };
    size_t n = 0;
    const char *name;
    json_t *value;
    size_t count_max = ARRAY_SIZE(inherited) + json_object_size(config_env) + RUN_VARIABLES_MAX;
    char **env = arena_zalloc(a, (count_max + 1) * sizeof(*env));

    for (size_t i = 0; i < ARRAY_SIZE(inherited); i++) {
        const char *of_daemon = getenv(inherited[i]);
        if (of_daemon != NULL && json_object_get(config_env, inherited[i]) == NULL)
            env[n++] = make_variable(a, inherited[i], slice_of(of_daemon));
    }
    json_object_foreach(config_env, name, value) env[n++] =
        make_variable(a, name, slice_of(json_string_value(value)));
    n += add_run_variables(a, s, env + n);
    CHECK(n <= count_max);
    return env;
}

static struct run_start keep_run_start(struct arena *a, const struct run_start *s)
{
    struct run_start ret = *s;
    struct slice *slices[] = {&ret.pipeline, &ret.trigger_type, &ret.source,  &ret.type,
                              &ret.subject,  &ret.content_type, &ret.payload, &ret.files};
    for (size_t i = 0; i < ARRAY_SIZE(slices); i++)
        *slices[i] = arena_copy(a, *slices[i]);
    ret.spec = SLICE_NONE;
    return ret;
}

/* On a spawner's thread: a payload of a megabyte takes a while to check and to copy. */
static void command_prepare(struct process *p)
{
    struct command *c = container_of(p, struct command, process);
    event_doc_add(&p->input, &c->run);
}

/* ---- the end ---- */

static struct wall wall_now(const struct command *c)
{
    struct host *h = execution_host(&c->x);
    return h->now(h).wall;
}

static void command_output(struct process *p, int fd, struct slice bytes)
{
    struct command *c = container_of(p, struct command, process);
    run_log_add(&c->log, fd, bytes, wall_now(c));
}

static void explain_failed_start(const struct command *c, const struct process_end *e,
                                 struct diag *why)
{
    const struct process_options *opt = &c->process.options;
    const char *reason = strerror(-e->err);
    if (e->err == -EAGAIN && e->failed == LAUNCH_PIPES)
        diag_set(why, DIAG_UNAVAILABLE,
                 "cannot start \"%s\": too many processes wait to be started", opt->argv[0]);
    else if (e->failed == LAUNCH_CHDIR)
        diag_set(why, DIAG_INTERNAL, "cannot change to directory \"%s\": %s", opt->cwd, reason);
    else
        diag_set(why, DIAG_INTERNAL, "cannot start \"%s\": %s", opt->argv[0], reason);
}

static void explain_exit(const struct process_end *e, struct diag *why)
{
    if (e->signo == 0) {
        diag_set(why, DIAG_INTERNAL, "exit status %d", e->exit_status);
        return;
    }
    const char *name = sigabbrev_np(e->signo);
    diag_set(why, DIAG_INTERNAL,
             name != NULL ? "killed by signal %d (SIG%s)" : "killed by signal %d", e->signo, name);
}

static void explain_timeout(const struct command *c, struct diag *why)
{
    char limit[DURATION_TEXT_MAX];
    duration_format(c->run.timeout_ms, limit);
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
        explain_failed_start(c, e, why);
    else if (e->signo != 0 || e->exit_status != 0)
        explain_exit(e, why);
    else
        return RUN_SUCCESS;
    return RUN_FAILED;
}

static void command_ended(struct process *p, const struct process_end *e)
{
    struct command *c = container_of(p, struct command, process);
    struct diag why = {0};
    struct run_result r = {.run = c->run.run, .status = judge(c, e, &why)};

    run_log_end(&c->log, wall_now(c));
    r.output = str_slice(&c->log.output);
    r.log = str_slice(&c->log.log);
    r.error = r.status == RUN_SUCCESS ? SLICE_NONE : slice_of(why.msg);
    r.interrupted = e->cause == PROCESS_STOPPED && c->interrupted;
    execution_ended(&c->x, &r);
    run_log_release(&c->log);
    arena_release(&c->arena);
    free(c);
}

/* ---- the type ---- */

static const char *keep_cwd(struct arena *a, json_t *cwd)
{
    return cwd == NULL ? NULL : arena_strdup(a, slice_of(json_string_value(cwd)));
}

static uint64_t kill_grace_ms(json_t *config)
{
    json_t *seconds = json_object_get(config, "kill_grace_seconds");
    if (!json_is_number(seconds))
        return PROCESS_KILL_GRACE_MS;
    return (uint64_t)(json_number_value(seconds) * 1000);
}

static struct execution *command_start(struct dispatcher *d, const struct run_start *s,
                                       json_t *config)
{
    struct command *c = mem_zalloc(sizeof(*c));
    execution_init(&c->x, &executor_command, d, s);
    c->run = keep_run_start(&c->arena, s);
    process_start(&c->process, dispatcher_spawner(d),
                  &(struct process_options){
                      .argv = make_argv(&c->arena, json_object_get(config, "argv")),
                      .env = make_env(&c->arena, json_object_get(config, "env"), s),
                      .cwd = keep_cwd(&c->arena, json_object_get(config, "cwd")),
                      .timeout_ms = s->timeout_ms,
                      .kill_grace_ms = kill_grace_ms(config),
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
