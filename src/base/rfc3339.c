#include "base/rfc3339.h"
#include "base/civil.h"
#include <string.h>

#define MS_PER_DAY ((int64_t)86400000)
#define DAYS_YEAR_0 ((int64_t)-719528)     /* 0000-01-01, in days since 1970 */
#define DAYS_YEAR_10000 ((int64_t)2932897) /* 10000-01-01 */
#define MS_MIN (DAYS_YEAR_0 * MS_PER_DAY)
#define MS_MAX (DAYS_YEAR_10000 * MS_PER_DAY - 1)

/* ---- writing ---- */

static char *put_digits(char *at, int n, int width)
{
    for (int i = width - 1; i >= 0; i--, n /= 10)
        at[i] = (char)('0' + n % 10);
    return at + width;
}

static char *put_part(char *at, char before, int n, int width)
{
    *at = before;
    return put_digits(at + 1, n, width);
}

void rfc3339_format(struct wall t, char ret[RFC3339_LEN + 1])
{
    int64_t ms = t.ms < MS_MIN ? MS_MIN : t.ms > MS_MAX ? MS_MAX : t.ms;
    int64_t in_day = ms % MS_PER_DAY;

    if (in_day < 0)
        in_day += MS_PER_DAY;
    struct civil d = civil_from_days((ms - in_day) / MS_PER_DAY);
    char *at = put_digits(ret, d.year, 4);

    at = put_part(at, '-', d.month, 2);
    at = put_part(at, '-', d.day, 2);
    at = put_part(at, 'T', (int)(in_day / 3600000), 2);
    at = put_part(at, ':', (int)(in_day / 60000 % 60), 2);
    at = put_part(at, ':', (int)(in_day / 1000 % 60), 2);
    if (in_day % 1000 != 0)
        at = put_part(at, '.', (int)(in_day % 1000), 3);
    memcpy(at, "Z", 2);
}

void str_add_time(struct str *s, struct wall t)
{
    char text[RFC3339_LEN + 1];

    if (!wall_is_set(t)) {
        str_add_cstr(s, "null");
        return;
    }
    rfc3339_format(t, text);
    str_add_char(s, '"');
    str_add_cstr(s, text);
    str_add_char(s, '"');
}

/* ---- reading: each step eats from the front of the text ---- */

static bool eat_char(struct slice *text, char upper)
{
    if (text->len == 0 || (text->p[0] != upper && text->p[0] != (upper | 0x20)))
        return false;
    text->p++;
    text->len--;
    return true;
}

static bool eat_digits(struct slice *text, size_t width, int min, int max, int *ret)
{
    uint64_t n;

    if (text->len < width || !slice_u64((struct slice){text->p, width}, (uint64_t)max, &n))
        return false;
    if ((int)n < min)
        return false;
    text->p += width;
    text->len -= width;
    *ret = (int)n;
    return true;
}

static bool eat_date(struct slice *text, int64_t *ret_days)
{
    struct civil d;

    if (!eat_digits(text, 4, 0, 9999, &d.year) || !eat_char(text, '-') ||
        !eat_digits(text, 2, 1, 12, &d.month) || !eat_char(text, '-') ||
        !eat_digits(text, 2, 1, civil_month_days(d.year, d.month), &d.day))
        return false;
    *ret_days = civil_to_days(d);
    return true;
}

/* A fraction, if there is one; at least one digit then. */
static bool eat_fraction(struct slice *text, int *ret_ms)
{
    int unit = 100;

    *ret_ms = 0;
    if (!eat_char(text, '.'))
        return true;
    if (text->len == 0 || text->p[0] < '0' || text->p[0] > '9')
        return false;
    while (text->len > 0 && text->p[0] >= '0' && text->p[0] <= '9') {
        *ret_ms += (text->p[0] - '0') * unit;
        unit /= 10;
        text->p++;
        text->len--;
    }
    return true;
}

/* A leap second is the first second after it, as in POSIX time. */
static bool eat_time(struct slice *text, int64_t *ret_ms)
{
    int hour, minute, second, ms;

    if (!eat_digits(text, 2, 0, 23, &hour) || !eat_char(text, ':') ||
        !eat_digits(text, 2, 0, 59, &minute) || !eat_char(text, ':') ||
        !eat_digits(text, 2, 0, 60, &second) || !eat_fraction(text, &ms))
        return false;
    *ret_ms = ((hour * 60 + minute) * 60 + second) * (int64_t)1000 + ms;
    return true;
}

static bool eat_offset(struct slice *text, int64_t *ret_ms)
{
    int hour, minute;

    *ret_ms = 0;
    if (eat_char(text, 'Z'))
        return true;
    int sign = text->len > 0 && text->p[0] == '-' ? -1 : 1;

    if (!eat_char(text, sign < 0 ? '-' : '+') || !eat_digits(text, 2, 0, 23, &hour) ||
        !eat_char(text, ':') || !eat_digits(text, 2, 0, 59, &minute))
        return false;
    *ret_ms = sign * (hour * 60 + minute) * (int64_t)60000;
    return true;
}

bool rfc3339_parse(struct slice text, struct wall *ret)
{
    int64_t days, in_day, offset;

    if (!eat_date(&text, &days) || !eat_char(&text, 'T') || !eat_time(&text, &in_day) ||
        !eat_offset(&text, &offset) || text.len > 0)
        return false;
    int64_t ms = days * MS_PER_DAY + in_day - offset;

    if (ms < MS_MIN || ms > MS_MAX)
        return false;
    ret->ms = ms;
    return true;
}
