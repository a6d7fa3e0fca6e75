/* cron.c - `pawl cron next`: when a schedule is due, as the daemon would say. */
#include "base/check.h"
#include "base/rfc3339.h"
#include "cli/cli.h"
#include "core/cron.h"
#include "io/tzdata/tzdata.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT_MAX 10000

static const struct flag flags[] = {
    {"count", "N", "how many due times (default: 1)", FLAG_ONCE, 'n'},
    {"tz", "ZONE", "the schedule's time zone, an IANA name (default: UTC)", FLAG_ONCE},
    {"from", "TIME", "look for due times after this, RFC 3339 (default: now)", FLAG_ONCE},
    {NULL},
};

/* What is asked. */
struct question {
    struct cron cron;
    const struct tz *tz;
    bool has_tz;
    struct wall from;
    uint64_t count;
};

static struct wall wall_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (struct wall){(int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000};
}

/* Shows the expression with a mark below the place, if a terminal can show it as it is. */
static int bad_expression(const char *text, const struct diag *why)
{
    cli_failed(&cli_cron, "%s", why->msg);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~')
            return CLI_USAGE;
    }
    if (*text != '\0' && strlen(text) <= 100)
        fprintf(stderr, "    %s\n    %*s\n", text, why->column, "^");
    return CLI_USAGE;
}

static void print_due(const struct question *q, struct wall due)
{
    char text[RFC3339_LEN + 1];
    rfc3339_format(due, text);
    fputs(text, stdout);
    if (q->has_tz) {
        const int64_t t = due.ms / 1000 - (due.ms % 1000 < 0);
        const int32_t offset = tz_at(q->tz, t).offset;
        const int minutes = abs(offset) / 60;
        rfc3339_format((struct wall){due.ms + (int64_t)offset * 1000}, text);
        printf("  %.*s%c%02d:%02d", (int)strlen(text) - 1, text, offset < 0 ? '-' : '+',
               minutes / 60, minutes % 60);
    }
    putchar('\n');
}

static int answer(struct question *q)
{
    struct wall due = q->from;
    cron_anchor(&q->cron, q->from);
    for (uint64_t i = 0; i < q->count; i++) {
        if (!cron_next(&q->cron, q->tz, due, &due))
            return i > 0 ? CLI_OK : cli_failed(&cli_cron, "not due again before the year 10000");
        print_due(q, due);
    }
    return CLI_OK;
}

static int next(const struct flags *f, struct tzdata *zones, const char *text)
{
    struct question q = {.from = wall_now(), .count = 1};
    struct diag why;
    const char *count = flags_get(f, "count", NULL), *from = flags_get(f, "from", NULL);
    const char *zone = flags_get(f, "tz", NULL);
    if (count != NULL && (!slice_u64(slice_of(count), COUNT_MAX, &q.count) || q.count == 0))
        return cli_usage_error(&cli_cron, "--count: '%s' is not a number from 1 to %d", count,
                               COUNT_MAX);
    if (from != NULL && !rfc3339_parse(slice_of(from), &q.from))
        return cli_usage_error(&cli_cron, "--from: '%s' is not a time such as 2026-02-13T10:05:00Z",
                               from);
    if (zone != NULL && tzdata_get(zones, zone, &q.tz, &why) < 0)
        return cli_usage_error(&cli_cron, "--tz: %s", why.msg);
    q.has_tz = zone != NULL;
    if (cron_parse(text, &q.cron, &why) < 0)
        return bad_expression(text, &why);
    return answer(&q);
}

static int run(const struct flags *f)
{
    if (f->args.len == 0)
        return cli_usage_error(&cli_cron, "what shall it be? There is: next");
    if (strcmp(f->args.items[0], "next") != 0)
        return cli_usage_error(&cli_cron, "'%s' is not one of: next", f->args.items[0]);
    if (f->args.len == 1)
        return cli_usage_error(&cli_cron, "next: the expression is missing");
    if (f->args.len > 2)
        return cli_usage_error(&cli_cron,
                               "unexpected argument '%s'; an expression is one argument: quote it",
                               f->args.items[2]);
    struct tzdata *zones = tzdata_create(NULL);
    const int code = next(f, zones, f->args.items[1]);
    tzdata_destroy(zones);
    return code;
}

const struct cli_command cli_cron = {
    .name = "cron",
    .args = "next \"EXPR\" [-n N] [--tz ZONE] [--from TIME]",
    .help = "Says when a cron expression is due next, in UTC and in its zone.",
    .flags = flags,
    .run = run,
};
