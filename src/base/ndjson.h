/* ndjson.h - newline-delimited JSON: one value per line, found and checked without building it.
 *
 *     struct ndjson n = ndjson_of(body);
 *     while ((r = ndjson_next(&n, &line)) > 0) ...      lines are pieces of the body, without the blanks around them
 *     if (r < 0) ...                                    line n.line is not a JSON value
 *
 * A line ends with \n or \r\n, the last one also with the text. Blank lines are passed over, but counted.
 */
#ifndef BASE_NDJSON_H
#define BASE_NDJSON_H
#include "base/str.h"

struct ndjson {
    const char *at, *end;
    uint64_t line; /* 1-based: the one that ndjson_next() looked at last */
};

struct ndjson ndjson_of(struct slice text);

/* 1 and the next value; 0 when there is none; -EINVAL. */
int ndjson_next(struct ndjson *n, struct slice *ret);

#endif
