#include "base/check.h"
#include "base/rfc3339.h"
#include "core/cron.h"
#include "zones_fixture.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct wall at(const char *text)
{
    struct wall t;
    if (!rfc3339_parse(slice_of(text), &t))
        fail_msg("'%s' is not a time", text);
    return t;
}

static struct cron parsed(const char *text)
{
    struct cron c;
    struct diag why;
    if (cron_parse(text, &c, &why) < 0)
        fail_msg("'%s': %s", text, why.msg);
    return c;
}

/* ---- what is due when ---- */

/* An expression, a zone, a time, and the due times after it. Whole minutes go without seconds. */
struct row {
    const char *text, *zone, *after, *due;
};

static struct wall minute_or_second(struct slice text)
{
    char whole[RFC3339_LEN + 4];
    const bool short_form = text.len == strlen("2026-02-13T10:06Z");
    snprintf(whole, sizeof(whole), "%.*s%s", (int)text.len - short_form, text.p,
             short_form ? ":00Z" : "");
    return at(whole);
}

static void check(const struct row *rows, size_t count)
{
    for (const struct row *r = rows; r < rows + count; r++) {
        const struct cron c = parsed(r->text);
        struct wall t = minute_or_second(slice_of(r->after));
        for (const char *due = r->due; *due != '\0'; due += strspn(due, " ")) {
            const struct slice expected = {due, strcspn(due, " ")};
            if (!cron_next(&c, zone(r->zone), t, &t))
                fail_msg("'%s' after %s: never", r->text, r->after);
            if (t.ms != minute_or_second(expected).ms) {
                char text[RFC3339_LEN + 1];
                rfc3339_format(t, text);
                fail_msg("'%s' in %s after %s: %s, not %.*s", r->text, r->zone ? r->zone : "UTC",
                         r->after, text, (int)expected.len, expected.p);
            }
            due += expected.len;
        }
    }
}

