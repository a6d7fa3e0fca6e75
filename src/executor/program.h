/* program.h - what the executors that start programs have in common: the fields that name a program, and what it gets.
 *
 *     "argv": ["/usr/local/bin/load", "--fast"], "env": {"NAME": "value"}, "cwd": "/srv/data", "kill_grace_seconds": 10
 *
 * The program is argv[0], looked up in the daemon's PATH when it has no slash; there is no shell. Its environment is small and always
 * the same: PATH, HOME, LANG, TZ, USER and LOGNAME of the daemon where they are set, then `env`, then what the executor adds, whose
 * names begin with PAWL_.
 */
#ifndef EXECUTOR_PROGRAM_H
#define EXECUTOR_PROGRAM_H
#include "base/arena.h"
#include "base/json.h"
#include "io/process/process.h"

struct program {
    char **argv, **env;
    const char *cwd; /* NULL: the daemon's */
    uint64_t kill_grace_ms;
};

/* A variable that the executor adds; `name` without the prefix PAWL_. */
struct program_variable {
    const char *name;
    struct slice value;
};

/* The help of the fields, in the order of their names, for the options of an executor. */
#define PROGRAM_OPTION_ARGV {"argv", "array", true, "program and arguments; no shell is involved"}
#define PROGRAM_OPTION_CWD                                                                         \
    {"cwd", "string", false, "absolute path of the working directory; default: the daemon's"}
#define PROGRAM_OPTION_ENV                                                                         \
    {"env", "object", false, "environment variables beside the standard ones"}
#define PROGRAM_OPTION_KILL_GRACE                                                                  \
    {"kill_grace_seconds", "number", false,                                                        \
     "between SIGTERM and SIGKILL; default 10, at most 3600"}

/* Takes and checks the fields. */
void program_check(struct json_fields *f);

/* What a checked config says. Everything is in the arena. */
void program_read(struct arena *a, json_t *config, const struct program_variable *v, size_t n,
                  struct program *ret);

/* One sentence about a program that never ran (e->err < 0). */
void program_explain_start(const struct program *p, const struct process_end *e, struct diag *why);

/* How it ended, such as "killed by signal 9 (SIGKILL)": `status` is the text before an exit status, "exit status". */
void program_explain_exit(const struct process_end *e, const char *status, const char *killed,
                          struct diag *why);

/* What every program gets as PAWL_INSTANCE, so that it is found if the daemon dies (io/process/orphans.h). Set once, at start. */
void program_set_instance(const char *text);

#endif
