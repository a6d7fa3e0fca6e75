#include "core/rule.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/catalog.h"
#include "core/glob.h"
#include "core/schedule.h"
#include <stdlib.h>
#include <string.h>

#define KEY_TEXT_MAX (MATCH_KEY_SIZE - 1)

/* FNV-1a, 64 bit, from a basis of one's choice. Equal keys are only candidates (rule.scope decides), so it need not resist anybody. */
static uint64_t fnv1a(struct slice text, uint64_t basis)
{
    uint64_t h = 0xcbf29ce484222325u ^ basis;
    for (size_t i = 0; i < text.len; i++)
        h = (h ^ (uint8_t)text.p[i]) * 0x100000001b3u;
    return h;
}

struct match_key match_key_of(char kind, struct slice text)
{
    struct match_key k = {{(uint8_t)kind}};
    if (text.len <= KEY_TEXT_MAX) {
        memcpy(k.b + 1, text.p, text.len);
        return k;
    }
    for (uint64_t i = 0; i < KEY_TEXT_MAX / sizeof(uint64_t); i++) {
        const uint64_t h = fnv1a(text, i * 0x9e3779b97f4a7c15u);
        memcpy(k.b + 1 + i * sizeof(h), &h, sizeof(h));
    }
    return k;
}

#define TOPIC_KIND 't'

struct match_key topic_match_key(struct slice topic)
{
    return match_key_of(TOPIC_KIND, topic);
}

const char *rule_topic(const struct rule *r)
{
    return r->key != NULL && r->key->b[0] == TOPIC_KIND ? r->scope : NULL;
}

void rule_set_key(struct rule *r, struct match_key key)
{
    CHECK(r->key == NULL);
    r->key = mem_alloc(sizeof(key));
    *r->key = key;
}

void rule_follow(struct rule *r, const char *path)
{
    r->upstreams = mem_realloc(r->upstreams, (r->upstream_count + 1) * sizeof(*r->upstreams));
    r->upstreams[r->upstream_count++] = (struct upstream){.path = mem_strdup(path)};
}

static size_t targets_size(size_t count)
{
    return sizeof(struct rule_targets) + count * sizeof(struct rule_target);
}

struct rule_targets *rule_set_targets(struct rule *r, uint16_t count)
{
    CHECK(r->targets == NULL);
    r->targets = mem_zalloc(targets_size(count));
    r->targets->count = count;
    return r->targets;
}

bool rule_matches(const struct rule *r, const struct event *ev)
{
    if (ev->trailing)
        return true;
    if (r->ends != 0 && (r->ends & ev->end) == 0)
        return false;
    return r->glob == NULL || glob_matches(r->glob, ev->name, ev->subject);
}

void rule_unfollow(struct rule *r)
{
    for (size_t i = 0; i < r->upstream_count; i++)
        followed_unref(r->upstreams[i].followed);
    for (size_t i = 0; r->targets != NULL && i < r->targets->count; i++)
        followed_unref(r->targets->items[i].followed);
}

static void free_targets(struct rule_targets *t)
{
    for (size_t i = 0; t != NULL && i < t->count; i++) {
        free(t->items[i].path);
        free(t->items[i].input);
    }
    free(t);
}

void rule_release(struct rule *r)
{
    rule_unfollow(r);
    for (size_t i = 0; i < r->upstream_count; i++)
        free(r->upstreams[i].path);
    free(r->upstreams);
    free_targets(r->targets);
    free(r->key);
    free(r->scope);
    free(r->glob);
    free(r->schedule);
    *r = (struct rule){0};
}

/* ---- packing: structs first, for their alignment, then texts ---- */

static size_t text_size(const char *s)
{
    return s != NULL ? strlen(s) + 1 : 0;
}

size_t rule_packed_size(const struct rule *r)
{
    size_t n = r->upstream_count * sizeof(*r->upstreams) + text_size(r->scope) + text_size(r->glob);
    for (size_t i = 0; i < r->upstream_count; i++)
        n += text_size(r->upstreams[i].path);
    for (size_t i = 0; r->targets != NULL && i < r->targets->count; i++)
        n += text_size(r->targets->items[i].path) + text_size(r->targets->items[i].input);
    return n + (r->targets != NULL ? targets_size(r->targets->count) : 0) +
           (r->schedule != NULL ? sizeof(*r->schedule) : 0) +
           (r->key != NULL ? sizeof(*r->key) : 0);
}

static void *pack(char **at, const void *from, size_t size)
{
    if (from == NULL)
        return NULL;
    char *p = *at;
    memcpy(p, from, size);
    *at += size;
    return p;
}

static void pack_targets(char **at, struct rule_targets *to)
{
    for (size_t i = 0; to != NULL && i < to->count; i++) {
        struct rule_target *t = &to->items[i];
        CHECK(t->followed == NULL);
        t->path = pack(at, t->path, text_size(t->path));
        t->input = pack(at, t->input, text_size(t->input));
    }
}

void rule_pack(struct rule *from, struct rule *ret, void *memory)
{
    char *at = memory;
    *ret = *from;
    ret->schedule = pack(&at, from->schedule, sizeof(*from->schedule));
    ret->upstreams = pack(&at, from->upstreams, from->upstream_count * sizeof(*from->upstreams));
    if (from->targets != NULL)
        ret->targets = pack(&at, from->targets, targets_size(from->targets->count));
    ret->key = pack(&at, from->key, sizeof(*from->key));
    for (size_t i = 0; i < ret->upstream_count; i++) {
        CHECK(from->upstreams[i].followed == NULL);
        ret->upstreams[i].path =
            pack(&at, from->upstreams[i].path, text_size(from->upstreams[i].path));
    }
    pack_targets(&at, ret->targets);
    ret->scope = pack(&at, from->scope, text_size(from->scope));
    ret->glob = pack(&at, from->glob, text_size(from->glob));
    rule_release(from);
}