/* 2026-02-13 is a Friday. */
static const struct row grammar_rows[] = {
    {"* * * * *", NULL, "2026-02-13T10:05Z", "2026-02-13T10:06Z 2026-02-13T10:07Z"},
    {"* * * * *", NULL, "2026-02-13T10:04:59.999Z", "2026-02-13T10:05Z"},
    {"* * * * *", NULL, "2026-02-13T10:05:00.001Z", "2026-02-13T10:06Z"},
    {"* * * * * *", NULL, "2026-02-13T23:59:58Z", "2026-02-13T23:59:59Z 2026-02-14T00:00Z"},
    {"*/15 * * * * *", NULL, "2026-02-13T10:00:44Z", "2026-02-13T10:00:45Z 2026-02-13T10:01Z"},
    {"30 5 10 * * *", NULL, "2026-02-13T10:05:30Z", "2026-02-14T10:05:30Z"},
    /* The examples of the Triggers API. */
    {"0 * * * *", NULL, "2026-02-13T10:05Z", "2026-02-13T11:00Z 2026-02-13T12:00Z"},
    {"0 0 * * *", NULL, "2026-02-13T10:05Z", "2026-02-14T00:00Z 2026-02-15T00:00Z"},
    {"0 6 * * 1-5", NULL, "2026-02-13T10:05Z", "2026-02-16T06:00Z 2026-02-17T06:00Z"},
    {"*/15 * * * *", NULL, "2026-02-13T10:05Z", "2026-02-13T10:15Z 2026-02-13T10:30Z"},
    {"0 0 1 * *", NULL, "2026-02-13T10:05Z", "2026-03-01T00:00Z 2026-04-01T00:00Z"},
    /* Lists, ranges, steps, and all of them together. */
    {"0,30 8,20 * * *", NULL, "2026-02-13T08:00Z", "2026-02-13T08:30Z 2026-02-13T20:00Z"},
    {"50-52 9 * * *", NULL, "2026-02-13T09:50Z",
     "2026-02-13T09:51Z 2026-02-13T09:52Z 2026-02-14T09:50Z"},
    {"10-30/10 0 * * *", NULL, "2026-02-13T00:00Z",
     "2026-02-13T00:10Z 2026-02-13T00:20Z 2026-02-13T00:30Z 2026-02-14T00:10Z"},
    {"50/5 0 * * *", NULL, "2026-02-13T00:00Z",
     "2026-02-13T00:50Z 2026-02-13T00:55Z 2026-02-14T00:50Z"},
    {"59,1-3,*/30 0 * * *", NULL, "2026-02-13T00:00Z",
     "2026-02-13T00:01Z 2026-02-13T00:02Z 2026-02-13T00:03Z 2026-02-13T00:30Z 2026-02-13T00:59Z"},
    {"*/60 */24 * * *", NULL, "2026-02-13T00:00Z", "2026-02-14T00:00Z"},
    {"007 010 * * *", NULL, "2026-02-13T00:00Z", "2026-02-13T10:07Z"},
    {" \t0  0\t1 1 * ", NULL, "2026-02-13T00:00Z", "2027-01-01T00:00Z"},
    /* Names, in any case; Sunday is 0 and 7 and may end a range. */
    {"0 0 1 jan,Jul *", NULL, "2026-02-13T00:00Z", "2026-07-01T00:00Z 2027-01-01T00:00Z"},
    {"0 0 1 NOV-dec *", NULL, "2026-02-13T00:00Z", "2026-11-01T00:00Z 2026-12-01T00:00Z"},
    {"0 0 1 2-DEC/5 *", NULL, "2026-02-13T00:00Z",
     "2026-07-01T00:00Z 2026-12-01T00:00Z 2027-02-01T00:00Z"},
    {"0 0 * * sun", NULL, "2026-02-13T00:00Z", "2026-02-15T00:00Z 2026-02-22T00:00Z"},
    {"0 0 * * 0", NULL, "2026-02-13T00:00Z", "2026-02-15T00:00Z 2026-02-22T00:00Z"},
    {"0 0 * * 7", NULL, "2026-02-13T00:00Z", "2026-02-15T00:00Z 2026-02-22T00:00Z"},
    {"0 0 * * 6-7", NULL, "2026-02-13T00:00Z",
     "2026-02-14T00:00Z 2026-02-15T00:00Z 2026-02-21T00:00Z"},
    {"0 0 * * SAT-SUN", NULL, "2026-02-13T00:00Z",
     "2026-02-14T00:00Z 2026-02-15T00:00Z 2026-02-21T00:00Z"},
    {"0 0 * * SUN-MON", NULL, "2026-02-13T00:00Z",
     "2026-02-15T00:00Z 2026-02-16T00:00Z 2026-02-22T00:00Z"},
    {"0 0 * * sun-sun", NULL, "2026-02-13T00:00Z", "2026-02-15T00:00Z 2026-02-22T00:00Z"},
    {"0 0 * * 1-7/2", NULL, "2026-02-13T00:00Z",
     "2026-02-15T00:00Z 2026-02-16T00:00Z 2026-02-18T00:00Z"},
    {"0 0 * * */2", NULL, "2026-02-13T00:00Z",
     "2026-02-14T00:00Z 2026-02-15T00:00Z 2026-02-17T00:00Z"},
    {"0 0 * * 4/2", NULL, "2026-02-13T00:00Z",
     "2026-02-14T00:00Z 2026-02-19T00:00Z 2026-02-21T00:00Z"},
    /* Names that stand for fields. */
    {"@hourly", NULL, "2026-02-13T10:05Z", "2026-02-13T11:00Z"},
    {"@daily", NULL, "2026-02-13T10:05Z", "2026-02-14T00:00Z"},
    {"@midnight", NULL, "2026-02-13T10:05Z", "2026-02-14T00:00Z"},
    {"@weekly", NULL, "2026-02-13T10:05Z", "2026-02-15T00:00Z"},
    {"@monthly", NULL, "2026-02-13T10:05Z", "2026-03-01T00:00Z"},
    {"@yearly", NULL, "2026-02-13T10:05Z", "2027-01-01T00:00Z"},
    {" @ANNUALLY ", NULL, "2026-02-13T10:05Z", "2027-01-01T00:00Z"},
    {"@daily", "Asia/Kathmandu", "2026-02-13T10:05Z", "2026-02-13T18:15Z"},
};

