#include "base/json_scan.h"
#include <string.h>

static struct slice from(struct slice s, size_t at)
{
    return at < s.len ? (struct slice){s.p + at, s.len - at} : (struct slice){s.p + s.len, 0};
}

struct slice json_scan_next(struct slice s)
{
    size_t i = 0;
    while (i < s.len && s.p[i] != '\0' && strchr(" \t\r\n,:", s.p[i]) != NULL)
        i++;
    return from(s, i);
}

/* The length of the string that s begins with. */
static size_t string_len(struct slice s)
{
    for (size_t i = 1; i < s.len; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            return i + 1;
    }
    return s.len;
}

/* The length of the object or array that s begins with. */
static size_t nested_len(struct slice s)
{
    size_t depth = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == '"')
            i += string_len(from(s, i)) - 1;
        else if (s.p[i] == '{' || s.p[i] == '[')
            depth++;
        else if ((s.p[i] == '}' || s.p[i] == ']') && --depth == 0)
            return i + 1;
    }
    return s.len;
}

size_t json_scan_len(struct slice s)
{
    if (s.len == 0)
        return 0;
    if (s.p[0] == '"')
        return string_len(s);
    if (s.p[0] == '{' || s.p[0] == '[')
        return nested_len(s);
    size_t i = 0;
    while (i < s.len && (s.p[i] == '\0' || strchr(" \t\r\n,:]}", s.p[i]) == NULL))
        i++;
    return i;
}

/* Takes the value that *rest begins with, after what parts it from the one before. False at the closing bracket. */
static bool take(struct slice *rest, struct slice *ret)
{
    const struct slice s = json_scan_next(*rest);
    const size_t len = json_scan_len(s);
    if (len == 0)
        return false;
    *ret = (struct slice){s.p, len};
    *rest = from(s, len);
    return true;
}

struct slice json_scan_member(struct slice object, const char *name)
{
    const size_t len = strlen(name);
    struct slice rest = from(slice_trim(object), 1), key, value;
    while (take(&rest, &key) && take(&rest, &value))
        if (key.len == len + 2 && memcmp(key.p + 1, name, len) == 0)
            return value;
    return SLICE_NONE;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* What is left of an array lacks its opening bracket: so the two cannot be taken for each other. */
bool json_scan_item(struct slice *rest, struct slice *ret)
{
    struct slice s = *rest;
    while (s.len > 0 && is_blank(s.p[0]))
        s = from(s, 1);
    while (s.len > 0 && is_blank(s.p[s.len - 1]))
        s.len--;
    if (s.len > 0 && s.p[0] == '[' && s.p[s.len - 1] == ']' && nested_len(s) == s.len)
        s = from(s, 1);
    *rest = s;
    return take(rest, ret);
}
