/* civil.h - days since 1970 and dates, in the proleptic Gregorian calendar.
 *
 * Any year whose day number fits works, negative ones included; year 0 is 1 BC. No clock and no
 * zone is involved.
 */
#ifndef BASE_CIVIL_H
#define BASE_CIVIL_H
#include <stdint.h>

struct civil {
    int year, month, day; /* month 1..12, day 1..31 */
};

int64_t civil_to_days(struct civil d); /* 1970-01-01 is 0; the date must exist */
struct civil civil_from_days(int64_t days);
int civil_month_days(int year, int month); /* 28 to 31 */
int civil_weekday(int64_t days);           /* 0 is Sunday */

#endif
