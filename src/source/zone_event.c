/* zone_event.c - what a file's arrival looks like as an event. */
#include "base/base64.h"
#include "base/rfc3339.h"
#include "source/zone_name.h"
#include "source/zone_site.h"

static void add_member(struct str *ret, const char *name, struct slice text)
{
    str_printf(ret, ",\"%s\":", name);
    str_add_json(ret, text);
}

/* What is not UTF-8 in a path can be shown, but not be opened by what is shown. */
static void add_path(struct str *ret, const struct site *s, struct slice below)
{
    struct str path = {0};
    str_printf(&path, "%s/", s->directory);
    str_add_slice(&path, below);
    add_member(ret, "path", str_slice(&path));
    if (!utf8_valid(str_slice(&path))) {
        str_add_cstr(ret, ",\"path_base64\":\"");
        str_add_base64(ret, str_slice(&path));
        str_add_char(ret, '"');
    }
    str_release(&path);
}

static void describe(const struct site *s, struct slice path, struct slice name,
                     struct slice content_type, const struct zone_look *look, bool uploaded,
                     struct str *ret)
{
    str_add_cstr(ret, "{\"namespace\":");
    str_add_json(ret, slice_of(s->ns));
    add_member(ret, "zone", slice_of(s->name));
    add_member(ret, "filename", name);
    add_path(ret, s, path);
    add_member(ret, "relative_path", path);
    str_add_cstr(ret, ",\"size_bytes\":");
    str_add_u64(ret, look->size);
    if (content_type.p != NULL)
        add_member(ret, "content_type", content_type);
    str_add_cstr(ret, ",\"modified_at\":");
    str_add_time(ret, (struct wall){look->mtime_ns / 1000000});
    if (uploaded) {
        struct host *h = s->all->host;
        str_add_cstr(ret, ",\"uploaded_at\":");
        str_add_time(ret, h->now(h).wall);
    }
    str_add_char(ret, '}');
}

int site_feed(struct site *s, const char *path, size_t len, const struct zone_look *look,
              struct slice name, struct slice content_type, struct ticket *t)
{
    struct host *h = s->all->host;
    const bool uploaded = name.p != NULL;
    const struct slice own = zone_name_of((struct slice){path, len});
    struct str payload = {0};
    if (!uploaded)
        name = own;
    describe(s, (struct slice){path, len}, name, content_type, look, uploaded, &payload);
    const struct ledger_file file = {
        .zone_key = s->key,
        .path = {path, len},
        .name = name,
        .content_type = content_type,
        .inode = look->inode,
        .size = look->size,
        .mtime_ns = look->mtime_ns,
        .ctime_ns = look->ctime_ns,
    };
    const struct event ev = {
        .source = "zone",
        .type = SLICE("file.arrived"),
        .subject = {path, len},
        .name = name,
        .scope = slice_of(s->path),
        .content_type = SLICE("application/json"),
        .payload = str_slice(&payload),
        .key = zone_match_key(slice_of(s->path)),
        .keep = true,
        .file = &file,
        .ticket = t,
    };
    const int matched = h->feed(h, &ev);
    str_release(&payload);
    return matched < 0 ? matched : 0;
}
