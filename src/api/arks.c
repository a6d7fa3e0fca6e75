#include "api/arks.h"
#include "api/kube.h"
#include "base/check.h"
#include "core/engine.h"
#include "io/secret/seal.h"
#include "io/secret/secret.h"
#include "pawl/source.h"
#include <string.h>

#define TYPE "arkevent"

_Static_assert(TOKEN_TEXT_LEN + SEAL_OVERHEAD <= ARK_TOKEN_SEALED_MAX, "a sealed token fits");

/* The manifest was read without a problem: its rule can be made. */
static struct trigger_def *make_def(const struct trigger_type *type, const struct ark_manifest *m)
{
    struct rule rule = {0};
    struct diag why;
    CHECK(type->rule(m->config, &rule, &why) == 0);
    struct str text = {0};
    str_add_json_value(&text, m->config);
    struct trigger_def *d =
        trigger_def_create(str_slice(&text), !m->suspended, m->cooldown_ms, &rule);
    str_release(&text);
    return d;
}

static const struct trigger_type *ark_type(void)
{
    const struct trigger_type *type = trigger_type_find(TYPE);
    CHECK(type != NULL);
    return type;
}

/* Every ArkEvent has one: it may become a webhook's later. */
static struct ark_token make_token(const struct api *a)
{
    struct ark_token t = {.sealed_len = TOKEN_TEXT_LEN + SEAL_OVERHEAD};
    char text[TOKEN_TEXT_LEN + 1];
    secret_token(text);
    sha256(slice_of(text), t.hash);
    seal_text(a->host->seal, slice_of(text), t.sealed);
    secret_wipe(text, sizeof(text));
    return t;
}

bool arks_token_text(const struct api *a, const struct ark_token *t, char ret[ARK_TOKEN_SEALED_MAX])
{
    const struct slice sealed = {(const char *)t->sealed, t->sealed_len};
    memset(ret, 0, ARK_TOKEN_SEALED_MAX);
    return seal_read(a->host->seal, sealed, ret);
}

struct arkevent *arks_add(struct api *a, const struct ark_manifest *m, struct ticket *t)
{
    const struct trigger_type *type = ark_type();
    const struct ark_token token = make_token(a);
    char label[TRIGGER_LABEL_SIZE];
    type->label(m->config, label);
    return engine_add_ark(a->host->engine, a->host->now(a->host), slice_of(m->path), type->name,
                          make_def(type, m), slice_of(label), &token, t);
}

/* Whether its config is another one, and its spec. */
static bool compare(const struct arkevent *e, const struct ark_manifest *m, bool *ret_other_spec)
{
    json_t *old = json_parse_object(slice_of(e->trigger.def->config), NULL);
    const bool differs = !json_equal(old, m->config);
    *ret_other_spec = !json_equal(json_object_get(old, "spec"), json_object_get(m->config, "spec"));
    json_decref(old);
    return differs;
}

bool arks_differs(const struct arkevent *e, const struct ark_manifest *m)
{
    bool other_spec;
    return compare(e, m, &other_spec);
}

bool arks_replace(struct api *a, struct arkevent *e, const struct ark_manifest *m, struct ticket *t)
{
    const struct trigger_type *type = ark_type();
    char label[TRIGGER_LABEL_SIZE];
    bool other_spec;
    if (!compare(e, m, &other_spec))
        return false;
    type->label(m->config, label);
    engine_change_ark(a->host->engine, a->host->now(a->host), e, make_def(type, m), slice_of(label),
                      other_spec, t);
    return true;
}

struct trigger_def *arks_preview(struct api *a, const struct arkevent *e,
                                 const struct ark_manifest *m, struct ark_view *ret)
{
    const struct now now = a->host->now(a->host);
    bool other_spec = false;
    struct arkevent after = {0};
    if (e != NULL) {
        compare(e, m, &other_spec);
        after.trigger = e->trigger;
        after.state = e->state;
    } else {
        after.trigger.id = kube_uid_of("preview", slice_of(m->path));
        after.trigger.created_at = now.wall;
        after.trigger.state.last_fired = after.trigger.state.last_due = WALL_UNSET;
        after.state.ready_since = now.wall;
        other_spec = true;
    }
    after.path = m->path;
    after.trigger.def = make_def(ark_type(), m);
    after.state.generation += other_spec;
    after.state.reason = ark_judge(engine_catalog(a->host->engine), &after, &after.state.missing);
    if (e != NULL && ark_is_ready(after.state.reason) != ark_is_ready(e->state.reason))
        after.state.ready_since = now.wall;
    *ret = ark_view_of(&after, ARK_MODIFIED);
    return after.trigger.def;
}