static void grammar(void **state)
{
    check(grammar_rows, ARRAY_SIZE(grammar_rows));
}

static const struct row days_rows[] = {
    /* Both day fields restricted: either matches. */
    {"0 0 13 * FRI", NULL, "2026-02-01T00:00Z",
     "2026-02-06T00:00Z 2026-02-13T00:00Z 2026-02-20T00:00Z 2026-02-27T00:00Z 2026-03-06T00:00Z"},
    {"0 0 13 * MON", NULL, "2026-02-10T00:00Z", "2026-02-13T00:00Z 2026-02-16T00:00Z"},
    {"0 0 1-31 * MON", NULL, "2026-02-10T00:00Z", "2026-02-11T00:00Z"},
    {"0 0 30 2 MON", NULL, "2026-02-10T00:00Z", "2026-02-16T00:00Z"},
    /* One of them begins with a star, with a step or not: both must match. */
    {"0 0 */2 * FRI", NULL, "2026-02-01T00:00Z",
     "2026-02-13T00:00Z 2026-02-27T00:00Z 2026-03-13T00:00Z"},
    {"0 0 13 * */5", NULL, "2026-02-01T00:00Z",
     "2026-02-13T00:00Z 2026-03-13T00:00Z 2026-09-13T00:00Z"},
    {"0 0 *,13 * FRI", NULL, "2026-02-01T00:00Z", "2026-02-06T00:00Z 2026-02-13T00:00Z"},
    {"0 0 */10 * */6", NULL, "2026-02-01T00:00Z",
     "2026-02-21T00:00Z 2026-03-01T00:00Z 2026-03-21T00:00Z"},
    /* Ends of months and leap years. */
    {"0 0 31 * *", NULL, "2026-01-31T00:00Z", "2026-03-31T00:00Z 2026-05-31T00:00Z"},
    {"0 0 29 2 *", NULL, "2026-01-01T00:00Z", "2028-02-29T00:00Z 2032-02-29T00:00Z"},
    {"0 0 29 2 *", NULL, "2096-02-29T00:00Z", "2104-02-29T00:00Z"},
    {"0 0 29 2 */7", NULL, "2026-01-01T00:00Z",
     "2032-02-29T00:00Z 2060-02-29T00:00Z 2088-02-29T00:00Z 2128-02-29T00:00Z"},
    {"59 59 23 31 12 *", NULL, "2026-01-01T00:00Z", "2026-12-31T23:59:59Z 2027-12-31T23:59:59Z"},
    {"0 0 1 1 *", NULL, "1969-06-01T00:00Z", "1970-01-01T00:00Z"},
    {"0 0 * * *", NULL, "1900-02-28T00:00Z", "1900-03-01T00:00Z"},
    {"0 0 * * *", NULL, "0000-05-01T00:00Z", "0001-01-01T00:00Z"},
};

static void days(void **state)
{
    check(days_rows, ARRAY_SIZE(days_rows));
}

/* Berlin goes from 2:00 to 3:00 on 2026-03-29 at 01:00Z, and from 3:00 to 2:00 on 2026-10-25 at
 * 01:00Z. */
