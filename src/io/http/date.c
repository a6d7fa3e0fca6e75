#include "io/http/date.h"
#include <stdio.h>
#include <time.h>
#include "base/check.h"

struct slice date_text(struct date *d, struct wall now)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t second = now.ms / 1000;
    time_t t = (time_t)second;
    struct tm tm;

    if (d->text[0] == '\0' || d->second != second) {
        CHECK(gmtime_r(&t, &tm) != NULL); /* not strftime: that follows the locale */
        CHECK(snprintf(d->text, sizeof(d->text), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                       days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
                       tm.tm_hour, tm.tm_min, tm.tm_sec) == DATE_LEN);
        d->second = second;
    }
    return (struct slice){d->text, DATE_LEN};
}
