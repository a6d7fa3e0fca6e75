/* no_watches.c - a system that has no inotify watches left, for a binary that is started with this in LD_PRELOAD. */
#include <errno.h>
#include <stdint.h>

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
    errno = ENOSPC;
    return -1;
}
