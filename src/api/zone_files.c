/* zone_files.c - /api/v1/landing-zones/{ns}/{name}/files: what the ledger knows.
 *
 * Files are sent and deleted through the zone source, which has the directories.
 */
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"

static int query_file_list(struct reading *r, struct db *db)
{
    return query_files(db, r->id, &r->page, &r->body);
}

static void list_files(struct http_request *req, void *ctx)
{
    const struct zone *z = take_zone(ctx, req);
    if (z == NULL)
        return;
    struct reading *r = reading_make(ctx, req, sizeof(*r), query_file_list);
    r->id = z->id;
    r->missing = "there is no such landing zone";
    if (take_page(req, PAGE_LIMIT_DEFAULT, &r->page))
        reading_start(r);
}

struct file_reading {
    struct reading reading;
    struct uuid file;
};

static int query_one_file(struct reading *r, struct db *db)
{
    return query_file(db, r->id, container_of(r, struct file_reading, reading)->file, &r->body);
}

static void get_file(struct http_request *req, void *ctx)
{
    static const char no_file[] = "the landing zone has no such file";
    const struct zone *z = take_zone(ctx, req);
    if (z == NULL)
        return;
    struct file_reading *f = reading_make(ctx, req, sizeof(*f), query_one_file);
    f->reading.id = z->id;
    f->reading.missing = no_file;
    if (take_path_id(req, 2, no_file, &f->file))
        reading_start(&f->reading);
}

#define FILES "/api/v1/landing-zones/{ns}/{name}/files"
static const struct http_route routes[] = {
    {"GET", FILES, list_files, SCOPE_API, 0},
    {"GET", FILES "/{id}", get_file, SCOPE_API, 0},
};
const struct resource resource_zone_files = {routes, ARRAY_SIZE(routes)};
