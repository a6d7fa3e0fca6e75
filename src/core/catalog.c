#include "core/catalog.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/applied.h"
#include "core/namespace.h"
#include "core/ark.h"
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

_Static_assert(sizeof(struct trigger) <= 184, "a million triggers are budgeted");

struct pipeline *catalog_pipeline(const struct catalog *c, struct uuid id)
{
    struct pipeline *p;
    HASH_FIND(by_id, c->pipelines_by_id, &id, sizeof(id), p);
    return p;
}

struct pipeline *catalog_pipeline_at(const struct catalog *c, struct slice path)
{
    struct pipeline *p;
    HASH_FIND(by_path, c->pipelines_by_path, path.p, path.len, p);
    return p;
}

struct pipeline *catalog_pipeline_given(const struct catalog *c, struct slice given_id)
{
    struct pipeline *p;
    HASH_FIND(by_given_id, c->pipelines_by_given_id, given_id.p, given_id.len, p);
    return p;
}

struct trigger *catalog_trigger(const struct catalog *c, struct uuid id)
{
    return trigger_table_find(&c->triggers, id);
}

struct match_bucket *catalog_match(const struct catalog *c, const struct match_key *key)
{
    struct match_bucket *m;
    HASH_FIND(hh, c->matches, key, sizeof(*key), m);
    return m;
}

struct zone *catalog_zone(const struct catalog *c, struct uuid id)
{
    struct zone *z;
    HASH_FIND(by_id, c->zones_by_id, &id, sizeof(id), z);
    return z;
}

struct zone *catalog_zone_at(const struct catalog *c, struct slice path)
{
    struct zone *z;
    HASH_FIND(by_path, c->zones_by_path, path.p, path.len, z);
    return z;
}

struct topic *catalog_topic(const struct catalog *c, struct slice name)
{
    struct topic *t;
    HASH_FIND(hh, c->topics, name.p, name.len, t);
    return t;
}

void catalog_link_topic(struct catalog *c, struct topic *t)
{
    CHECK(t->name != NULL && t->key > 0);
    HASH_ADD_KEYPTR(hh, c->topics, t->name, strlen(t->name), t);
    if (t->key > c->topic_key_last)
        c->topic_key_last = t->key;
}

void catalog_unlink_topic(struct catalog *c, struct topic *t)
{
    HASH_DEL(c->topics, t);
}

struct match_key zone_match_key(struct slice path)
{
    return match_key_of('z', path);
}

const struct trigger *catalog_zone_user(const struct catalog *c, struct slice path)
{
    const struct match_key key = zone_match_key(path);
    const struct match_bucket *m = catalog_match(c, &key);
    const struct trigger *t = m != NULL ? m->triggers : NULL;
    while (t != NULL && !slice_is(path, t->def->rule.scope))
        t = t->match_next;
    return t;
}

void catalog_link_zone(struct catalog *c, struct zone *z)
{
    CHECK(z->path != NULL && z->directory != NULL && z->def != NULL && z->key > 0);
    HASH_ADD(by_id, c->zones_by_id, id, sizeof(z->id), z);
    HASH_ADD_KEYPTR(by_path, c->zones_by_path, z->path, strlen(z->path), z);
    if (z->key > c->zone_key_last)
        c->zone_key_last = z->key;
}

void catalog_unlink_zone(struct catalog *c, struct zone *z)
{
    HASH_DELETE(by_id, c->zones_by_id, z);
    HASH_DELETE(by_path, c->zones_by_path, z);
}

void catalog_link_pipeline(struct catalog *c, struct pipeline *p)
{
    CHECK(p->path != NULL && p->def != NULL && p->key > 0);
    HASH_ADD(by_id, c->pipelines_by_id, id, sizeof(p->id), p);
    HASH_ADD_KEYPTR(by_path, c->pipelines_by_path, p->path, strlen(p->path), p);
    if (p->given_id != NULL)
        HASH_ADD_KEYPTR(by_given_id, c->pipelines_by_given_id, p->given_id, strlen(p->given_id), p);
    if (p->key > c->pipeline_key_last)
        c->pipeline_key_last = p->key;
}

void catalog_unlink_pipeline(struct catalog *c, struct pipeline *p)
{
    HASH_DELETE(by_id, c->pipelines_by_id, p);
    HASH_DELETE(by_path, c->pipelines_by_path, p);
    if (p->given_id != NULL)
        HASH_DELETE(by_given_id, c->pipelines_by_given_id, p);
}

