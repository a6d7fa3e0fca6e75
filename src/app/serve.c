/* serve.c - `pawl serve`: configuration, the log, and the daemon. */
#include "app/app.h"
#include "app/config.h"
#include "base/fdlimit.h"
#include "base/log.h"
#include "cli/cli.h"
#include "io/secret/secret.h"
#include <string.h>
#include <unistd.h>

static void start_log(const struct config *c)
{
    enum log_level level = LOG_INFO;
    log_level_parse(slice_of(c->log_level), &level);
    bool text = strcmp(c->log_format, "text") == 0 ||
                (strcmp(c->log_format, "auto") == 0 && isatty(STDERR_FILENO));
    log_init(level, text ? LOG_FORM_TEXT : LOG_FORM_JSON);
}

static int run(const struct flags *f)
{
    struct config c;
    struct diag why;
    config_init(&c);
    const char *file = flags_get(f, "config", NULL);
    int code = CLI_OK;
    if (f->args.len > 0)
        code = cli_usage_error(&cli_serve, "unexpected argument '%s'", f->args.items[0]);
    else if (file != NULL && config_read_file(&c, file, &why) < 0)
        code = cli_usage_error(&cli_serve, "%s", why.msg);
    else if (config_read_flags(&c, f, &why) < 0)
        code = cli_usage_error(&cli_serve, "%s", why.msg);
    if (code == CLI_OK) {
        start_log(&c);
        const uint64_t fds = fdlimit_raise();
        log_debug("descriptors", LOG_INT("limit", fds));
        secret_init();
        code = app_run(&c);
    }
    config_deinit(&c);
    return code;
}

const struct cli_command cli_serve = {
    .name = "serve",
    .args = "[--listen ADDR:PORT]... [--data DIR] [--config FILE.yaml]",
    .help = "Runs the daemon.",
    .flags = config_flags,
    .config = config_options,
    .run = run,
};
