#include "base/slurp.h"
#include <errno.h>
#include <unistd.h>

#define PIECE_BYTES 65536

int slurp(int fd, size_t bytes_max, struct str *ret)
{
    ssize_t n;
    do {
        str_reserve(ret, PIECE_BYTES);
        n = read(fd, ret->p + ret->len, PIECE_BYTES);
        if (n > 0)
            ret->len += (size_t)n;
    } while ((n > 0 && ret->len <= bytes_max) || (n < 0 && errno == EINTR));
    return n < 0 ? -errno : 0;
}