static const struct row clocks_change_rows[] = {
    /* Skipped: once, at the jump. */
    {"30 2 * * *", "Europe/Berlin", "2026-03-28T00:00Z",
     "2026-03-28T01:30Z 2026-03-29T01:00Z 2026-03-30T00:30Z"},
    {"0 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", "2026-03-29T01:00Z 2026-03-30T00:00Z"},
    {"*/10 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", "2026-03-29T01:00Z 2026-03-30T00:00Z"},
    {"30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00Z",
     "2026-03-29T01:00Z 2026-03-29T01:30Z 2026-03-30T00:30Z"},
    {"0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00Z", "2026-03-29T01:00Z 2026-03-30T00:00Z"},
    {"30 2 29 3 *", "Europe/Berlin", "2026-01-01T00:00Z", "2026-03-29T01:00Z 2027-03-29T00:30Z"},
    {"30 2 * * *", "Europe/Berlin", "2026-03-29T00:59:59.999Z", "2026-03-29T01:00Z"},
    {"30 2 * * *", "Europe/Berlin", "2026-03-29T01:00Z", "2026-03-30T00:30Z"},
    {"15 2 * * *", "Australia/Lord_Howe", "2026-10-02T16:00Z",
     "2026-10-03T15:30Z 2026-10-04T15:15Z"},
    {"0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00Z", "2018-11-04T03:00Z 2018-11-05T02:00Z"},
    {"0 12 * * *", "Pacific/Apia", "2011-12-29T00:00Z",
     "2011-12-29T22:00Z 2011-12-30T10:00Z 2011-12-30T22:00Z"},
    {"0 12 30 12 *", "Pacific/Apia", "2011-06-01T00:00Z", "2011-12-30T10:00Z 2012-12-29T22:00Z"},
    /* Repeated: once, the first time. */
    {"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", "2026-10-25T00:30Z 2026-10-26T01:30Z"},
    {"30 2 * * *", "Europe/Berlin", "2026-10-25T00:30Z", "2026-10-26T01:30Z"},
    {"30 2 * * *", "Europe/Berlin", "2026-10-25T01:10Z", "2026-10-26T01:30Z"},
    {"*/30 2,3 * * *", "Europe/Berlin", "2026-10-25T00:00Z",
     "2026-10-25T00:30Z 2026-10-25T02:00Z 2026-10-25T02:30Z"},
    {"0 3 * * *", "Europe/Berlin", "2026-10-25T00:00Z", "2026-10-25T02:00Z"},
    {"30 1 * * *", "America/New_York", "2026-11-01T00:00Z", "2026-11-01T05:30Z 2026-11-02T06:30Z"},
    {"45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00Z",
     "2026-04-04T14:45Z 2026-04-05T15:15Z"},
    {"0 12 * * *", "Pacific/Kwajalein", "1969-09-29T13:00Z", "1969-09-30T01:00Z 1969-10-02T00:00Z"},
    /* An hour field with a star: what the clocks show, in real time. */
    {"0 * * * *", "Europe/Berlin", "2026-03-28T23:30Z",
     "2026-03-29T00:00Z 2026-03-29T01:00Z 2026-03-29T02:00Z"},
    {"0 * * * *", "Europe/Berlin", "2026-10-24T23:30Z",
     "2026-10-25T00:00Z 2026-10-25T01:00Z 2026-10-25T02:00Z"},
    {"*/30 * * * *", "Europe/Berlin", "2026-03-29T00:10Z",
     "2026-03-29T00:30Z 2026-03-29T01:00Z 2026-03-29T01:30Z"},
    {"*/30 * * * *", "Europe/Berlin", "2026-10-25T00:10Z",
     "2026-10-25T00:30Z 2026-10-25T01:00Z 2026-10-25T01:30Z"},
    {"@hourly", "Europe/Berlin", "2026-10-25T00:10Z", "2026-10-25T01:00Z 2026-10-25T02:00Z"},
    {"0 */2 * * *", "Europe/Berlin", "2026-03-28T22:30Z",
     "2026-03-28T23:00Z 2026-03-29T02:00Z 2026-03-29T04:00Z"},
    {"0 */2 * * *", "Europe/Berlin", "2026-10-24T22:30Z",
     "2026-10-25T00:00Z 2026-10-25T01:00Z 2026-10-25T03:00Z"},
    {"15 * * * *", "Australia/Lord_Howe", "2026-10-03T14:00Z",
     "2026-10-03T14:45Z 2026-10-03T16:15Z"},
    {"45 * * * *", "Australia/Lord_Howe", "2026-04-04T14:00Z",
     "2026-04-04T14:45Z 2026-04-04T15:15Z 2026-04-04T16:15Z"},
    {"0 * 30 12 *", "Pacific/Apia", "2011-12-29T00:00Z", "2012-12-29T10:00Z"},
    /* All 24 hours by number are hours like others. */
    {"0 0-23 * * *", "Europe/Berlin", "2026-10-24T23:30Z", "2026-10-25T00:00Z 2026-10-25T02:00Z"},
    /* Far ahead, where rules take the place of tables. */
    {"30 2 * 3 SUN", "Europe/Berlin", "2400-03-20T00:00Z", "2400-03-26T01:00Z 2401-03-04T01:30Z"},
    {"0 * 29 2 */7", "Europe/Berlin", "2026-01-01T00:00Z", "2032-02-28T23:00Z 2032-02-29T00:00Z"},
    {"0 12 29 2 */7", "Europe/Berlin", "2089-01-01T00:00Z", "2128-02-29T11:00Z"},
};

