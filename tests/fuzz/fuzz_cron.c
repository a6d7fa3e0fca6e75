/* fuzz_cron.c - any text as a cron expression; what is accepted must be due again and again.
 *
 * The zone is made by hand and nasty: its clocks jump by odd amounts and by whole days, and are set
 * back soon after.
 */
#include "base/check.h"
#include "base/mem.h"
#include "core/cron.h"
#include "core/tz.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void put(struct str *s, uint64_t n, int bytes)
{
    for (int shift = bytes * 8 - 8; shift >= 0; shift -= 8)
        str_add_char(s, (char)(n >> shift));
}

static struct tz *nasty_zone(void)
{
    static const int32_t offsets[] = {0, 3600, 2 * 3600 + 17, -11 * 3600, 13 * 3600};
    static const int64_t changes[] = {1000, 2000, 3000, 90000, 90001, 180000, 1767225600};
    struct str s = {0};
    for (int block = 0; block < 2; block++) {
        str_add_cstr(&s, "TZif2");
        put(&s, 0, 8);
        put(&s, 0, 7);
        put(&s, 0, 8);
        put(&s, 0, 4);
        put(&s, block ? ARRAY_SIZE(changes) : 0, 4);
        put(&s, block ? ARRAY_SIZE(offsets) : 0, 4);
        put(&s, block ? 4 : 0, 4);
    }
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
        put(&s, (uint64_t)changes[i], 8);
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
        str_add_char(&s, (char)(i % ARRAY_SIZE(offsets)));
    for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
        put(&s, (uint32_t)offsets[i], 4);
        put(&s, 0, 2);
    }
    str_add(&s, "AAA", 4);
    str_add_cstr(&s, "\nAAA3BBB,M3.2.0,M11.1.0\n");
    struct diag why;
    struct tz *tz = tz_create(str_slice(&s), &why);
    CHECK(tz != NULL);
    str_release(&s);
    return tz;
}

static void ask(const struct cron *c, const struct tz *tz, struct wall after)
{
    struct wall due, t = after, latest;
    for (int n = 0; n < 20 && cron_next(c, tz, t, &due); n++) {
        CHECK(due.ms > t.ms);
        CHECK(cron_next(c, tz, (struct wall){due.ms - 1}, &latest) && latest.ms == due.ms);
        CHECK(cron_latest(c, tz, t, due, &latest) && latest.ms == due.ms);
        CHECK(!cron_latest(c, tz, t, (struct wall){due.ms - 1}, &latest));
        t = due;
    }
    CHECK(t.ms > after.ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t after[] = {0, -1, 999500, 89999000, 1767225599999, 4102444800000};
    static struct tz *nasty;
    if (nasty == NULL)
        nasty = nasty_zone();
    char *text = mem_dup((const char *)data, size);
    struct cron c;
    struct diag why;
    const int err = cron_parse(text, &c, &why);
    if (err < 0) {
        CHECK(err == -EINVAL && why.msg[0] != '\0');
        CHECK(why.column >= 1 && (size_t)why.column <= strlen(text) + 1);
    } else {
        for (size_t i = 0; i < ARRAY_SIZE(after); i++) {
            ask(&c, NULL, (struct wall){after[i]});
            ask(&c, nasty, (struct wall){after[i]});
        }
    }
    free(text);
    return 0;
}
