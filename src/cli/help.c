/* help.c - `pawl help`: everything it prints comes from the tables that the program itself works
 * with. */
#include "cli/cli.h"
#include "pawl/executor.h"
#include "pawl/source.h"
#include <string.h>

static const struct flag flags[] = {{NULL}};

static void print_commands(void)
{
    printf(
        "pawl turns events into runs of pipelines, and loses none.\n\nusage: pawl COMMAND ...\n\n");
    for (const struct cli_command *const *c = cli_commands; *c != NULL; c++)
        printf("  %-10s %s\n", (*c)->name, (*c)->help);
    printf("\nMore about one: pawl help COMMAND. What triggers, executors and files may hold: pawl "
           "help config\n");
}

static void print_options(const struct option_doc *o)
{
    if (o == NULL || o->name == NULL) {
        printf("      (no options)\n");
        return;
    }
    for (; o->name != NULL; o++)
        printf("      %-22s %-8s %s %s\n", o->name, o->type,
               o->required ? "required " : "optional ", o->help);
}

static void print_config(void)
{
    for (const struct cli_command *const *c = cli_commands; *c != NULL; c++) {
        if ((*c)->config == NULL)
            continue;
        printf("The file of `pawl %s --config FILE.yaml`:\n", (*c)->name);
        print_options((*c)->config());
        printf("\n");
    }
    printf("Triggers, by `type`; these stand in `config`:\n");
    for (const struct source_type *const *s = source_types; *s != NULL; s++) {
        for (const struct trigger_type *t = (*s)->trigger_types; t->name != NULL; t++) {
            printf("\n  %s: %s\n", t->name, t->help);
            print_options(t->options);
        }
    }
    printf(
        "\nExecutors, by `executor.type`; these stand beside `type` in a pipeline's `executor`:\n");
    for (const struct executor_type *const *x = executor_types; *x != NULL; x++) {
        printf("\n  %s: %s\n", (*x)->name, (*x)->help);
        print_options((*x)->options);
    }
}

static int run(const struct flags *f)
{
    if (f->args.len == 0) {
        print_commands();
        return CLI_OK;
    }
    if (f->args.len > 1)
        return cli_usage_error(&cli_help, "unexpected argument '%s'", f->args.items[1]);
    const char *topic = f->args.items[0];
    const struct cli_command *c = cli_command_find(topic);
    if (c != NULL)
        cli_print_help(stdout, c);
    else if (strcmp(topic, "config") == 0)
        print_config();
    else
        return cli_usage_error(&cli_help, "no help about '%s'", topic);
    return CLI_OK;
}

const struct cli_command cli_help = {
    .name = "help",
    .args = "[COMMAND | config]",
    .help = "Explains the commands, or what configuration may hold.",
    .flags = flags,
    .run = run,
};
