#include "executor/progress.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/rfc3339.h"
#include <stdlib.h>

void progress_init(struct progress *p, size_t count)
{
    p->steps = mem_zalloc(count * sizeof(p->steps[0]));
    p->count = count;
    for (size_t i = 0; i < count; i++)
        p->steps[i] = (struct step_progress){
            .started_at = WALL_UNSET, .finished_at = WALL_UNSET, .exit_status = -1};
}

void progress_release(struct progress *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->steps[i].error);
    free(p->steps);
    *p = (struct progress){0};
}

void progress_begin(struct progress *p, size_t i, struct wall now)
{
    CHECK(i < p->count && p->steps[i].status == RUN_PENDING);
    p->steps[i].status = RUN_RUNNING;
    p->steps[i].started_at = now;
}

void progress_end(struct progress *p, size_t i, const struct run_result *r, struct wall now)
{
    CHECK(i < p->count && p->steps[i].status == RUN_RUNNING);
    struct step_progress *s = &p->steps[i];
    s->status = r->status;
    s->finished_at = now;
    s->exit_status = r->exited ? r->exit_status : -1;
    s->error = r->error.p != NULL ? mem_dup(r->error.p, r->error.len) : NULL;
}

static const char *status_name(const struct step_progress *s, bool over)
{
    return over && s->status == RUN_PENDING ? "skipped" : run_status_name(s->status);
}

static void add_times(const struct step_progress *s, struct str *ret)
{
    str_add_cstr(ret, ",\"started_at\":");
    str_add_time(ret, s->started_at);
    str_add_cstr(ret, ",\"finished_at\":");
    str_add_time(ret, s->finished_at);
    str_add_cstr(ret, ",\"duration_ms\":");
    if (!wall_is_set(s->finished_at))
        str_add_cstr(ret, "null");
    else
        str_add_i64(ret, s->finished_at.ms > s->started_at.ms ? s->finished_at.ms - s->started_at.ms
                                                              : 0);
}

static void add_end(const struct step_progress *s, struct str *ret)
{
    if (s->exit_status >= 0)
        str_printf(ret, ",\"exit_status\":%d", s->exit_status);
    str_add_cstr(ret, ",\"error\":");
    str_add_json_or_null(ret, slice_of(s->error));
}

void progress_add(const struct progress *p, const struct step_list *steps, bool over,
                  struct str *ret)
{
    CHECK(p->count == steps->count);
    for (size_t i = 0; i < p->count; i++) {
        const struct step_progress *s = &p->steps[i];
        str_add_cstr(ret, i == 0 ? "[{\"name\":" : ",{\"name\":");
        str_add_json(ret, steps->items[i].name);
        str_printf(ret, ",\"status\":\"%s\"", status_name(s, over));
        add_times(s, ret);
        add_end(s, ret);
        str_add_char(ret, '}');
    }
    str_add_char(ret, ']');
}
