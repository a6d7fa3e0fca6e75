/* files_reader.c - a program that does nothing but read the inotify queue of DIRECTORY until N files were moved there.
 *
 *     files_reader DIRECTORY N      prints "ready", and the instant of the last one (CLOCK_MONOTONIC, s)
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char buf[65536] __attribute__((aligned(8)));
    struct timespec t;
    if (argc != 3)
        return 2;
    const int fd = inotify_init(), n = atoi(argv[2]);
    if (fd < 0 || inotify_add_watch(fd, argv[1], IN_MOVED_TO) < 0)
        return 1;
    puts("ready");
    fflush(stdout);
    for (int seen = 0; seen < n;) {
        const ssize_t len = read(fd, buf, sizeof(buf));
        for (ssize_t at = 0; at < len;) {
            const struct inotify_event *e = (const struct inotify_event *)(buf + at);
            if (e->mask & IN_Q_OVERFLOW) {
                fputs("the queue ran over\n", stderr);
                return 1;
            }
            seen += (e->mask & IN_MOVED_TO) != 0;
            at += (ssize_t)sizeof(*e) + e->len;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &t);
    printf("%.6f\n", (double)t.tv_sec + (double)t.tv_nsec / 1e9);
    return 0;
}
