/* fuzz_tz.c - any bytes as a zone file; what is accepted must have spans without gaps, and
 * schedules must get through it.
 */
#include "base/check.h"
#include "core/cron.h"
#include "core/tz.h"

/* Spans follow each other. */
static void walk(const struct tz *tz, int64_t t)
{
    for (int n = 0; n < 30 && t <= TZ_TIME_MAX; n++) {
        const struct tz_span span = tz_at(tz, t);
        CHECK(span.from <= t && t < span.until);
        CHECK(span.offset >= TZ_OFFSET_MIN && span.offset <= TZ_OFFSET_MAX);
        if (span.until > TZ_TIME_MAX)
            return;
        CHECK(tz_at(tz, span.until - 1).until == span.until);
        CHECK(tz_at(tz, span.until).from == span.until);
        t = span.until;
    }
}

static void there_and_back(const struct tz *tz, int64_t local)
{
    int64_t first, last;
    const enum tz_fit fit = tz_from_local(tz, local, &first, &last);
    const struct tz_span a = tz_at(tz, first), b = tz_at(tz, last);
    CHECK(first <= last && (fit == TZ_REPEATED) == (first < last));
    CHECK(fit == TZ_SKIPPED ? first + a.offset > local && a.from == first
                            : first + a.offset == local && last + b.offset == local);
    const struct tz_span before = tz_at(tz, first - 1);
    CHECK(first - 1 + before.offset < local);
}

static void schedule(const struct tz *tz, const char *text, int64_t after_s)
{
    struct cron c;
    struct wall t = {after_s * 1000}, due;
    CHECK(cron_parse(text, &c, NULL) == 0);
    for (int n = 0; n < 5 && cron_next(&c, tz, t, &due); n++) {
        CHECK(due.ms > t.ms);
        t = due;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t times[] = {-TZ_TIME_MAX, -3000000000, 0,
                                    1767225600,   4102444799,  7258118400};
    struct diag why = {0};
    struct tz *tz = tz_create((struct slice){(const char *)data, size}, &why);
    if (tz == NULL) {
        CHECK(why.msg[0] != '\0');
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        walk(tz, times[i]);
        const struct tz_span span = tz_at(tz, times[i]);
        const int64_t change = span.until > TZ_TIME_MAX / 2 ? 1767225600 : span.until;
        for (int64_t near = -4 * 3600; near <= 4 * 3600; near += 1799)
            there_and_back(tz, change + span.offset + near);
        schedule(tz, "30 2 * * *", change - 86400);
        schedule(tz, "0 */2 29 2 *", change - 86400);
    }
    tz_destroy(tz);
    return 0;
}
