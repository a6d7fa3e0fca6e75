/* query.h - what the API reads: each function runs one query on a read connection and writes JSON.
 *
 * Called on reader threads (reader.h). All return 0 or a negative errno; single objects give -ENOENT when there is none. Texts
 * are JSON values appended to *ret. Ids are UUIDs in text, times RFC 3339.
 */
#ifndef IO_STORE_QUERY_H
#define IO_STORE_QUERY_H
#include "base/str.h"
#include "base/uuid.h"
#include "core/ark.h"
#include "core/engine.h"
#include "io/store/db.h"
#include "pawl/run.h"

#define PAGE_LIMIT_DEFAULT 50
#define PAGE_LIMIT_MAX 200

/* Which part of a list. With a cursor the offset is ignored; cursors are opaque to clients and come from the previous page. */
struct page {
    unsigned limit;
    uint64_t offset;
    struct slice
        cursor; /* SLICE_NONE: from the start. -EINVAL from the query when it is not one of ours */
};

/* ---- pipelines: {"pipelines":[...],"total":N,"next_cursor":...}; newest last, by path ---- */
struct pipeline_filter {
    struct slice ns, layer; /* SLICE_NONE: any */
};
int query_pipelines(struct db *db, const struct pipeline_filter *f, const struct page *page,
                    struct str *ret);
int query_pipeline(struct db *db, struct uuid id, struct str *ret); /* with latest_run */

/* {"versions":[{version,created_at}...],"total":N,"next_cursor":...}, newest first; one of them with its spec's members */
int query_versions(struct db *db, struct uuid pipeline, const struct page *page, struct str *ret);
int query_version(struct db *db, struct uuid pipeline, uint32_t version, struct str *ret);

/* ---- embedded topics: {"topics":[...],"total":N,"next_cursor":...}; by name ---- */
int query_topics(struct db *db, const struct page *page, struct str *ret);
int query_topic(struct db *db, struct slice name, struct str *ret);

/* {"topic","messages":[...],"first_offset","next_offset","end_offset"}: those from `offset` on; it is moved to the first that is kept.
 * Fewer than there are may come when they are large, but not none. */
int query_messages(struct db *db, struct slice topic, uint64_t offset, unsigned limit,
                   struct str *ret);

/* ---- triggers of one pipeline: {"triggers":[...],"total":N}; in the order of their making. limit 0: all of them. Behind them, on the
 * last page, its guests: ArkEvents that start it, though they nest under no pipeline.
 * webhook_url is added to webhook triggers when url is given ---- */
struct trigger_guests {
    const struct uuid *ids;
    size_t count;
};
int query_triggers(struct db *db, struct uuid pipeline, const struct page *page,
                   const struct trigger_guests *guests, const char *webhook_url, struct str *ret);
int query_guest_trigger(struct db *db, struct uuid id, struct uuid pipeline, struct str *ret);
int query_trigger(struct db *db, struct uuid id, const char *webhook_url, struct str *ret);

/* ---- runs: {"runs":[...],"total":N,"next_cursor":...}; newest first ---- */
struct run_filter {
    struct slice ns, layer, pipeline; /* SLICE_NONE: any */
    bool by_status, dead; /* dead: only those that failed for good and were not made again */
    enum run_status status;
    struct uuid trigger;                       /* nil: any */
    struct wall started_after, started_before; /* unset: any */
};
int query_runs(struct db *db, const struct run_filter *f, const struct page *page, struct str *ret);
/* One, with its attempts and, when it has ended, its steps. *ret_status, unless NULL, is set on success. */
int query_run(struct db *db, struct uuid id, struct str *ret, enum run_status *ret_status);
/* {"run_id","attempt","logs":[{time,stream,message}...],"truncated":bool}. attempt 0: the last one that has begun; -ENOENT also when
 * it was not tried that often. */
int query_run_logs(struct db *db, struct uuid id, uint32_t attempt, struct str *ret);
void run_logs_add(struct str *ret, struct uuid id, uint32_t attempt, struct slice log); /* the same of lines of JSON */

