/* zone_paths.c - sets of paths of a site. */
#include "base/check.h"
#include "base/mem.h"
#include "source/zone_site.h"
#include <stdlib.h>
#include <string.h>

struct site_path *site_path_find(struct site_path *set, const char *path, size_t len)
{
    struct site_path *p;
    HASH_FIND(hh, set, path, len, p);
    return p;
}

bool site_path_covered(struct site_path *set, const char *path, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (path[i] == '/' && site_path_find(set, path, i) != NULL)
            return true;
    return false;
}

struct site_path *site_path_add(struct site_path **set, const char *path, size_t len)
{
    struct site_path *p = site_path_find(*set, path, len);
    if (p != NULL)
        return p;
    p = mem_zalloc(sizeof(*p) + len + 1);
    p->len = len;
    memcpy(p->path, path, len);
    HASH_ADD(hh, *set, path, len, p);
    return p;
}

void site_paths_clear(struct site_path **set)
{
    struct site_path *p, *tmp;
    HASH_ITER (hh, *set, p, tmp) {
        HASH_DEL(*set, p);
        free(p);
    }
}

/* ---- paths on their way to the disk ---- */

struct site_path *site_fly(struct site *s, const char *path, size_t len)
{
    CHECK(site_path_find(s->flying, path, len) == NULL);
    return site_path_add(&s->flying, path, len);
}

void site_land(struct site *s, struct site_path *p)
{
    HASH_DEL(s->flying, p);
    free(p);
}
