#include "core/tz_rule.h"
#include "base/civil.h"

#define DAY_S 86400
#define NAME_LEN_MIN 3
#define HOURS_OF_OFFSET_MAX 24
#define HOURS_OF_TIME_MAX 167

/* ---- reading: each step eats from the front of the text ---- */

static bool eat(struct slice *s, char c)
{
    if (s->len == 0 || s->p[0] != c)
        return false;
    s->p++;
    s->len--;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool eat_number(struct slice *s, int min, int max, int *ret)
{
    size_t len = 0;
    int n = 0;
    for (; len < s->len && len < 3 && is_digit(s->p[len]); len++)
        n = n * 10 + (s->p[len] - '0');
    if (len == 0 || n < min || n > max || (len < s->len && is_digit(s->p[len])))
        return false;
    s->p += len;
    s->len -= len;
    *ret = n;
    return true;
}

/* CEST, or <+0330> for a name that is not made of letters. Nobody here asks what it says. */
static bool eat_name(struct slice *s)
{
    const bool quoted = eat(s, '<');
    size_t len = 0;
    while (len < s->len &&
           (is_letter(s->p[len]) ||
            (quoted && (is_digit(s->p[len]) || s->p[len] == '+' || s->p[len] == '-'))))
        len++;
    if (len < NAME_LEN_MIN)
        return false;
    s->p += len;
    s->len -= len;
    return !quoted || eat(s, '>');
}

/* [+-]hh[:mm[:ss]] */
static bool eat_hms(struct slice *s, int hours_max, int32_t *ret_s)
{
    const int sign = eat(s, '-') ? -1 : 1;
    int h, m = 0, sec = 0;
    if (sign > 0)
        eat(s, '+');
    if (!eat_number(s, 0, hours_max, &h))
        return false;
    if (eat(s, ':')) {
        if (!eat_number(s, 0, 59, &m) || (eat(s, ':') && !eat_number(s, 0, 59, &sec)))
            return false;
    }
    *ret_s = sign * (h * 3600 + m * 60 + sec);
    return true;
}

/* POSIX counts west of Greenwich; everybody else east. */
static bool eat_offset(struct slice *s, int32_t *ret_offset)
{
    int32_t west;
    if (!eat_hms(s, HOURS_OF_OFFSET_MAX, &west))
        return false;
    *ret_offset = -west;
    return true;
}

static bool eat_date(struct slice *s, struct tz_rule_date *d)
{
    *d = (struct tz_rule_date){.time_s = 2 * 3600};
    bool fine;
    if (eat(s, 'J')) {
        d->kind = TZ_DAY_NO_LEAP;
        fine = eat_number(s, 1, 365, &d->day);
    } else if (eat(s, 'M')) {
        d->kind = TZ_DAY_OF_WEEK;
        fine = eat_number(s, 1, 12, &d->month) && eat(s, '.') && eat_number(s, 1, 5, &d->week) &&
               eat(s, '.') && eat_number(s, 0, 6, &d->wday);
    } else {
        d->kind = TZ_DAY_ZERO_BASED;
        fine = eat_number(s, 0, 365, &d->day);
    }
    return fine && (!eat(s, '/') || eat_hms(s, HOURS_OF_TIME_MAX, &d->time_s));
}

static bool eat_dst(struct slice *s, struct tz_rule *r)
{
    if (!eat_name(s))
        return false;
    r->has_dst = true;
    r->dst_offset = r->offset + 3600;
    if (s->len > 0 && s->p[0] != ',' && !eat_offset(s, &r->dst_offset))
        return false;
    return eat(s, ',') && eat_date(s, &r->start) && eat(s, ',') && eat_date(s, &r->end);
}

bool tz_rule_parse(struct slice text, struct tz_rule *ret)
{
    struct tz_rule r = {0};
    if (!eat_name(&text) || !eat_offset(&text, &r.offset))
        return false;
    if (text.len > 0 && !eat_dst(&text, &r))
        return false;
    if (text.len > 0)
        return false;
    *ret = r;
    return true;
}

/* ---- when ---- */

/* Midnight of the date in that year, as a local time. */
static int64_t midnight(const struct tz_rule_date *d, int year)
{
    if (d->kind == TZ_DAY_OF_WEEK) {
        const int64_t first = civil_to_days((struct civil){year, d->month, 1});
        int day = (d->wday - civil_weekday(first) + 7) % 7 + (d->week - 1) * 7;
        if (day >= civil_month_days(year, d->month))
            day -= 7;
        return (first + day) * DAY_S;
    }
    const int64_t first = civil_to_days((struct civil){year, 1, 1});
    if (d->kind == TZ_DAY_ZERO_BASED)
        return (first + d->day) * DAY_S;
    const bool after_leap_day = d->day > 59 && civil_month_days(year, 2) == 29;
    return (first + d->day - 1 + after_leap_day) * DAY_S;
}

void tz_rule_year(const struct tz_rule *r, int year, struct tz_event ret[2])
{
    const struct tz_event start = {midnight(&r->start, year) + r->start.time_s - r->offset,
                                   r->dst_offset};
    const struct tz_event end = {midnight(&r->end, year) + r->end.time_s - r->dst_offset,
                                 r->offset};
    const bool south = end.at < start.at;
    ret[0] = south ? end : start;
    ret[1] = south ? start : end;
}

/* A change may be a week before or after its year, hence the two years on either side. Where a
 * year's last change and the next one's first are the same instant (daylight saving time all year
 * round), the later one holds. */
struct tz_span tz_rule_at(const struct tz_rule *r, int64_t t)
{
    struct tz_span span = {INT64_MIN, INT64_MAX, r->offset};
    if (!r->has_dst)
        return span;
    const int year = civil_from_days((t - (t < 0 ? DAY_S - 1 : 0)) / DAY_S).year;
    for (int y = year - 2; y <= year + 2; y++) {
        struct tz_event change[2];
        tz_rule_year(r, y, change);
        for (int i = 0; i < 2; i++) {
            if (change[i].at <= t && change[i].at >= span.from)
                span = (struct tz_span){change[i].at, span.until, change[i].offset};
            if (change[i].at > t && change[i].at < span.until)
                span.until = change[i].at;
        }
    }
    return span;
}