/* Runs that can be made again. */
struct replay_row {
    struct replay replay; /* version: the one it had */
    enum run_status status;
    bool event_is_gone;
};
int query_replay(struct db *db, struct uuid id, struct replay_row *ret);
/* At most max dead runs that match, the oldest first, and how many more there are. Those whose pipeline or event is gone are left
 * out. Of the filter `dead` and the status are not looked at. */
int query_dead(struct db *db, const struct run_filter *f, struct replay *ret, size_t max,
               size_t *ret_n, uint64_t *ret_left);

/* A run's state as plain values, for cancel, reports and idempotent answers. */
struct run_row {
    struct uuid id, pipeline;
    enum run_status status;
    uint32_t attempt;
    struct uuid event, root; /* what it is for, and where that began */
    uint32_t depth;
};
int query_run_row(struct db *db, struct uuid id, struct run_row *ret);
/* The same, and the log of the run's last attempt, if the run has ended, as it is kept: a JSON object a line. */
int query_run_log(struct db *db, struct uuid id, struct run_row *ret, struct str *ret_log);
/* That of an attempt before the last one; none of one that left nothing. */
int query_attempt_log(struct db *db, struct uuid id, uint32_t attempt, struct str *ret_log);

/* ---- events: {"events":[...],"total":N,"next_cursor":...}; newest first, each with its decisions and runs ---- */
struct event_filter {
    struct slice source; /* SLICE_NONE: any */
    struct uuid trigger; /* nil: any */
    struct wall since;   /* unset: any */
};
int query_events(struct db *db, const struct event_filter *f, const struct page *page,
                 struct str *ret);
int query_event(struct db *db, struct uuid id,
                struct str *ret); /* with its payload: text when it is UTF-8, else base64 */

/* ---- what one trigger made of events: {"decisions":[...],"next_cursor":...}; newest first. `since`: its creation. One page looks at
 * a bounded part of the events, so it may hold less than its limit, even nothing, and still be followed by another ---- */
int query_decisions(struct db *db, struct uuid trigger, struct wall since, const struct page *page,
                    struct str *ret);

/* The run that the first event with this key started, if that is less than a day old; -ENOENT otherwise. */
int query_dedupe(struct db *db, const struct dedupe_key *key, struct wall now,
                 struct uuid *ret_event, struct uuid *ret_run);

/* ---- landing zones: {"landing_zones":[...],"total":N,"next_cursor":...}; by path. `status` and `error` are the API's to add:
 * objects end without them ---- */
struct zone_filter {
    struct slice ns; /* SLICE_NONE: any */
};
/* Called for each object before its closing brace. */
typedef void (*zone_extra)(void *arg, struct uuid zone, struct str *ret);
int query_zones(struct db *db, const struct zone_filter *f, const struct page *page,
                zone_extra extra, void *arg, struct str *ret);
int query_zone(struct db *db, struct uuid id, struct str *ret); /* all but the closing brace */

/* ---- files of a zone: {"files":[...],"total":N,"next_cursor":...}; newest first. Those that are gone are left out ---- */
int query_files(struct db *db, struct uuid zone, const struct page *page, struct str *ret);
int query_file(struct db *db, struct uuid zone, struct uuid id, struct str *ret);

/* Appends the path of a file below its zone; -ENOENT when it is not there. */
int query_file_path(struct db *db, int64_t zone_key, struct uuid id, struct str *ret);

/* What the ledger has about paths of a zone. */
struct ledger_look {
    struct slice path;    /* asked for */
    bool known, gone;     /* it has a row; which says that the file is gone */
    uint64_t inode, size; /* of the row */
    int64_t mtime_ns, ctime_ns;
};
int query_ledger(struct db *db, int64_t zone_key, struct ledger_look *looks, size_t n);

/* The paths of at most max present files of a zone, each with a NUL behind it, by path from behind `after` (absent: the first). They
 * live in the arena. */
int query_ledger_paths(struct db *db, int64_t zone_key, struct slice after, struct arena *a,
                       struct slice *ret, size_t max, size_t *ret_n);

/* ---- ArkEvents (core/ark.h). Each is handed to visit() as it is on disk; what is borrowed there is gone when that returns. False:
 * that is enough ---- */
