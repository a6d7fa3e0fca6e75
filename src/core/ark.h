/* ark.h - ArkEvents: triggers that have a name of their own, targets by name, and a state that Kubernetes tools want to see.
 *
 * An ArkEvent "namespace/name" is one trigger that nests under no pipeline. Its rule says when it fires and which teams' pipelines
 * it starts, its config is the manifest as it was applied: {"metadata":{"labels","annotations"},"spec"}. Made, changed and dropped
 * through the engine (engine_add_ark and so on).
 *
 * Each change of one, be it of its definition, a firing, or a condition, gets the next number of one sequence: the
 * resourceVersion. It is on disk with the change. The numbers of a failed batch are not used again.
 */
#ifndef CORE_ARK_H
#define CORE_ARK_H
#include "core/catalog.h"
#include "core/effect.h"

/* What the targets of one firing are given by look-ups, together. An event for which that would be more fires nothing: many look-ups of
 * a large body are a flood. */
#define ARK_INPUTS_BYTES_MAX ((size_t)8 << 20)

/* Why it is ready, or is not. Stored: never renumber. */
enum ark_reason {
    ARK_WEBHOOK_READY = 0, /* ready: these three, by what it waits for */
    ARK_ACTIVE = 1,
    ARK_WATCHING = 2,
    ARK_SUSPENDED = 3,        /* not ready */
    ARK_TARGET_NOT_FOUND = 4, /* not ready */
    ARK_INVALID_CRON = 5,     /* not ready: what was stored cannot be understood any more */
};
const char *ark_reason_name(enum ark_reason r); /* "WebhookReady", ... */
bool ark_is_ready(enum ark_reason r);

struct ark_state {
    uint64_t version;    /* of the last change */
    uint64_t generation; /* 1, and one more with each change of the spec */
    uint64_t fired;      /* times */
    enum ark_reason reason;
    struct wall ready_since; /* ready, or not: since then; why not may have changed */
    const char *missing;      /* TARGET_NOT_FOUND: the path of the first pipeline that is not there; the rule's or static memory */
};

/* What a webhook is called with: what it is compared with, and what it can be read back from. Others have one, too: they may be
 * webhooks one day. */
#define ARK_TOKEN_HASH_SIZE 32
#define ARK_TOKEN_SEALED_MAX 128
struct ark_token {
    uint8_t hash[ARK_TOKEN_HASH_SIZE]; /* SHA-256 of its text */
    uint8_t sealed[ARK_TOKEN_SEALED_MAX];
    size_t sealed_len;
};

struct arkevent {
    struct trigger trigger; /* first */
    char *path;             /* "namespace/name" */
    struct ark_state state;
    struct ark_token token;
    uint32_t active; /* runs of its last firing that are under way, where it forbids others meanwhile */
    UT_hash_handle hh;
};

void ark_token_set(struct ark_token *t, struct slice hash, struct slice sealed); /* from what is stored; what does not fit is none */

bool ark_is_webhook(const struct arkevent *a);

/* What a trigger that has targets is part of. */
struct arkevent *ark_of(const struct trigger *t);

/* How it is shown as of now; borrowed from it. */
struct ark_view ark_view_of(const struct arkevent *a, enum ark_change what);

/* NULL when there is none. */
struct arkevent *catalog_ark(const struct catalog *c, struct slice path);

/* Its reason by what the catalog holds, without regard to what its state says. *ret_missing as in the state. */
enum ark_reason ark_judge(const struct catalog *c, const struct arkevent *a, const char **ret_missing);

void arkevent_destroy(struct arkevent *a); /* NULL is fine */

#endif
