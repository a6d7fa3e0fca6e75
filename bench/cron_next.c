/* cron_next.c - what it costs to ask for the next due time: nanoseconds per cron_next(), asked at
 * random instants of ten years.
 *
 *     ninja -C build/release bench/cron_next && build/release/bench/cron_next
 */
#include "base/check.h"
#include "base/prng.h"
#include "core/cron.h"
#include "io/tzdata/tzdata.h"
#include <stdio.h>
#include <time.h>

#define CALLS 1000000
#define START_MS INT64_C(1767225600000) /* 2026 */
#define YEAR_MS INT64_C(31556952000)

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* From instants all over ten years. */
static double measure(const struct cron *c, const struct tz *tz)
{
    static struct wall after[4096];
    struct prng dice;
    struct wall due;
    int64_t sum = 0;
    prng_init(&dice, 1);
    for (size_t i = 0; i < ARRAY_SIZE(after); i++)
        after[i].ms = START_MS + (int64_t)prng_below(&dice, 10 * YEAR_MS);
    const int64_t begin = now_ns();
    for (int i = 0; i < CALLS; i++) {
        CHECK(cron_next(c, tz, after[(size_t)i % ARRAY_SIZE(after)], &due));
        sum += due.ms;
    }
    const int64_t ns = now_ns() - begin;
    CHECK(sum != 0); /* keeps the loop from being dropped */
    return (double)ns / CALLS;
}

int main(void)
{
    static const char *const texts[] = {
        "* * * * *",   "*/15 * * * *",   "0 * * * *",    "0 0 * * *",    "30 2 * * *",
        "0 6 * * 1-5", "*/10 * * * * *", "0 0 1 * *",    "0 0 13 * FRI", "0 0 1 1 *",
        "0 0 29 2 *",  "0 12 29 2 */7",  "0 * 29 2 */7", "@every 90s",
    };
    static const char *const names[] = {"UTC", "Europe/Berlin", "America/New_York"};
    struct tzdata *zones = tzdata_create(NULL);
    printf("%-18s", "ns per cron_next()");
    for (size_t z = 0; z < ARRAY_SIZE(names); z++)
        printf(" %18s", names[z]);
    printf("\n");
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct cron c;
        CHECK(cron_parse(texts[i], &c, NULL) == 0);
        printf("%-18s", texts[i]);
        for (size_t z = 0; z < ARRAY_SIZE(names); z++) {
            const struct tz *tz;
            struct diag why;
            if (tzdata_get(zones, names[z], &tz, &why) < 0) {
                fprintf(stderr, "%s\n", why.msg);
                return 1;
            }
            printf(" %18.1f", measure(&c, tz));
        }
        printf("\n");
    }
    tzdata_destroy(zones);
    return 0;
}
