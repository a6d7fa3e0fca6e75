#include "base/duration.h"
#include <stdio.h>
#include <string.h>

/* Longest names first where one is the beginning of another. */
static const struct {
    const char *name;
    uint64_t ns;
} units[] = {
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000}, /* U+00B5, the micro sign */
    {"\xce\xbcs", 1000}, /* U+03BC, the Greek letter */
    {"ms", 1000000},
    {"s", UINT64_C(1000000000)},
    {"m", UINT64_C(60000000000)},
    {"h", UINT64_C(3600000000000)},
};

#define NS_MAX (DURATION_MS_MAX * UINT64_C(1000000))

/* Takes digits from *s. The value stops growing at NS_MAX + 1, so it cannot overflow. */
static uint64_t take_digits(struct slice *s, size_t *ret_count)
{
    uint64_t n = 0;
    *ret_count = 0;
    for (; s->len > 0 && *s->p >= '0' && *s->p <= '9'; s->p++, s->len--, (*ret_count)++)
        n = n > NS_MAX / 10 ? NS_MAX + 1 : n * 10 + (uint64_t)(*s->p - '0');
    return n;
}

static uint64_t take_unit(struct slice *s)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!slice_starts(*s, units[i].name))
            continue;
        const size_t len = strlen(units[i].name);
        s->p += len;
        s->len -= len;
        return units[i].ns;
    }
    return 0;
}

/* One number with its unit, in nanoseconds; more than NS_MAX means too long. */
static bool take_part(struct slice *s, uint64_t *ret_ns)
{
    size_t whole_count, fraction_count = 0;
    const uint64_t whole = take_digits(s, &whole_count);
    struct slice fraction = {s->p, 0};
    if (s->len > 0 && *s->p == '.') {
        s->p++;
        s->len--;
        fraction.p = s->p;
        take_digits(s, &fraction_count);
        fraction.len = fraction_count;
    }
    const uint64_t unit = take_unit(s);
    if (unit == 0 || whole_count + fraction_count == 0)
        return false;
    uint64_t ns = whole > NS_MAX / unit ? NS_MAX + 1 : whole * unit;
    uint64_t digit = unit;
    for (size_t i = 0; i < fraction.len && digit > 0; i++) {
        digit /= 10;
        ns += digit * (uint64_t)(fraction.p[i] - '0');
    }
    *ret_ns = ns;
    return true;
}

bool duration_parse(struct slice text, uint64_t *ret_ms)
{
    uint64_t total = 0;
    if (text.len == 0)
        return false;
    while (text.len > 0) {
        uint64_t ns = 0;
        if (!take_part(&text, &ns) || ns > NS_MAX || total + ns > NS_MAX)
            return false;
        total += ns;
    }
    *ret_ms = (total + 999999) / 1000000;
    return true;
}

uint64_t duration_ms_of(double seconds)
{
    const uint64_t ms = (uint64_t)(seconds * 1000 + 0.5);
    return ms == 0 && seconds > 0 ? 1 : ms;
}

void duration_format(uint64_t ms, char ret[DURATION_TEXT_MAX])
{
    if (ms > 0 && ms < 1000) {
        snprintf(ret, DURATION_TEXT_MAX, "%ums", (unsigned)ms);
        return;
    }
    const uint64_t s = ms / 1000;
    char fraction[8] = "";
    if (ms % 1000 != 0) {
        snprintf(fraction, sizeof(fraction), ".%03u", (unsigned)(ms % 1000));
        for (size_t n = strlen(fraction); n > 0 && fraction[n - 1] == '0'; n--)
            fraction[n - 1] = '\0';
    }
    if (s >= 3600)
        snprintf(ret, DURATION_TEXT_MAX, "%lluh%um%u%ss", (unsigned long long)(s / 3600),
                 (unsigned)(s / 60 % 60), (unsigned)(s % 60), fraction);
    else if (s >= 60)
        snprintf(ret, DURATION_TEXT_MAX, "%um%u%ss", (unsigned)(s / 60), (unsigned)(s % 60),
                 fraction);
    else
        snprintf(ret, DURATION_TEXT_MAX, "%u%ss", (unsigned)s, fraction);
}
