/* files_rename.c - makes N small files in SOURCE; at a line on stdin renames them into TARGET as fast as it can.
 *
 *     files_rename SOURCE TARGET N      prints "made", and after the renames the instants of their begin and end (CLOCK_MONOTONIC, s)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void make(int dir, int n)
{
    char name[32];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "f%07d", i);
        const int fd = openat(dir, name, O_CREAT | O_WRONLY, 0644);
        if (fd < 0 || write(fd, name, strlen(name)) < 0 || close(fd) < 0)
            fail(name);
    }
}

int main(int argc, char **argv)
{
    char name[32];
    if (argc != 4)
        return 2;
    const int n = atoi(argv[3]);
    const int from = open(argv[1], O_RDONLY | O_DIRECTORY),
              to = open(argv[2], O_RDONLY | O_DIRECTORY);
    if (from < 0 || to < 0)
        fail("open");
    make(from, n);
    puts("made");
    fflush(stdout);
    if (getchar() == EOF)
        return 1;
    const double begin = now();
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "f%07d", i);
        if (renameat(from, name, to, name) < 0)
            fail(name);
    }
    printf("%.6f %.6f\n", begin, now());
    return 0;
}
