#include "cli/cli.h"
#include "cli/suggest.h"
#include <stdarg.h>
#include <string.h>

/* The order of `pawl help`. */
const struct cli_command *const cli_commands[] = {
    &cli_serve, &cli_apply,  &cli_get,    &cli_describe, &cli_delete, &cli_cron,
    &cli_key,   &cli_runs,   &cli_logs,   &cli_cancel,   &cli_replay, &cli_publish,
    &cli_pause, &cli_resume, &cli_worker, &cli_version,  &cli_help,   NULL,
};

const struct cli_command *cli_command_find(const char *name)
{
    for (const struct cli_command *const *c = cli_commands; *c != NULL; c++) {
        if (strcmp((*c)->name, name) == 0)
            return *c;
    }
    return NULL;
}

static void print_error(const struct cli_command *c, const char *fmt, va_list ap)
{
    fprintf(stderr, "pawl %s: ", c->name);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

int cli_usage_error(const struct cli_command *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print_error(c, fmt, ap);
    va_end(ap);
    fprintf(stderr, "usage: pawl %s%s%s (more: pawl help %s)\n", c->name,
            *c->args != '\0' ? " " : "", c->args, c->name);
    return CLI_USAGE;
}

int cli_failed(const struct cli_command *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print_error(c, fmt, ap);
    va_end(ap);
    return CLI_FAILED;
}

void cli_print_help(FILE *to, const struct cli_command *c)
{
    fprintf(to, "usage: pawl %s%s%s\n\n%s\n\noptions:\n", c->name, *c->args != '\0' ? " " : "",
            c->args, c->help);
    flags_print(to, c->flags);
    if (c->config != NULL)
        fprintf(to, "\nThe configuration file is explained by: pawl help config\n");
}

static int unknown_command(const char *name)
{
    struct suggest s = {.word = name};
    for (const struct cli_command *const *c = cli_commands; *c != NULL; c++)
        suggest_offer(&s, (*c)->name);
    if (s.best != NULL)
        fprintf(stderr, "pawl: unknown command '%s'; did you mean '%s'?\n", name, s.best);
    else
        fprintf(stderr, "pawl: unknown command '%s'; `pawl help` lists them\n", name);
    return CLI_USAGE;
}

static int run_command(const struct cli_command *c, int argc, char **argv)
{
    struct flags f;
    struct diag why;
    if (flags_parse(&f, c->flags, argc, argv, &why) < 0)
        return cli_usage_error(c, "%s", why.msg);
    int code = CLI_OK;
    if (f.help)
        cli_print_help(stdout, c);
    else
        code = c->run(&f);
    flags_release(&f);
    /* A full disk or a closed pipe must not look like success. */
    if (fflush(stdout) != 0 && code == CLI_OK)
        code = cli_failed(c, "cannot write to standard output");
    return code;
}

int cli_main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (name == NULL) {
        fprintf(stderr, "pawl: what shall I do? `pawl help` lists the commands\n");
        return CLI_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    else if (strcmp(name, "--version") == 0)
        name = "version";
    else if (name[0] == '-') {
        fprintf(stderr,
                "pawl: unknown option '%s'; a command comes first, `pawl help` lists them\n", name);
        return CLI_USAGE;
    }
    const struct cli_command *c = cli_command_find(name);
    return c != NULL ? run_command(c, argc - 2, argv + 2) : unknown_command(name);
}
