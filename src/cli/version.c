#include "cli/cli.h"
#include <stdio.h>

static const struct flag flags[] = {{NULL}};

static int run(const struct flags *f)
{
    if (f->args.len > 0)
        return cli_usage_error(&cli_version, "unexpected argument '%s'", f->args.items[0]);
    printf("pawl %s\n", PAWL_VERSION);
    return CLI_OK;
}

const struct cli_command cli_version = {
    .name = "version",
    .args = "",
    .help = "Prints the version.",
    .flags = flags,
    .run = run,
};
