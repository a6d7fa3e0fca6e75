#include "core/glob.h"
#include "base/check.h"
#include "base/json.h"
#include <fnmatch.h>
#include <limits.h>
#include <string.h>

/* ---- matching ---- */

/* One segment of a pattern against one of a path. Longer ones than a file system has match nothing. */
static bool segment_matches(const char *glob, size_t glob_len, const char *text, size_t text_len)
{
    char g[NAME_MAX + 1], t[NAME_MAX + 1];
    if (glob_len > NAME_MAX || text_len > NAME_MAX)
        return false;
    memcpy(g, glob, glob_len);
    memcpy(t, text, text_len);
    g[glob_len] = t[text_len] = '\0';
    return fnmatch(g, t, 0) == 0;
}

/* The text behind the next slash; its end when there is none. */
static const char *after_segment(const char *s)
{
    const char *slash = strchrnul(s, '/');
    return *slash == '/' ? slash + 1 : slash;
}

/* Segment by segment; `**` stands for any number of them, none included. */
static bool path_matches(const char *glob, const char *path)
{
    if (*glob == '\0')
        return *path == '\0';
    const size_t g = strcspn(glob, "/"), p = strcspn(path, "/");
    if (g == 2 && memcmp(glob, "**", 2) == 0) {
        const char *rest = after_segment(glob);
        for (; *path != '\0'; path = after_segment(path))
            if (*rest == '\0' || path_matches(rest, path))
                return true;
        return *rest == '\0';
    }
    if (*path == '\0' || (glob[g] == '/') != (path[p] == '/'))
        return false;
    return segment_matches(glob, g, path, p) &&
           path_matches(after_segment(glob), after_segment(path));
}

bool glob_matches(const char *glob, struct slice name, struct slice path)
{
    if (strchr(glob, '/') != NULL)
        return path.p != NULL && path_matches(glob, path.p);
    return name.p != NULL && segment_matches(glob, strlen(glob), name.p, name.len);
}

/* ---- checking ----
 *
 * fnmatch takes a pattern it cannot read for ordinary text, or for one that matches nothing; people want to be told.
 */

struct check {
    struct json_fields *fields;
    const char *name, *glob;
};

static unsigned column_of(const struct check *c, const char *at)
{
    unsigned column = 1;
    for (const char *p = c->glob; p < at; p++)
        column += ((unsigned char)*p & 0xc0) != 0x80;
    return column;
}

/* NULL, for the one who called. */
static const char *fail(const struct check *c, const char *at, const char *what)
{
    json_fields_fail(c->fields, c->name, "at column %u: %s", column_of(c, at), what);
    return NULL;
}

static bool class_exists(struct slice name)
{
    static const char *const classes[] = {"alnum", "alpha", "blank", "cntrl", "digit", "graph",
                                          "lower", "print", "punct", "space", "upper", "xdigit"};
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
        if (slice_is(name, classes[i]))
            return true;
    return false;
}

/* The end of what one member of a set is made of; *ret is its byte, or -1. NULL when it is bad. */
static const char *member(const struct check *c, const char *p, int *ret)
{
    *ret = (unsigned char)*p;
    if (*p == '\\' && p[1] != '\0') {
        *ret = (unsigned char)p[1];
        return p + 2;
    }
    if (*p != '[' || (p[1] != ':' && p[1] != '.' && p[1] != '='))
        return p + 1;
    const char close[] = {p[1], ']', '\0'};
    const char *end = strstr(p + 2, close);
    if (end == NULL)
        return p + 1;
    *ret = -1;
    if (p[1] == ':' && !class_exists((struct slice){p + 2, (size_t)(end - p - 2)}))
        return fail(c, p,
                    "there is no such class; there are [:alnum:], [:alpha:], [:digit:], [:upper:] "
                    "and so on");
    return end + 2;
}

static const char *backwards(const struct check *c, const char *from, const char *to)
{
    while (((unsigned char)*from & 0xc0) == 0x80)
        from--;
    while (((unsigned char)*to & 0xc0) == 0x80)
        to++;
    json_fields_fail(c->fields, c->name, "at column %u: the range %.*s runs backwards",
                     column_of(c, from), (int)(to - from), from);
    return NULL;
}

/* From '[' to its ']'. A ']' right behind '[', '[!' or '[^' belongs to the set. NULL when it is bad. */
static const char *end_of_set(const struct check *c, const char *open)
{
    const char *p = open + 1;
    int low, high;
    p += *p == '!' || *p == '^';
    for (const char *first = p; *p != '\0' && (*p != ']' || p == first);) {
        const char *from = p;
        p = member(c, p, &low);
        if (p == NULL)
            return NULL;
        if (*p != '-' || p[1] == ']' || p[1] == '\0')
            continue;
        p = member(c, p + 1, &high);
        if (p == NULL)
            return NULL;
        if (low >= 0 && high >= 0 && low > high)
            return backwards(c, from, p);
    }
    if (*p != ']')
        return fail(c, open, "the [ is never closed");
    const char *slash = memchr(open, '/', (size_t)(p - open));
    return slash == NULL ? p : fail(c, slash, "no name has a slash in it, so no set can");
}

_Static_assert(GLOB_STARSTARS_MAX == 4, "the message says so");

static bool check_text(const struct check *c)
{
    unsigned starstars = 0;
    for (const char *p = c->glob; *p != '\0'; p++) {
        if (*p == '\\' && p[1] == '\0')
            return fail(c, p, "the \\ is followed by nothing") != NULL;
        if (*p == '\\' && p[1] == '/')
            return fail(c, p, "a slash cannot be escaped") != NULL;
        if (*p == '\\')
            p++;
        else if (*p == '*' && p[1] == '*' && ++starstars > GLOB_STARSTARS_MAX)
            return fail(c, p, "there are more than 4 **") != NULL;
        else if (*p == '[' && (p = end_of_set(c, p)) == NULL)
            return false;
    }
    return true;
}

/* What is matched on a path has to look like one. */
static bool check_segments(const struct check *c)
{
    if (strchr(c->glob, '/') == NULL)
        return true;
    if (c->glob[0] == '/')
        return fail(c, c->glob, "the path below the landing zone does not begin with a slash") !=
               NULL;
    for (const char *s = c->glob;;) {
        const size_t len = strcspn(s, "/");
        if (len == 0)
            return fail(c, s, "no path has an empty part") != NULL;
        if (s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')))
            return fail(c, s, "no path has . or .. in it") != NULL;
        if (s[len] == '\0')
            return true;
        s += len + 1;
    }
}

bool glob_check(struct json_fields *f, const char *name, const char *glob)
{
    const struct check c = {f, name, glob};
    if (*glob == '\0')
        json_fields_fail(f, name, "must not be empty");
    else if (strlen(glob) > GLOB_LEN_MAX)
        json_fields_fail(f, name, "must be at most %d bytes long", GLOB_LEN_MAX);
    else
        return check_text(&c) && check_segments(&c);
    return false;
}
