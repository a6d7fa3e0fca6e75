#include "app/sweep.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/engine.h"
#include "executor/program.h"
#include "io/process/orphans.h"
#include "io/secret/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void sweep_prepare(struct sweep *s, const char *data)
{
    struct stat st = {0};
    uint64_t life;
    *s = (struct sweep){.marker = mem_printf("%s/pawl.running", data)};
    /* Not an id in the database: a copy of the directory is another instance. */
    if (stat(data, &st) < 0)
        log_warn("cannot examine the data directory", LOG_STR("error", strerror(errno)));
    secret_random(&life, sizeof(life));
    snprintf(s->instance, sizeof(s->instance), "%llx-%llx/%llx", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino, (unsigned long long)life);
    program_set_instance(s->instance);
    const int fd = open(s->marker, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    s->crashed = fd < 0; /* a full disk is no reason not to look */
    if (fd >= 0)
        close(fd);
}

static void swept(void *arg, const struct orphans_result *r)
{
    struct sweep *s = arg;
    s->orphans = NULL;
    if (r->err != 0)
        log_warn("cannot look for processes of an earlier life: /proc is not there",
                 LOG_STR("error", strerror(-r->err)));
    if (r->ended > 0)
        log_warn("ended processes that an earlier life had left running",
                 LOG_INT("processes", r->ended));
    if (r->left > 0)
        log_error("processes of an earlier life cannot be ended", LOG_INT("processes", r->left));
    log_debug("looked for processes of an earlier life", LOG_INT("processes", r->looked_at),
              LOG_INT("unreadable", r->unreadable));
    engine_go(s->host->engine, s->host->now(s->host));
}

static bool has_work(const struct sweep *s)
{
    return s->crashed || s->run_count > 0;
}

void sweep_hold(const struct sweep *s, struct engine *e)
{
    if (has_work(s))
        engine_wait(e);
}

void sweep_start(struct sweep *s, struct host *h)
{
    s->host = h;
    if (has_work(s)) {
        s->orphans = orphans_sweep(h->loop, &(struct orphans_options){.instance = s->instance,
                                                                      .runs = s->runs,
                                                                      .run_count = s->run_count,
                                                                      .grace_ms = ORPHANS_GRACE_MS,
                                                                      .done = swept,
                                                                      .arg = s});
    }
    free(s->runs);
    s->runs = NULL;
}

void sweep_close(struct sweep *s, void (*closed)(void *arg), void *arg)
{
    if (s->orphans != NULL)
        orphans_close(s->orphans, closed, arg);
    else
        closed(arg);
    s->orphans = NULL;
}

void sweep_deinit(struct sweep *s)
{
    unlink(s->marker);
    free(s->marker);
}
