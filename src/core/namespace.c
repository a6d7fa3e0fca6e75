#include "core/namespace.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/engine_internal.h"
#include <stdlib.h>
#include <string.h>

struct namespace *catalog_namespace(const struct catalog *c, struct slice name)
{
    struct namespace *n;
    HASH_FIND(hh, c->namespaces, name.p, name.len, n);
    return n;
}

static void link_one(struct catalog *c, struct namespace *n)
{
    HASH_ADD_KEYPTR(hh, c->namespaces, n->name, strlen(n->name), n);
}

static struct namespace *make(struct slice name, struct slice config, uint64_t version,
                              struct wall created_at)
{
    struct namespace *n = mem_zalloc(sizeof(*n));
    n->name = mem_dup(name.p, name.len);
    n->config = mem_dup(config.p, config.len);
    n->version = version;
    n->created_at = created_at;
    return n;
}

static void destroy(struct namespace *n)
{
    if (n == NULL)
        return;
    free(n->name);
    free(n->config);
    free(n);
}

void namespaces_release(struct catalog *c)
{
    struct namespace *n, *tmp;
    HASH_ITER (hh, c->namespaces, n, tmp) {
        HASH_DELETE(hh, c->namespaces, n);
        destroy(n);
    }
}

void engine_load_namespace(struct engine *e, struct slice name, struct slice config,
                           uint64_t version, struct wall created_at)
{
    link_one(&e->catalog, make(name, config, version, created_at));
}

/* `now` takes the place of `old`; either may be NULL. */
static void swap(struct engine *e, struct namespace *now, struct namespace *old)
{
    if (old != NULL)
        HASH_DELETE(hh, e->catalog.namespaces, old);
    if (now != NULL)
        link_one(&e->catalog, now);
}

void engine_put_namespace(struct engine *e, struct slice name, struct slice config,
                          uint64_t version, struct wall created_at, struct ticket *t)
{
    struct namespace *old = catalog_namespace(&e->catalog, name);
    struct namespace *n = make(name, config, version, created_at);
    swap(e, n, old);
    struct undo *u = undo_add(e, UNDO_NAMESPACE);
    u->namespace = n;
    u->old_namespace = old;
    emit(e, EFFECT_PUT_NAMESPACE)->put_namespace = (struct effect_put_namespace){
        .name = keep(e, name),
        .config = keep(e, config),
        .version = n->version,
        .created_at = n->created_at,
    };
    emit_reply(e, t, UUID_NIL, NULL, 0);
}

void engine_drop_namespace(struct engine *e, struct namespace *n, struct ticket *t)
{
    emit(e, EFFECT_DROP_NAMESPACE)->drop_namespace = keep(e, slice_of(n->name));
    swap(e, NULL, n);
    struct undo *u = undo_add(e, UNDO_NAMESPACE);
    u->namespace = NULL;
    u->old_namespace = n;
    emit_reply(e, t, UUID_NIL, NULL, 0);
}

void namespace_done(struct undo *u)
{
    destroy(u->old_namespace);
}

void namespace_undo(struct engine *e, struct now now, struct undo *u)
{
    swap(e, u->old_namespace, u->namespace);
    destroy(u->namespace);
}
