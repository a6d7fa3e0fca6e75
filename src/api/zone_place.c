#include "api/zone_place.h"
#include "base/json.h"
#include "core/zone.h"
#include "pawl/host.h"
#include <errno.h>
#include <string.h>

#define DIRECTORY_LEN_MAX 3072 /* leaves room for what is below */

static bool is_plain(const char *directory)
{
    for (const char *p = directory; *p != '\0';) {
        const size_t len = strcspn(p + 1, "/");
        if (*p != '/' || len == 0 || (len == 1 && p[1] == '.') ||
            (len == 2 && p[1] == '.' && p[2] == '.'))
            return false;
        p += 1 + len;
    }
    return true;
}

static bool is_within(const char *path, const char *directory)
{
    const size_t len = strlen(directory);
    return strncmp(path, directory, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

int zone_place_check(const struct api *a, const char *directory, bool recursive,
                     struct diag *reterr)
{
    if (is_within(directory, a->host->data))
        return diag_set(
            reterr, DIAG_INVALID_ARGUMENT,
            "path: must not be within pawl's data directory; leave it out to have one made there");
    if (recursive && is_within(a->host->data, directory))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "path: pawl's data directory is below it, so it cannot be recursive");
    return 0;
}

int zone_place_check_change(const struct api *a, const struct zone *z, const struct zone_def *def,
                            struct diag *reterr)
{
    if (def->fire_existing != z->def->fire_existing)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "initial: cannot be changed: it is about what was there when the landing "
                        "zone was created");
    return z->made_by_us ? 0 : zone_place_check(a, z->directory, def->recursive, reterr);
}

int zone_place_take(const struct api *a, json_t *body, struct slice path, struct str *ret,
                    bool *ret_ours, struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, body, "", reterr);
    const char *v = json_take_string(&f, "path", JSON_OPTIONAL);
    if (f.failed)
        return -EINVAL;
    *ret_ours = v == NULL;
    if (v == NULL) {
        const size_t dot = strcspn(path.p, ".");
        str_printf(ret, "%s/zones/%.*s/%s", a->host->data, (int)dot, path.p, path.p + dot + 1);
        return 0;
    }
    str_add_cstr(ret, v);
    if (ret->len > 1 && ret->p[ret->len - 1] == '/')
        ret->p[--ret->len] = '\0';
    if (ret->len < 2 || ret->len > DIRECTORY_LEN_MAX || !is_plain(ret->p))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "path: must be an absolute path of at most %d bytes without . and .. in it",
                        DIRECTORY_LEN_MAX);
    return 0;
}