static void clocks_change(void **state)
{
    check(clocks_change_rows, ARRAY_SIZE(clocks_change_rows));
}

/* ---- @every ---- */

static const struct row every_rows[] = {
    {"@every 90s", NULL, "1970-01-01T00:00Z", "1970-01-01T00:01:30Z 1970-01-01T00:03Z"},
    {"@every 1h30m", NULL, "1970-01-01T00:00:01Z", "1970-01-01T01:30Z 1970-01-01T03:00Z"},
    {"@EVERY  1.5s ", NULL, "1969-12-31T23:59:59Z", "1970-01-01T00:00Z 1970-01-01T00:00:01.500Z"},
    {"@every 1s", NULL, "2026-02-13T10:05:00.999Z", "2026-02-13T10:05:01Z"},
    {"@every 1h", "Europe/Berlin", "2026-03-29T00:30Z", "2026-03-29T01:00Z 2026-03-29T02:00Z"},
    {"@every 8760h", NULL, "1970-06-01T00:00Z", "1971-01-01T00:00Z 1972-01-01T00:00Z"},
};

static void every(void **state)
{
    check(every_rows, ARRAY_SIZE(every_rows));
}

static void every_since_its_anchor(void **state)
{
    struct cron c = parsed("@every 90s");
    struct wall due;
    cron_anchor(&c, at("2026-02-13T10:05:07.250Z"));
    assert_true(cron_next(&c, NULL, at("2026-02-13T10:05:07.250Z"), &due));
    assert_true(due.ms == at("2026-02-13T10:06:37.250Z").ms);
    assert_true(cron_next(&c, NULL, at("2026-02-13T10:05:07.249Z"), &due));
    assert_true(due.ms == at("2026-02-13T10:05:07.250Z").ms);
    assert_true(cron_next(&c, NULL, at("2027-02-13T10:05:07.250Z"), &due));
    assert_true(due.ms == at("2027-02-13T10:06:37.250Z").ms);
    cron_anchor(&c, (struct wall){-1});
    assert_true(cron_next(&c, NULL, (struct wall){0}, &due));
    assert_int_equal(due.ms, 89999);
    struct cron fields = parsed("* * * * *"), before = fields;
    cron_anchor(&fields, (struct wall){12345});
    assert_memory_equal(&fields, &before, sizeof(fields));
}

/* ---- the ends of time ---- */

static void ends_of_time(void **state)
{
    static const char *const texts[] = {"* * * * * *", "0 0 1 1 *", "30 2 * * *", "@every 1s"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const struct cron c = parsed(texts[i]);
        struct wall due = {42};
        assert_false(cron_next(&c, zone("Europe/Berlin"), at("9999-12-31T23:59:59Z"), &due));
        assert_false(cron_next(&c, NULL, (struct wall){INT64_MAX}, &due));
        assert_int_equal(due.ms, 42);
        assert_true(cron_next(&c, zone("Europe/Berlin"), WALL_UNSET, &due));
        assert_true(due.ms >= at("0001-01-01T00:00:00Z").ms);
        assert_true(due.ms <= at("0002-01-01T00:00:00Z").ms);
        assert_true(cron_latest(&c, NULL, WALL_UNSET, (struct wall){INT64_MAX}, &due));
        assert_true(due.ms >= at("9999-01-01T00:00:00Z").ms);
    }
}

/* ---- errors ---- */

