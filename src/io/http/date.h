/* date.h - the Date header's value (RFC 9110, section 5.6.7), made once a second and only when somebody asks. */
#ifndef IO_HTTP_DATE_H
#define IO_HTTP_DATE_H
#include "base/str.h"
#include "pawl/time.h"
#include <stdint.h>

#define DATE_LEN 29 /* Sun, 06 Nov 1994 08:49:37 GMT */

/* {0} is valid. */
struct date {
    int64_t second;
    char text[DATE_LEN + 1];
};

/* Valid until the next call. */
struct slice date_text(struct date *d, struct wall now);

#endif
