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