typedef bool (*ark_visit)(void *arg, const struct ark_view *v);

/* All, or all of a namespace (SLICE_NONE: any), by path, from behind `after` ("namespace/name"; SLICE_NONE: the first).
 * *ret_version: the highest version that was ever given out, as of the same moment. */
int query_arks(struct db *db, struct slice ns, struct slice after, ark_visit visit, void *arg,
               uint64_t *ret_version);
int query_ark(struct db *db, struct slice path, ark_visit visit, void *arg); /* "namespace/name" */

/* The highest version that was ever given out; 0: none was. */
int query_ark_version(struct db *db, uint64_t *ret);

/* Where somebody who knows ArkEvents is. */
struct ark_since {
    uint64_t version; /* all changes up to this one are known */
    uint64_t made;    /* those made after this one are ARK_ADDED: as a rule the version that was begun with */
    uint64_t seen;    /* those made up to this one may be known, so it matters that they were dropped; at least `version` */
};

/* Those that have changed since then, in the order of their last changes, the dropped ones too. -ESTALE: it is so long ago that
 * not all of those are known any more, or there was no such version yet. */
int query_ark_changes(struct db *db, struct slice ns, const struct ark_since *since, ark_visit visit,
                      void *arg, uint64_t *ret_version);

/* The token of a webhook's; -ENOENT also when it is none. Whose it is, and since when. */
int query_ark_token(struct db *db, struct slice path, struct ark_token *ret, struct uuid *ret_id,
                    struct wall *ret_created_at);

/* ---- namespaces: those that were made, and those that pipelines, landing zones or ArkEvents are in ---- */
struct namespace_row {
    bool made, used;        /* neither: there is none */
    struct str config;      /* of one that was made; {0} else */
    uint64_t version;
    struct wall created_at; /* of the namespace, or of something in it */
};
int query_namespace(struct db *db, struct slice name, struct namespace_row *ret); /* the caller releases ret->config */
/* Their names, sorted; each in a visit. */
int query_namespaces(struct db *db, void (*visit)(void *arg, struct slice name), void *arg);

/* ---- the durable queue: the oldest pending runs of a pipeline that are due, each with its event and its version's spec.
 * Texts live in the arena. *ret_next_due: the earliest due time of the delayed ones, unset when none.
 * Fewer than there are may come when they are large, but not none. ---- */
int query_pending(struct db *db, int64_t pipeline_key, struct wall now, uint32_t max,
                  struct arena *a, struct offered_run *ret, size_t *ret_n,
                  struct wall *ret_next_due);

/* ---- what is paused: {"paused", "paused_at", "pause_reason"} of everything, and how many "pipelines" and "triggers" are ---- */
int query_pause(struct db *db, struct str *ret);

/* ---- start, before anything is loaded: the runs that were in flight here when a daemon died, until EFFECT_SWEPT. The caller frees
 * *ret ---- */
int store_find_unswept(struct db *db, struct uuid **ret, size_t *ret_n);

/* ---- start: loads the catalog, pending counts, trigger states and interrupted runs into an engine ---- */

/* How stored texts become definitions; app provides it from the tables of types. Both return NULL with *reterr. */
struct def_maker {
    struct pipeline_def *(*pipeline)(struct slice spec, uint32_t version, struct wall updated_at,
                                     struct diag *reterr);
    /* *ret_type: the type's name in static memory. */
    struct trigger_def *(*trigger)(struct slice type, struct slice config, bool enabled,
                                   uint64_t cooldown_ms, struct wall updated_at,
                                   const char **ret_type, struct diag *reterr);
};
int store_load(struct db *db, struct engine *e, struct now now, const struct def_maker *mk,
               struct diag *reterr);

/* ---- API keys ---- */
struct key_row {
    char name[64];
    uint8_t hash[32];
    struct wall created_at;
};
int query_keys(struct db *db, struct key_row **ret, size_t *ret_n); /* the caller frees *ret */
int store_add_key(struct db *db, const char *name, const uint8_t hash[32],
                  struct wall now);                  /* -EEXIST */
int store_drop_key(struct db *db, const char *name); /* -ENOENT */

#endif