static const struct {
    const char *text;
    int column;
    const char *msg;
} error_rows[] = {
    {"0 25 * * *", 3, "field 2 (hour): 25 is out of range 0-23"},
    {"60 * * * *", 1, "field 1 (minute): 60 is out of range 0-59"},
    {"60 * * * * *", 1, "field 1 (second): 60 is out of range 0-59"},
    {"0 60 * * * *", 3, "field 2 (minute): 60 is out of range 0-59"},
    {"0 0 24 * * *", 5, "field 3 (hour): 24 is out of range 0-23"},
    {"* * 0 * *", 5, "field 3 (day of month): 0 is out of range 1-31"},
    {"* * 32 * *", 5, "field 3 (day of month): 32 is out of range 1-31"},
    {"* * * 0 *", 7, "field 4 (month): 0 is out of range 1-12"},
    {"* * * 13 *", 7, "field 4 (month): 13 is out of range 1-12"},
    {"* * * * 8", 9, "field 5 (day of week): 8 is out of range 0-7"},
    {"*  *\t*   * 1,8", 14, "field 5 (day of week): 8 is out of range 0-7"},
    {"1-60 * * * *", 3, "field 1 (minute): 60 is out of range 0-59"},
    {"99999999999999999999999999 * * * *", 1,
     "field 1 (minute): 999999999999999999999999 is out of range 0-59"},
    {"-1 * * * *", 1, "field 1 (minute): '-1' does not belong here"},
    {"30-10 * * * *", 1, "field 1 (minute): the range 30-10 runs backwards"},
    {"* * * * 1,SAT-MON", 11, "field 5 (day of week): the range SAT-MON runs backwards"},
    {"*/0 * * * *", 3, "field 1 (minute): step 0 is out of range 1-60"},
    {"*/61 * * * *", 3, "field 1 (minute): step 61 is out of range 1-60"},
    {"* */25 * * *", 5, "field 2 (hour): step 25 is out of range 1-24"},
    {"*/x * * * *", 3, "field 1 (minute): 'x' is not a number"},
    {"*/ * * * *", 3, "field 1 (minute): a value is missing"},
    {"*/2/3 * * * *", 4, "field 1 (minute): '/3' does not belong here"},
    {"1,,2 * * * *", 3, "field 1 (minute): a value is missing"},
    {", * * * *", 1, "field 1 (minute): a value is missing"},
    {"1, * * * *", 3, "field 1 (minute): a value is missing"},
    {"1- * * * *", 3, "field 1 (minute): a value is missing"},
    {"1-2-3 * * * *", 4, "field 1 (minute): '-3' does not belong here"},
    {"*-5 * * * *", 2, "field 1 (minute): '-5' does not belong here"},
    {"** * * * *", 2, "field 1 (minute): '*' does not belong here"},
    {"1.5 * * * *", 2, "field 1 (minute): '.5' does not belong here"},
    {"0x10 * * * *", 1, "field 1 (minute): '0x10' is not a number"},
    {"JAN * * * *", 1, "field 1 (minute): 'JAN' is not a number"},
    {"* * ? * *", 5, "field 3 (day of month): '?' does not belong here; any value is *"},
    {" CRON_TZ=Europe/Berlin 0 6 * * *", 2,
     "a zone does not belong into the expression: it is the field timezone of a trigger, and --tz "
     "of "
     "pawl cron next"},
    {"TZ=UTC 0 6 * * *", 1,
     "a zone does not belong into the expression: it is the field timezone of a trigger, and --tz "
     "of "
     "pawl cron next"},
    {"* * L * *", 5, "field 3 (day of month): 'L' is not a number"},
    {"* * * MON *", 7, "field 4 (month): 'MON' is neither a number nor a name such as FEB"},
    {"* * * * MONDAY", 9,
     "field 5 (day of week): 'MONDAY' is neither a number nor a name such as MON"},
    {"* * * * 5#2", 10, "field 5 (day of week): '#2' does not belong here"},
    {"* * * * */MON", 11,
     "field 5 (day of week): 'MON' is neither a number nor a name such as MON"},
    {"0 0 * *\n*", 10, NULL},
    {"\xff * * * *", 1, "field 1 (minute): '?' does not belong here"},
    {"0 0 30 2 *", 5,
     "field 3 (day of month): 30 never comes in month 2: the schedule would never be due"},
    {"0 0 0 31 feb,4,6,9,11 *", 7,
     "field 4 (day of month): 31 never comes in month feb,4,6,9,11: the schedule would never "
     "be due"},
    {"0 0 30-31 2 */2", 5,
     "field 3 (day of month): 30-31 never comes in month 2: the schedule would never be due"},
    {"", 1, "the cron expression is empty"},
    {"  \t", 4, "the cron expression is empty"},
    {"* * * *", 8,
     "4 fields: a cron expression has five (minute, hour, day of month, month, day of week), "
     "or six with the second first"},
    {"hourly", 7,
     "1 field: a cron expression has five (minute, hour, day of month, month, day of week), or "
     "six with the second first"},
    {"* * * * * * 2026", 13,
     "7 fields: a cron expression has five (minute, hour, day of month, month, day of week), "
     "or six with the second first"},
    {" @reboot", 2,
     "'@reboot' is not a schedule: there are @yearly (or @annually), @monthly, @weekly, @daily "
     "(or @midnight), @hourly and @every DURATION"},
    {"@every", 7, "@every: '' is not a duration of at most a year, such as 90s, 5m or 1h30m"},
    {"@every 90", 8, "@every: '90' is not a duration of at most a year, such as 90s, 5m or 1h30m"},
    {"@every -5m", 8,
     "@every: '-5m' is not a duration of at most a year, such as 90s, 5m or 1h30m"},
    {"@every 9999h", 8,
     "@every: '9999h' is not a duration of at most a year, such as 90s, 5m or 1h30m"},
    {"@every  999ms", 9, "@every: 999ms is shorter than a second"},
    {"@every 0s", 8, "@every: 0s is shorter than a second"},
    {"@everyday", 1, NULL},
    {"@daily @daily", 1, NULL},
};

