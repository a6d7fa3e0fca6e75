#include "base/ndjson.h"
#include "base/json_compact.h"
#include <errno.h>
#include <string.h>

struct ndjson ndjson_of(struct slice text)
{
    return (struct ndjson){.at = text.p, .end = text.p + text.len};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct slice trim(const char *from, const char *to)
{
    while (from < to && is_blank(*from))
        from++;
    while (from < to && is_blank(to[-1]))
        to--;
    return (struct slice){from, (size_t)(to - from)};
}

int ndjson_next(struct ndjson *n, struct slice *ret)
{
    while (n->at < n->end) {
        const char *newline = memchr(n->at, '\n', (size_t)(n->end - n->at));
        const char *end = newline != NULL ? newline : n->end;
        const struct slice line = trim(n->at, end);
        n->at = newline != NULL ? newline + 1 : n->end;
        n->line++;
        if (line.len == 0)
            continue;
        if (!json_is_value(line))
            return -EINVAL;
        *ret = line;
        return 1;
    }
    return 0;
}
