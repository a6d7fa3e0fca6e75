/* topic.h - how to add a kind of topic: somewhere that messages come from.
 *
 * A backend is one file in src/source ending in `const struct topic_backend topic_foo = {...}` and its row in topic_backend.c. Its topics
 * are named with its prefix (`nats:orders.new`); triggers of the type `topic` listen to them by that name. The topic source starts
 * each backend once, tells it when other topics are listened to, and asks it whether one is consumed.
 *
 * The topics that somebody listens to are in the catalog (core/catalog.h, `subscribed`). For each of its own among them a backend consumes
 * the outside stream and calls host->feed() with an event whose key is topic_match_key(name), whose scope is the name, and whose
 * `position` says how far this is (pawl/event.h). When the ticket is redeemed without an error, the position is on disk: now the
 * message may be acknowledged, and one that is delivered again makes nothing. After an error, or -EAGAIN or -ENOBUFS from
 * feed(), the same message is fed again later, before any that came behind it in its partition.
 */
#ifndef PAWL_TOPIC_H
#define PAWL_TOPIC_H
#include "base/str.h"
#include "pawl/err.h"
#include <jansson.h>
#include <stdbool.h>

struct host;

/* What the operator said about brokers outside. */
struct broker_settings {
    json_t *topics; /* object: a plain name, and the broker's topic that it stands for; NULL: none */
    char *kafka_brokers; /* "host:port,host:port" */
    char *kafka_group_prefix;
    json_t *kafka; /* object of librdkafka's properties; NULL: none. Has secrets */
};

#define NATS_SERVERS_MAX 8

/* How the operator says that NATS is reached. NULL: not set. Secrets: never logged. */
struct nats_settings {
    char *url;                 /* "nats://a:4222,nats://b:4222": up to NATS_SERVERS_MAX, comma-separated */
    char *user, *password, *token;
    char *credentials;         /* file with a JWT and a seed */
    char *nkey, *nkey_seed;    /* the public key, and the file with its seed */
    char *tls_ca, *tls_cert, *tls_key; /* PEM files */
    bool tls;                  /* also when no file is given */
};

struct topic_link; /* a backend that was started; its own */

/* What is to be seen of a topic that is listened to. Counters begin when its subscription does, at the latest with the daemon. */
struct topic_stats {
    bool connected;       /* its broker can be reached */
    uint64_t received;    /* messages that are on disk */
    uint64_t duplicates;  /* delivered, or published, again: they made nothing */
    uint64_t passed_over; /* too large to be an event */
    uint64_t in_flight;   /* taken from the broker, and not on disk yet */
    bool lag_known;
    uint64_t lag; /* messages that the broker has and that are not on disk, as it said last */
};

struct topic_backend {
    const char *name;   /* "embedded" */
    const char *prefix; /* of its topics' names, "" or with a colon at its end: "nats:" */
    const char *help;   /* one line */

    /* Whether a name, prefix included, can be one of its topics. 0, or -EINVAL with *reterr, which does not name a field. */
    int (*check)(struct slice topic, struct diag *reterr);

    /* NULL with *reterr when the daemon must not start. A server that is away is no reason. */
    struct topic_link *(*start)(struct host *h, struct diag *reterr);
    void (*changed)(struct topic_link *l); /* after a commit: compare what is consumed with the catalog */
    /* Connected, and consuming it. When not, *ret_why may be set to one sentence that is good until the next call into the loop. */
    bool (*ready)(struct topic_link *l, struct slice topic, const char **ret_why);
    void (*stats)(struct topic_link *l, struct slice topic, struct topic_stats *ret); /* *ret is zeroed, and left so when the topic is not consumed */
    /* Once host->stopping is set, backends feed nothing new. Ends: nothing is fed from now on; frees l when everything is closed, then calls closed, which may be at once. */
    void (*stop)(struct topic_link *l, void (*closed)(void *arg), void *arg);
};

extern const struct topic_backend *const topic_backends[]; /* ends with NULL */

/* The backend of a name, checked; NULL with *reterr. */
const struct topic_backend *topic_backend_of(struct slice topic, struct diag *reterr);

/* The name that the operator made a plain name stand for, or the name itself. b may be NULL. */
struct slice topic_meant(const struct broker_settings *b, struct slice topic);
int topic_meant_check(const struct broker_settings *b, struct diag *reterr); /* what the operator said; -EINVAL: it makes no sense */

extern const struct topic_backend topic_embedded;
extern const struct topic_backend topic_nats; /* where it was built in (PAWL_NATS) */
extern const struct topic_backend topic_kafka; /* where it was built in (PAWL_KAFKA) */

#endif