static void errors(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(error_rows); i++) {
        const char *text = error_rows[i].text, *msg = error_rows[i].msg;
        struct cron c = {.hour = 42};
        struct diag why = {0};
        if (cron_parse(text, &c, &why) != -EINVAL)
            fail_msg("'%s' was accepted", text);
        assert_int_equal(c.hour, 42);
        if (msg != NULL && strcmp(why.msg, msg) != 0)
            fail_msg("'%s': %s", text, why.msg);
        if (why.column != error_rows[i].column)
            fail_msg("'%s': column %d", text, why.column);
        assert_int_equal(cron_parse(text, &c, NULL), -EINVAL);
    }
}

static void long_expressions(void **state)
{
    char text[CRON_TEXT_MAX + 2];
    struct cron c;
    struct diag why;
    memset(text, ' ', sizeof(text));
    memcpy(text, "1 2 3 4 *", 9);
    text[CRON_TEXT_MAX] = '\0';
    assert_int_equal(cron_parse(text, &c, &why), 0);
    text[CRON_TEXT_MAX] = ' ';
    text[CRON_TEXT_MAX + 1] = '\0';
    assert_int_equal(cron_parse(text, &c, &why), -EINVAL);
    assert_string_equal(why.msg, "the cron expression is longer than 1024 bytes");
    assert_int_equal(why.column, CRON_TEXT_MAX + 1);
}

/* ---- what was missed ---- */

