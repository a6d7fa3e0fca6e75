#include "io/nats/stuck.h"
#include "base/str.h"
#include <dirent.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PORT_DEFAULT 4222

/* 0: it has none. */
static uint16_t port_of(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)a)->sin_port);
    if (a->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)a)->sin6_port);
    return 0;
}

static uint16_t port_of_server(struct slice server)
{
    const char *colon = memrchr(server.p, ':', server.len);
    uint64_t port;
    const char *end = server.p + server.len;
    if (colon != NULL &&
        slice_u64((struct slice){colon + 1, (size_t)(end - colon - 1)}, UINT16_MAX, &port))
        return (uint16_t)port;
    return PORT_DEFAULT;
}

static bool is_a_servers(const char *url, uint16_t port)
{
    for (const char *p = url; *p != '\0';) {
        const size_t len = strcspn(p, ",");
        if (port_of_server((struct slice){p, len}) == port)
            return true;
        p += len + (p[len] == ',');
    }
    return false;
}

/* What tells the socket from a later one with the same number; 0: it is not connected to a server. */
static uint64_t identify(const char *url, int fd)
{
    struct sockaddr_storage peer = {0}, own = {0};
    socklen_t peer_len = sizeof(peer), own_len = sizeof(own);
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) != 0 || port_of(&peer) == 0 ||
        !is_a_servers(url, port_of(&peer)) ||
        getsockname(fd, (struct sockaddr *)&own, &own_len) != 0)
        return 0;
    return (uint64_t)fd << 16 | port_of(&own);
}

static bool was_seen(const struct stuck *s, uint64_t id)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->seen[i] == id)
            return true;
    return false;
}

/* NULL: all are cut off. /proc is memory, so reading it does not hold up the loop. */
static void look(struct stuck *s, const char *url)
{
    struct stuck now = {0};
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        const int fd = atoi(entry->d_name);
        const uint64_t id = fd > 2 ? identify(url, fd) : 0;
        if (id != 0 && (s == NULL || was_seen(s, id)))
            shutdown(fd, SHUT_RDWR);
        else if (id != 0 && now.count < STUCK_SEEN_MAX)
            now.seen[now.count++] = id;
    }
    if (dir != NULL)
        closedir(dir);
    if (s != NULL)
        *s = now;
}

void stuck_look(struct stuck *s, const char *url)
{
    look(s, url);
}

void stuck_cut(const char *url)
{
    look(NULL, url);
}
