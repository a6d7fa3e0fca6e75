#include "base/slug.h"

bool slug_valid(struct slice text)
{
    if (text.len == 0 || text.len > SLUG_LEN_MAX || text.p[0] < 'a' || text.p[0] > 'z')
        return false;
    for (size_t i = 1; i < text.len; i++) {
        const char c = text.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static char slug_char(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ? c : '-';
}

bool slug_make(struct slice text, char ret[SLUG_LEN_MAX + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < text.len && n < SLUG_LEN_MAX; i++) {
        const char c = slug_char(text.p[i]);
        if (c != '-' || (n > 0 && ret[n - 1] != '-'))
            ret[n++] = c;
    }
    while (n > 0 && ret[n - 1] == '-')
        n--;
    ret[n] = '\0';
    return slug_valid((struct slice){ret, n});
}
