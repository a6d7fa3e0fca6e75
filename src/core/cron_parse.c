/* cron_parse.c - from an expression to bit sets. The first error is reported, by field and column.
 */
#include "base/check.h"
#include "base/duration.h"
#include "core/cron.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIELDS_MAX 6

static const char *const month_names[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL",
                                          "AUG", "SEP", "OCT", "NOV", "DEC", NULL};
static const char *const day_names[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", NULL};

enum { SECOND, MINUTE, HOUR, MDAY, MONTH, WDAY };

static const struct kind {
    const char *name;
    unsigned min, max;
    unsigned step_max;        /* as many values as there are: a larger step goes nowhere */
    const char *const *names; /* of min, min + 1, ... */
} kinds[FIELDS_MAX] = {
    [SECOND] = {"second", 0, 59, 60, NULL},      [MINUTE] = {"minute", 0, 59, 60, NULL},
    [HOUR] = {"hour", 0, 23, 24, NULL},          [MDAY] = {"day of month", 1, 31, 31, NULL},
    [MONTH] = {"month", 1, 12, 12, month_names}, [WDAY] = {"day of week", 0, 7, 7, day_names},
};

static const struct {
    const char *name, *means;
} macros[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
};

/* One field while it is read. */
struct field {
    const struct kind *kind;
    int number;        /* 1-based */
    const char *text;  /* of the whole expression */
    struct slice rest; /* what of the field is left */
    uint64_t bits;
    struct diag *reterr;
};

static int fail_at(struct diag *reterr, const char *text, const char *at)
{
    if (reterr != NULL) {
        reterr->line = 1;
        reterr->column = (int)(at - text) + 1;
    }
    return -EINVAL;
}

__attribute__((format(printf, 3, 4))) static int fail(const struct field *f, const char *at,
                                                      const char *fmt, ...)
{
    char what[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    diag_set(f->reterr, DIAG_INVALID_ARGUMENT, "field %d (%s): %s", f->number, f->kind->name, what);
    return fail_at(f->reterr, f->text, at);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool eat(struct field *f, char c)
{
    if (f->rest.len == 0 || f->rest.p[0] != c)
        return false;
    f->rest.p++;
    f->rest.len--;
    return true;
}

/* Digits or a name; what it is not is for the caller to say. */
static struct slice take_word(struct field *f)
{
    struct slice w = {f->rest.p, 0};
    while (w.len < f->rest.len && is_word(w.p[w.len]))
        w.len++;
    f->rest.p += w.len;
    f->rest.len -= w.len;
    return w;
}

static bool find_name(const struct kind *k, struct slice word, unsigned *ret)
{
    for (unsigned i = 0; k->names != NULL && k->names[i] != NULL; i++) {
        if (slice_is_nocase(word, k->names[i])) {
            *ret = k->min + i;
            return true;
        }
    }
    return false;
}

static bool all_digits(struct slice word)
{
    for (size_t i = 0; i < word.len; i++) {
        if (word.p[i] < '0' || word.p[i] > '9')
            return false;
    }
    return word.len > 0;
}

#define WORD_SHOWN 24 /* bytes of a word in a message */
#define SHOWN(word) (int)((word).len < WORD_SHOWN ? (word).len : WORD_SHOWN), (word).p

static int no_value(const struct field *f, struct slice word)
{
    if (word.len == 0 && f->rest.len > 0 && *f->rest.p == '?')
        return fail(f, word.p, "'?' does not belong here; any value is *");
    if (word.len == 0 && f->rest.len > 0 && *f->rest.p != ',')
        return fail(f, word.p, "'%.*s' does not belong here", SHOWN(f->rest));
    if (word.len == 0)
        return fail(f, word.p, "a value is missing");
    if (f->kind->names == NULL)
        return fail(f, word.p, "'%.*s' is not a number", SHOWN(word));
    return fail(f, word.p, "'%.*s' is neither a number nor a name such as %s", SHOWN(word),
                f->kind->names[1]);
}

static int take_number(struct field *f, unsigned min, unsigned max, const char *what, unsigned *ret)
{
    const struct slice word = take_word(f);
    uint64_t n;
    if (!all_digits(word))
        return no_value(f, word);
    if (!slice_u64(word, max, &n) || n < min)
        return fail(f, word.p, "%s%.*s is out of range %u-%u", what, SHOWN(word), min, max);
    *ret = (unsigned)n;
    return 0;
}

static int take_value(struct field *f, unsigned *ret)
{
    struct field ahead = *f;
    if (find_name(f->kind, take_word(&ahead), ret)) {
        f->rest = ahead.rest;
        return 0;
    }
    return take_number(f, f->kind->min, f->kind->max, "", ret);
}

/* LOW, LOW-HIGH or `*`. *ret_open: nothing said where it ends. */
static int take_range(struct field *f, unsigned *ret_low, unsigned *ret_high, bool *ret_open)
{
    const char *at = f->rest.p;
    *ret_open = false;
    if (eat(f, '*')) {
        *ret_low = f->kind->min;
        *ret_high = f->kind == &kinds[WDAY] ? 6 : f->kind->max;
        return 0;
    }
    if (take_value(f, ret_low) < 0)
        return -EINVAL;
    *ret_high = *ret_low;
    if (!eat(f, '-')) {
        *ret_open = true;
        return 0;
    }
    if (take_value(f, ret_high) < 0)
        return -EINVAL;
    if (f->kind == &kinds[WDAY] && *ret_high == 0 && *ret_low > 0)
        *ret_high = 7; /* FRI-SUN: a week ends on Sunday as well as it begins on it */
    if (*ret_low > *ret_high)
        return fail(f, at, "the range %.*s runs backwards", (int)(f->rest.p - at), at);
    return 0;
}

static int take_item(struct field *f)
{
    unsigned low, high, step = 1;
    bool open;
    if (take_range(f, &low, &high, &open) < 0)
        return -EINVAL;
    if (eat(f, '/')) {
        if (take_number(f, 1, f->kind->step_max, "step ", &step) < 0)
            return -EINVAL;
        if (open)
            high = f->kind == &kinds[WDAY] && low < 7 ? 6 : f->kind->max;
    }
    for (unsigned n = low; n <= high; n += step)
        f->bits |= UINT64_C(1) << n;
    return 0;
}

static int take_items(struct field *f)
{
    do {
        if (take_item(f) < 0)
            return -EINVAL;
    } while (eat(f, ','));
    if (f->rest.len > 0)
        return fail(f, f->rest.p, "'%.*s' does not belong here", SHOWN(f->rest));
    return 0;
}

/* ---- the whole ---- */

/* Cuts text at blanks. Returns how many fields there are, even when there are more than FIELDS_MAX;
 * *ret_over is where the first one too many begins, or the end. */
static int split(const char *text, struct slice ret[FIELDS_MAX], const char **ret_over)
{
    int count = 0;
    const char *p = text;
    *ret_over = NULL;
    for (;;) {
        while (is_blank(*p))
            p++;
        if (*p == '\0')
            break;
        const char *begin = p;
        while (*p != '\0' && !is_blank(*p))
            p++;
        if (count < FIELDS_MAX)
            ret[count] = (struct slice){begin, (size_t)(p - begin)};
        else if (count == FIELDS_MAX)
            *ret_over = begin;
        count++;
    }
    if (*ret_over == NULL)
        *ret_over = p;
    return count;
}

static int wrong_count(const char *text, int count, const char *at, struct diag *reterr)
{
    if (count == 0)
        diag_set(reterr, DIAG_INVALID_ARGUMENT, "the cron expression is empty");
    else
        diag_set(reterr, DIAG_INVALID_ARGUMENT,
                 "%d field%s: a cron expression has five (minute, hour, day of month, month, day "
                 "of week), or six with the second first",
                 count, count == 1 ? "" : "s");
    return fail_at(reterr, text, at);
}

/* February 30 never comes, and neither does any other day beyond its month; every other date falls
 * on each day of the week within 40 years. */
static bool can_match(const struct cron *c)
{
    static const uint8_t days[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    for (unsigned m = 1; m <= 12; m++) {
        if ((c->month >> m & 1) == 0)
            continue;
        if ((c->flags & CRON_DAY_EITHER) != 0 || (c->mday & ((UINT64_C(2) << days[m]) - 1)) != 0)
            return true;
    }
    return false;
}

/* As other crons have it. */
static bool names_zone(struct slice text)
{
    return slice_starts(text, "TZ=") || slice_starts(text, "CRON_TZ=");
}

static int parse_fields(const char *text, struct cron *ret, struct diag *reterr)
{
    struct slice cut[FIELDS_MAX];
    uint64_t bits[FIELDS_MAX] = {[SECOND] = 1};
    const char *over;
    const int count = split(text, cut, &over);
    if (count != 5 && count != 6)
        return wrong_count(text, count, over, reterr);
    const int first = FIELDS_MAX - count; /* the kind of the first field */
    for (int i = 0; i < count; i++) {
        struct field f = {&kinds[first + i], i + 1, text, cut[i], 0, reterr};
        if (take_items(&f) < 0)
            return -EINVAL;
        bits[first + i] = f.bits;
    }
    struct cron c = {
        .second = bits[SECOND],
        .minute = bits[MINUTE],
        .hour = (uint32_t)bits[HOUR],
        .mday = (uint32_t)bits[MDAY],
        .month = (uint16_t)bits[MONTH],
        .wday = (uint8_t)((bits[WDAY] | bits[WDAY] >> 7) & 0x7f),
    };
    const struct slice *mday = &cut[MDAY - first], *wday = &cut[WDAY - first];
    if (cut[HOUR - first].p[0] == '*')
        c.flags |= CRON_HOUR_STAR;
    if (mday->p[0] != '*' && wday->p[0] != '*')
        c.flags |= CRON_DAY_EITHER;
    if (!can_match(&c)) {
        diag_set(reterr, DIAG_INVALID_ARGUMENT,
                 "field %d (day of month): %.*s never comes in month %.*s: the schedule would "
                 "never be due",
                 MDAY - first + 1, SHOWN(*mday), SHOWN(cut[MONTH - first]));
        return fail_at(reterr, text, mday->p);
    }
    *ret = c;
    return 0;
}

static int parse_every(const char *text, struct slice period, struct cron *ret, struct diag *reterr)
{
    uint64_t ms;
    if (!duration_parse(period, &ms)) {
        diag_set(reterr, DIAG_INVALID_ARGUMENT,
                 "@every: '%.*s' is not a duration of at most a year, such as 90s, 5m or 1h30m",
                 SHOWN(period));
        return fail_at(reterr, text, period.p);
    }
    if (ms < CRON_EVERY_MS_MIN) {
        diag_set(reterr, DIAG_INVALID_ARGUMENT, "@every: %.*s is shorter than a second",
                 SHOWN(period));
        return fail_at(reterr, text, period.p);
    }
    *ret = (struct cron){.flags = CRON_EVERY};
    ret->every_ms = (int64_t)ms;
    return 0;
}

static int parse_macro(const char *text, struct slice macro, struct cron *ret, struct diag *reterr)
{
    if (macro.len >= 6 && slice_is_nocase((struct slice){macro.p, 6}, "@every") &&
        (macro.len == 6 || is_blank(macro.p[6])))
        return parse_every(text, slice_trim((struct slice){macro.p + 6, macro.len - 6}), ret,
                           reterr);
    for (size_t i = 0; i < ARRAY_SIZE(macros); i++) {
        if (slice_is_nocase(macro, macros[i].name)) {
            CHECK(parse_fields(macros[i].means, ret, NULL) == 0);
            return 0;
        }
    }
    diag_set(reterr, DIAG_INVALID_ARGUMENT,
             "'%.*s' is not a schedule: there are @yearly (or @annually), @monthly, @weekly, "
             "@daily (or @midnight), @hourly and @every DURATION",
             SHOWN(macro));
    return fail_at(reterr, text, macro.p);
}

int cron_parse(const char *text, struct cron *ret, struct diag *reterr)
{
    _Static_assert(sizeof(struct cron) == 32, "a million of them live in memory");
    if (strnlen(text, CRON_TEXT_MAX + 1) > CRON_TEXT_MAX) {
        diag_set(reterr, DIAG_INVALID_ARGUMENT, "the cron expression is longer than %d bytes",
                 CRON_TEXT_MAX);
        return fail_at(reterr, text, text + CRON_TEXT_MAX);
    }
    const struct slice whole = slice_trim(slice_of(text));
    if (names_zone(whole)) {
        diag_set(reterr, DIAG_INVALID_ARGUMENT,
                 "a zone does not belong into the expression: it is the field timezone of a "
                 "trigger, and --tz of pawl cron next");
        return fail_at(reterr, text, whole.p);
    }
    if (whole.len > 0 && whole.p[0] == '@')
        return parse_macro(text, whole, ret, reterr);
    return parse_fields(text, ret, reterr);
}
