/* cli.h - the subcommands of the pawl binary. One file and one row in commands.c per command.
 *
 * A command prints what it was asked for on stdout and what went wrong on stderr. It returns the
 * process's exit code.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H
#include "cli/flags.h"
#include "pawl/source.h" /* struct option_doc */

/* Exit codes. */
enum {
    CLI_OK = 0,
    CLI_FAILED = 1, /* it could not be done */
    CLI_USAGE = 2,  /* it was not asked for properly */
};

#define CLI_DATA_DIR_DEFAULT "pawl-data"

struct cli_command {
    const char *name;
    const char *args; /* what follows the name, for people: "add NAME | list"; "" for none */
    const char *help; /* one line */
    const struct flag *flags; /* ends with a NULL name */
    const struct option_doc *(*config)(void); /* its configuration file's; NULL: it has none */
    int (*run)(const struct flags *f);        /* args and options, parsed */
};

extern const struct cli_command *const cli_commands[]; /* in the order of `pawl help`, ends with NULL */
extern const struct cli_command cli_serve; /* src/app defines it: the daemon */
extern const struct cli_command cli_apply, cli_cancel, cli_cron, cli_delete, cli_describe, cli_get, cli_help, cli_key, cli_logs, cli_pause, cli_publish, cli_replay, cli_resume, cli_runs, cli_version,
    cli_worker;

const struct cli_command *cli_command_find(const char *name);

/* Runs argv[1] with what follows; "--help" and "--version" stand for the commands of those names.
 */
int cli_main(int argc, char **argv);

/* Prints "pawl NAME: ..." and how to get help to stderr; returns CLI_USAGE. */
int cli_usage_error(const struct cli_command *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints "pawl NAME: ..." to stderr; returns CLI_FAILED. */
int cli_failed(const struct cli_command *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints a command's own help. */
void cli_print_help(FILE *to, const struct cli_command *c);

#endif
