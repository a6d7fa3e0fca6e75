/* spawn_loop.c - how fast this machine runs /bin/true at all: posix_spawn in a bare loop, with N of
 * them alive at a time.
 *
 *     spawn_loop N SECONDS        prints processes per second
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void spawn_one(void)
{
    static char *const argv[] = {"/bin/true", NULL};
    static char *const envp[] = {NULL};
    pid_t pid;
    if (posix_spawn(&pid, argv[0], NULL, NULL, argv, envp) != 0) {
        perror("posix_spawn");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    int alive = atoi(argv[1]);
    double start = seconds_now(), end = start + atof(argv[2]), now;
    long ended = 0;
    for (int i = 0; i < alive; i++)
        spawn_one();
    while ((now = seconds_now()) < end) {
        if (wait(NULL) < 0)
            return 1;
        ended++;
        spawn_one();
    }
    while (wait(NULL) > 0)
        ;
    printf("%.1f\n", (double)ended / (now - start));
    return 0;
}