struct followed *catalog_followed(const struct catalog *c, struct slice path)
{
    struct followed *f;
    HASH_FIND(hh, c->followed, path.p, path.len, f);
    return f;
}

static struct followed *followed_ref(struct catalog *c, const char *path)
{
    struct followed *f = catalog_followed(c, slice_of(path));
    if (f == NULL) {
        f = mem_zalloc(sizeof(*f));
        f->path = mem_strdup(path);
        f->catalog = c;
        f->last_success = WALL_UNSET;
        HASH_ADD_KEYPTR(hh, c->followed, f->path, strlen(f->path), f);
    }
    f->refs++;
    return f;
}

void followed_unref(struct followed *f)
{
    if (f == NULL || --f->refs > 0)
        return;
    CHECK(f->upstreams == NULL && f->targeters == NULL);
    HASH_DEL(f->catalog->followed, f);
    free(f->path);
    free(f);
}

static void follow_upstreams(struct catalog *c, struct trigger *t)
{
    const struct rule *r = &t->def->rule;
    for (size_t i = 0; i < r->upstream_count; i++) {
        struct upstream *u = &r->upstreams[i];
        if (u->followed == NULL)
            u->followed = followed_ref(c, u->path);
        u->trigger = t;
        u->followed->needers += r->needs_upstreams;
        DL_APPEND(u->followed->upstreams, u);
    }
}

static void link_targets(struct catalog *c, struct trigger *t)
{
    struct rule_targets *all = t->def->rule.targets;
    for (size_t i = 0; all != NULL && i < all->count; i++) {
        struct rule_target *target = &all->items[i];
        if (target->followed == NULL)
            target->followed = followed_ref(c, target->path);
        target->trigger = t;
        DL_APPEND(target->followed->targeters, target);
    }
}

static void unlink_targets(const struct rule *r)
{
    for (size_t i = 0; r->targets != NULL && i < r->targets->count; i++)
        DL_DELETE(r->targets->items[i].followed->targeters, &r->targets->items[i]);
}

/* What is known of them is kept as long as the rule is: this may be undone. */
static void unfollow_upstreams(const struct rule *r)
{
    for (size_t i = 0; i < r->upstream_count; i++) {
        struct upstream *u = &r->upstreams[i];
        u->followed->needers -= r->needs_upstreams;
        DL_DELETE(u->followed->upstreams, u);
    }
}

static struct subscribed *find_subscribed(const struct catalog *c, struct slice topic)
{
    struct subscribed *s;
    HASH_FIND(hh, c->subscribed, topic.p, topic.len, s);
    return s;
}

const struct subscribed *catalog_subscribed(const struct catalog *c, struct slice topic)
{
    return find_subscribed(c, topic);
}

static void subscribe(struct catalog *c, const char *topic)
{
    struct subscribed *s = topic != NULL ? find_subscribed(c, slice_of(topic)) : NULL;
    if (topic == NULL)
        return;
    if (s == NULL) {
        s = mem_zalloc(sizeof(*s));
        s->topic = mem_strdup(topic);
        HASH_ADD_KEYPTR(hh, c->subscribed, s->topic, strlen(s->topic), s);
    }
    s->triggers++;
}

static void unsubscribe(struct catalog *c, const char *topic)
{
    struct subscribed *s = topic != NULL ? find_subscribed(c, slice_of(topic)) : NULL;
    if (s == NULL || --s->triggers > 0)
        return;
    HASH_DEL(c->subscribed, s);
    free(s->topic);
    free(s);
}

void catalog_link_match(struct catalog *c, struct trigger *t)
{
    follow_upstreams(c, t);
    link_targets(c, t);
    subscribe(c, rule_topic(&t->def->rule));
    if (t->def->rule.key == NULL)
        return;
    struct match_bucket *m = catalog_match(c, t->def->rule.key);
    if (m == NULL) {
        m = mem_zalloc(sizeof(*m));
        m->key = *t->def->rule.key;
        HASH_ADD(hh, c->matches, key, sizeof(m->key), m);
    }
    DL_APPEND2(m->triggers, t, match_prev, match_next);
}

