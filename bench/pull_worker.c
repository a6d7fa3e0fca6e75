/* pull_worker.c - a worker for pull.py: claims and completes no-op runs over one connection, as fast as the daemon lets it.
 *
 *     pull_worker PORT BATCH RUNS      ends when RUNS were completed; prints how many and the seconds it took
 *
 * It knows just as much of HTTP and JSON as that takes: an answer has a Content-Length, an id stands behind its name.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX ((size_t)16 << 20)
#define BATCH_MAX 1000

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void send_all(int fd, const char *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n <= 0)
            die("write");
        p += n;
        len -= (size_t)n;
    }
}

/* Reads one answer; its body, with a NUL behind it. */
static char *receive(int fd, char *buf)
{
    size_t len = 0, whole = 0;
    char *body = NULL;
    while (body == NULL || len < whole) {
        ssize_t n = read(fd, buf + len, ANSWER_BYTES_MAX - len);
        if (n <= 0)
            die("read");
        len += (size_t)n;
        buf[len] = '\0';
        if (body == NULL && (body = strstr(buf, "\r\n\r\n")) != NULL) {
            body += 4;
            const char *length = strstr(buf, "Content-Length: ");
            whole = (size_t)(body - buf) + strtoul(length + 16, NULL, 10);
        }
    }
    if (strncmp(buf, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "%s\n", buf);
        exit(1);
    }
    return body;
}

static char *post(int fd, char *buf, const char *path, const char *body, size_t len)
{
    char head[256];
    int n = snprintf(head, sizeof(head),
                     "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     path, len);
    send_all(fd, head, (size_t)n);
    send_all(fd, body, len);
    return receive(fd, buf);
}

/* The report of all runs in the answer to a claim; how many those are. */
static unsigned report(const char *answer, char *out, size_t *ret_len)
{
    unsigned n = 0;
    char *p = out + sprintf(out, "{\"runs\":[");
    const char *at = answer;
    while ((at = strstr(at, "{\"run_id\":\"")) != NULL) {
        const char *token = strstr(at, "\"lease_token\":\"");
        if (token == NULL)
            break;
        p += sprintf(p, "%s{\"run_id\":\"%.36s\",\"lease_token\":\"%.32s\",\"status\":\"success\"}",
                     n > 0 ? "," : "", at + 11, token + 15);
        n++;
        at = token;
    }
    p += sprintf(p, "]}");
    *ret_len = (size_t)(p - out);
    return n;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 4 || atoi(argv[2]) < 1 || atoi(argv[2]) > BATCH_MAX)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    char *buf = malloc(ANSWER_BYTES_MAX + 1), *out = malloc(BATCH_MAX * 160 + 64), ask[128];
    const int ask_len = snprintf(ask, sizeof(ask),
                                 "{\"pipelines\":[\"*\"],\"max\":%s,\"lease_seconds\":60,"
                                 "\"wait_seconds\":5}",
                                 argv[2]);
    unsigned long done = 0, goal = strtoul(argv[3], NULL, 10);
    const double began = seconds();
    while (done < goal) {
        size_t len;
        const unsigned n =
            report(post(fd, buf, "/api/v1/runs/claim", ask, (size_t)ask_len), out, &len);
        if (n == 0)
            break;
        const char *answer = post(fd, buf, "/api/v1/runs/complete", out, len);
        if (strstr(answer, "\"error\"") != NULL) {
            fprintf(stderr, "%s\n", answer);
            return 1;
        }
        done += n;
    }
    printf("%lu %.3f\n", done, seconds() - began);
    return 0;
}
