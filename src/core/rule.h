/* rule.h - when a trigger fires: the compiled form of its config.
 *
 * A trigger type (pawl/source.h) makes a rule of a config once; the engine evaluates it for each event with the rule's match
 * key. Whatever a type needs is a field here, so that the engine never asks which type a trigger has.
 */
#ifndef CORE_RULE_H
#define CORE_RULE_H
#include "pawl/event.h"
#include <stdbool.h>
#include <stddef.h>

struct followed; /* core/catalog.h */
struct schedule; /* core/schedule.h */
struct trigger;

/* A pipeline that a rule follows. The catalog's links are set once the rule's trigger is in it. */
struct upstream {
    char *path; /* by path: it may be deleted and made anew */
    struct trigger *trigger;
    struct followed *followed;    /* a reference, from the first link until rule_release() */
    struct upstream *prev, *next; /* the followed one's */
};

/* A pipeline that a rule starts a run of. The links are the catalog's, as an upstream's. */
struct rule_target {
    char *path;  /* by path: it may not be there yet */
    char *input; /* JSON object of texts with look-ups (template.h): what its run gets instead of the event's payload; NULL: that */
    struct trigger *trigger;
    struct followed *followed;
    struct rule_target *prev, *next;
};

/* Of a trigger that nests under no pipeline. In one piece of memory. */
struct rule_targets {
    uint16_t count;
    bool forbids; /* fires not while a run of its last firing is under way */
    struct rule_target items[];
};

struct rule {
    struct match_key *key; /* what events find the trigger by; NULL: none do */
    char *scope; /* the text that key was made of, compared in full; NULL: the key is exact */
    char *glob;  /* fires only for files whose name matches; NULL: for all */
    struct schedule
        *schedule; /* fires at these times; NULL: not by time. Never together with a key */
    struct upstream *upstreams; /* the pipelines it follows; do not move while they are linked */
    struct rule_targets *targets; /* NULL: the pipeline that its trigger nests under. Do not move either */
    uint16_t upstream_count;
    uint8_t ends; /* fires for these ends of runs: bit 1 << RUN_SUCCESS, ...; 0: no matter */
    bool needs_upstreams; /* fires only if all of them have succeeded since it last fired */
    bool allows_cycle;    /* the operator wants it although its pipeline leads back to itself */
    bool lists_files;     /* its runs are told every file since its last firing */
    uint32_t version;     /* of its pipeline, that its runs are of; 0: the current one */
    bool trailing;        /* one more firing when the cooldown ends, if it held anything back */
};

/* The key for a kind and a text of any length: the text itself while it fits, else a hash of it. */
struct match_key match_key_of(char kind, struct slice text);

/* The key of events about the ends of a pipeline's runs; their scope is its path. */
struct match_key completion_key(struct slice path);

/* The key of messages of a topic; their scope is its name. */
struct match_key topic_match_key(struct slice topic);
/* The topic that the rule listens to, or NULL. */
const char *rule_topic(const struct rule *r);

/* Gives a rule its key; it must have none. */
void rule_set_key(struct rule *r, struct match_key key);

/* Adds a pipeline to the upstreams; the path is copied. */
void rule_follow(struct rule *r, const char *path);

/* Gives a rule so many targets, all empty, to be filled in with memory that the rule takes; it must have none. Of 0 it is one that starts
 * nothing and yet nests under no pipeline. */
struct rule_targets *rule_set_targets(struct rule *r, uint16_t count);

/* Whether an event that has the rule's key and scope is one it fires for, time and state aside. */
bool rule_matches(const struct rule *r, const struct event *ev);

void rule_release(struct rule *r); /* frees what it holds; *r is {0} again */

/* A rule that lives in one piece of memory with something else: its bytes, and the rule moved there. `from` is released. */
size_t rule_packed_size(const struct rule *r);
void rule_pack(struct rule *from, struct rule *ret, void *memory); /* aligned for a pointer */
void rule_unfollow(struct rule *r);                                /* instead of rule_release() */

#endif