void catalog_unlink_match(struct catalog *c, struct trigger *t)
{
    unfollow_upstreams(&t->def->rule);
    unlink_targets(&t->def->rule);
    unsubscribe(c, rule_topic(&t->def->rule));
    if (t->def->rule.key == NULL)
        return;
    struct match_bucket *m = catalog_match(c, t->def->rule.key);
    CHECK(m != NULL);
    DL_DELETE2(m->triggers, t, match_prev, match_next);
    if (m->triggers == NULL) {
        HASH_DELETE(hh, c->matches, m);
        free(m);
    }
}

void catalog_link_trigger(struct catalog *c, struct trigger *t)
{
    CHECK(t->def != NULL && t->key > 0);
    CHECK((t->pipeline != NULL) == (t->def->rule.targets == NULL));
    trigger_table_add(&c->triggers, t);
    if (t->pipeline != NULL) {
        DL_APPEND(t->pipeline->triggers, t);
        t->pipeline->trigger_count++;
    } else {
        struct arkevent *a = ark_of(t);
        HASH_ADD_KEYPTR(hh, c->arks, a->path, strlen(a->path), a);
    }
    catalog_link_match(c, t);
    if (t->key > c->trigger_key_last)
        c->trigger_key_last = t->key;
}

void catalog_unlink_trigger(struct catalog *c, struct trigger *t)
{
    catalog_unlink_match(c, t);
    trigger_table_remove(&c->triggers, t);
    if (t->pipeline == NULL) {
        HASH_DEL(c->arks, ark_of(t));
        return;
    }
    DL_DELETE(t->pipeline->triggers, t);
    t->pipeline->trigger_count--;
}

void pipeline_def_destroy(struct pipeline_def *d)
{
    if (d == NULL)
        return;
    free(d->spec);
    free(d);
}

struct trigger_def *trigger_def_create(struct slice config, bool enabled, uint64_t cooldown_ms,
                                       struct rule *rule)
{
    CHECK(rule->key == NULL || rule->schedule == NULL);
    const size_t rule_size = rule_packed_size(rule);
    struct trigger_def *d = mem_alloc(sizeof(*d) + rule_size + config.len + 1);
    char *tail = (char *)(d + 1), *text = tail + rule_size;
    *d = (struct trigger_def){.config = text,
                              .enabled = enabled,
                              .cooldown_ms = cooldown_ms & INT64_MAX,
                              .updated_at = WALL_UNSET};
    rule_pack(rule, &d->rule, tail);
    memcpy(text, config.p, config.len);
    text[config.len] = '\0';
    return d;
}

void trigger_def_destroy(struct trigger_def *d)
{
    if (d == NULL)
        return;
    rule_unfollow(&d->rule);
    free(d);
}

void pipeline_destroy(struct pipeline *p)
{
    if (p == NULL)
        return;
    pipeline_def_destroy(p->def);
    free(p->path);
    free(p->given_id);
    free(p);
}

void trigger_destroy(struct trigger *t)
{
    if (t != NULL && t->pipeline == NULL) {
        arkevent_destroy(ark_of(t));
        return;
    }
    if (t == NULL)
        return;
    trigger_def_destroy(t->def);
    free(t->trail);
    free(t);
}

void catalog_deinit(struct catalog *c)
{
    struct trigger *next, *t = trigger_table_next(&c->triggers, NULL);
    for (; t != NULL; t = next) {
        next = trigger_table_next(&c->triggers, t);
        catalog_unlink_trigger(c, t);
        trigger_destroy(t);
    }
    trigger_table_release(&c->triggers);
    struct pipeline *p, *ptmp;
    HASH_ITER (by_id, c->pipelines_by_id, p, ptmp) {
        catalog_unlink_pipeline(c, p);
        pipeline_destroy(p);
    }
    struct zone *z, *ztmp;
    HASH_ITER (by_id, c->zones_by_id, z, ztmp) {
        catalog_unlink_zone(c, z);
        zone_destroy(z);
    }
    struct topic *topic, *topic_next;
    HASH_ITER (hh, c->topics, topic, topic_next) {
        catalog_unlink_topic(c, topic);
        topic_destroy(topic);
    }
    positions_release(&c->positions);
    applied_release(c);
    namespaces_release(c);
    CHECK(c->followed == NULL && c->subscribed == NULL);
}
