#include "io/tzdata/tzdata.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#define NAME_PARTS_MAX 3

struct zone {
    char name[TZDATA_NAME_MAX + 1];
    struct tz *tz;
    UT_hash_handle hh;
};

struct tzdata {
    char *dir;
    struct zone *zones; /* by name; as many as the directory has files at most */
};

struct tzdata *tzdata_create(const char *dir)
{
    struct tzdata *z = mem_zalloc(sizeof(*z));
    z->dir = mem_strdup(dir != NULL ? dir : TZDATA_DIR_DEFAULT);
    return z;
}

void tzdata_destroy(struct tzdata *z)
{
    struct zone *zone, *next;
    if (z == NULL)
        return;
    HASH_ITER (hh, z->zones, zone, next) {
        HASH_DEL(z->zones, zone);
        tz_destroy(zone->tz);
        free(zone);
    }
    free(z->dir);
    free(z);
}

static bool is_capital(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool may_follow(char c)
{
    return is_capital(c) || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '+' || c == '-';
}

/* No dots at all: no zone has one, and so nothing here can climb. */
static bool name_valid(const char *name)
{
    int parts = 1;
    if (strlen(name) > TZDATA_NAME_MAX || !is_capital(name[0]))
        return false;
    for (const char *c = name + 1; *c != '\0'; c++) {
        if (*c == '/' && is_capital(c[1]) && parts < NAME_PARTS_MAX)
            parts++;
        else if (!may_follow(*c))
            return false;
    }
    return true;
}

/* The bytes of a regular file, at most size of them. Negative errno; -EFBIG when there are more. */
static ssize_t read_file(const char *path, char *buf, size_t size)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    ssize_t len = 0, n = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 1 : -ENOENT;
    while (n > 0 && (size_t)len < size) {
        n = read(fd, buf + len, size - (size_t)len);
        if (n > 0)
            len += n;
        else if (n < 0)
            n = errno == EINTR ? 1 : -errno;
    }
    close(fd);
    if (n < 0)
        return n;
    return (size_t)len == size ? -EFBIG : len;
}

static int unknown(const struct tzdata *z, const char *name, struct diag *reterr)
{
    struct stat st;
    if (stat(z->dir, &st) < 0)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "unknown time zone '%.*s': there are no zone files in %s; install tzdata",
                        TZDATA_NAME_MAX, name, z->dir);
    return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                    "unknown time zone '%.*s': IANA names look like Europe/Berlin", TZDATA_NAME_MAX,
                    name);
}

static struct tz *load(const struct tzdata *z, const char *name, struct diag *reterr)
{
    char *path = mem_printf("%s/%s", z->dir, name);
    char *buf = mem_alloc(TZ_BYTES_MAX + 1);
    const ssize_t len = read_file(path, buf, TZ_BYTES_MAX + 1);
    struct tz *tz = NULL;
    struct diag why;
    if (len == -ENOENT || len == -ENOTDIR || len == -ENAMETOOLONG)
        unknown(z, name, reterr);
    else if (len < 0)
        diag_set(reterr, DIAG_INVALID_ARGUMENT, "time zone '%s': cannot read %s: %s", name, path,
                 strerror((int)-len));
    else if ((tz = tz_create((struct slice){buf, (size_t)len}, &why)) == NULL)
        diag_set(reterr, DIAG_INVALID_ARGUMENT, "time zone '%s': %s: %s", name, path, why.msg);
    free(buf);
    free(path);
    return tz;
}

int tzdata_get(struct tzdata *z, const char *name, const struct tz **ret, struct diag *reterr)
{
    struct zone *zone;
    if (strcmp(name, "UTC") == 0 || strcmp(name, "Etc/UTC") == 0) {
        *ret = NULL;
        return 0;
    }
    if (!name_valid(name))
        return unknown(z, name, reterr);
    HASH_FIND_STR(z->zones, name, zone);
    if (zone == NULL) {
        struct tz *tz = load(z, name, reterr);
        if (tz == NULL)
            return -EINVAL;
        zone = mem_zalloc(sizeof(*zone));
        snprintf(zone->name, sizeof(zone->name), "%s", name);
        zone->tz = tz;
        HASH_ADD_STR(z->zones, name, zone);
    }
    *ret = zone->tz;
    return 0;
}