static void missed(void **state)
{
    static const struct {
        const char *text, *zone, *last, *now;
        uint64_t window_s, count_max, count;
        const char *first, *latest;
    } rows[] = {
        {"0 * * * *", NULL, "2026-02-13T10:00:00Z", "2026-02-13T10:59:59Z", 86400, 100, 0, NULL,
         NULL},
        {"0 * * * *", NULL, "2026-02-13T10:00:00Z", "2026-02-13T11:00:00Z", 86400, 100, 1,
         "2026-02-13T11:00:00Z", "2026-02-13T11:00:00Z"},
        {"0 * * * *", NULL, "2026-02-13T10:00:00Z", "2026-02-13T14:30:00Z", 86400, 100, 4,
         "2026-02-13T11:00:00Z", "2026-02-13T14:00:00Z"},
        {"0 * * * *", NULL, "2026-02-13T10:00:00Z", "2026-02-13T14:30:00Z", 86400, 2, 2,
         "2026-02-13T11:00:00Z", "2026-02-13T14:00:00Z"},
        /* The window: exactly that old still counts. */
        {"0 * * * *", NULL, "2026-02-13T10:00:00Z", "2026-02-13T14:30:00Z", 5400, 100, 2,
         "2026-02-13T13:00:00Z", "2026-02-13T14:00:00Z"},
        {"0 * * * *", NULL, "2026-02-13T10:00:00Z", "2026-02-13T14:30:00Z", 5399, 100, 1,
         "2026-02-13T14:00:00Z", "2026-02-13T14:00:00Z"},
        {"0 * * * *", NULL, "2026-02-13T10:00:00Z", "2026-02-13T14:30:00Z", 1799, 100, 0, NULL,
         NULL},
        {"0 * * * *", NULL, "2026-02-13T10:00:00Z", "2026-02-13T14:00:00Z", 0, 100, 1,
         "2026-02-13T14:00:00Z", "2026-02-13T14:00:00Z"},
        {"* * * * * *", NULL, "2020-01-01T00:00:00Z", "2026-02-13T14:00:00.5Z", 86400, 1000000,
         86400, "2026-02-12T14:00:01Z", "2026-02-13T14:00:00Z"},
        {"* * * * * *", NULL, "2020-01-01T00:00:00Z", "2026-02-13T14:00:00.5Z", 99999999999, 10, 10,
         "2020-01-01T00:00:01Z", "2026-02-13T14:00:00Z"},
        {"@every 90s", NULL, "1970-01-01T00:00:00Z", "1970-01-01T00:10:00Z", 86400, 100, 6,
         "1970-01-01T00:01:30Z", "1970-01-01T00:09:00Z"},
        {"30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", "2026-03-30T12:00:00Z", 864000, 100,
         3, "2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"},
        {"30 2 * * *", "Europe/Berlin", "2026-10-25T00:29:59Z", "2026-10-25T12:00:00Z", 864000, 100,
         1, "2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z"},
        /* The clock was set back, or did not move. */
        {"* * * * * *", NULL, "2026-02-13T10:00:00Z", "2026-02-13T09:00:00Z", 86400, 100, 0, NULL,
         NULL},
        {"* * * * * *", NULL, "2026-02-13T10:00:00Z", "2026-02-13T10:00:00Z", 86400, 100, 0, NULL,
         NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct cron c = parsed(rows[i].text);
        struct cron_missed m;
        cron_missed(&c, zone(rows[i].zone), at(rows[i].last), at(rows[i].now),
                    rows[i].window_s * 1000, rows[i].count_max, &m);
        if (m.count != rows[i].count)
            fail_msg("row %zu: %llu were missed", i, (unsigned long long)m.count);
        assert_true(m.first.ms == (m.count > 0 ? at(rows[i].first) : WALL_UNSET).ms);
        assert_true(m.latest.ms == (m.count > 0 ? at(rows[i].latest) : WALL_UNSET).ms);
    }
}

static void missed_since_never_and_at_the_ends(void **state)
{
    const struct cron c = parsed("* * * * *");
    struct cron_missed m;
    cron_missed(&c, NULL, WALL_UNSET, (struct wall){INT64_MAX}, UINT64_MAX, 3, &m);
    assert_int_equal(m.count, 3);
    cron_missed(&c, NULL, WALL_UNSET, at("2026-02-13T10:00:00Z"), 60000, 3, &m);
    assert_int_equal(m.count, 2);
    assert_true(m.first.ms == at("2026-02-13T09:59:00Z").ms);
    cron_missed(&c, NULL, (struct wall){INT64_MIN}, (struct wall){INT64_MIN + 1}, UINT64_MAX, 3,
                &m);
    assert_int_equal(m.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grammar),
        cmocka_unit_test(days),
        cmocka_unit_test(clocks_change),
        cmocka_unit_test(every),
        cmocka_unit_test(every_since_its_anchor),
        cmocka_unit_test(ends_of_time),
        cmocka_unit_test(errors),
        cmocka_unit_test(long_expressions),
        cmocka_unit_test(missed),
        cmocka_unit_test(missed_since_never_and_at_the_ends),
    };
    return cmocka_run_group_tests(tests, zones_setup, zones_teardown);
}
