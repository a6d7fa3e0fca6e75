/* config.h - what the operator may set: defaults, then the configuration file, then the command line; the later one wins.
 *
 * One table of settings (config.c) drives the file's parser, its checks, and `pawl help config`.
 */
#ifndef APP_CONFIG_H
#define APP_CONFIG_H
#include "base/vec.h"
#include "cli/flags.h"
#include "io/http/http.h"
#include "pawl/err.h"
#include "pawl/source.h" /* struct option_doc */
#include "pawl/topic.h"
#include <stdbool.h>
#include <stdint.h>

struct listen_address {
    char *host; /* numeric; IPv6 without its brackets */
    uint16_t port;
};

struct config {
    VEC(struct listen_address) listen;
    char *data;
    char *public_url; /* NULL: not set; never ends with a slash */
    char *manifests;  /* a directory that is kept applied; NULL: none */
    char *log_level, *log_format;
    bool allow_unauthenticated; /* other addresses than loopback without an API key */

    uint64_t running_max;        /* commands and the like carried out at the same time */
    uint64_t leased_max;         /* runs that workers have taken at the same time */
    uint64_t stop_grace_seconds; /* for runs to end when the daemon is told to stop */
    uint64_t journal_bytes_max;  /* accepted but not yet on disk; beyond it 503 */
    uint64_t retention_days;     /* 0: for ever */
    uint64_t retention_count;    /* 0: any number; events and runs each */
    uint64_t topic_hours;        /* 0: for ever */
    uint64_t topic_bytes_max;    /* of one topic's messages; 0: any number */

    struct broker_settings brokers;
    struct nats_settings nats;

    uint64_t upload_bytes_max; /* a file sent to a landing zone */
    uint64_t header_bytes_max, body_bytes_max, buffered_bytes_max, connections_max;
    uint64_t header_seconds, body_seconds, idle_seconds, write_seconds;
};

/* For `pawl help config`; ends with a NULL name. */
const struct option_doc *config_options(void);

void config_init(struct config *c); /* the defaults */
void config_deinit(struct config *c);

/* Reads a YAML file over what is set. -EINVAL with *reterr naming file, line and setting; c may then be half set. */
int config_read_file(struct config *c, const char *path, struct diag *reterr);

/* Takes the command line's options, and checks the whole. */
int config_read_flags(struct config *c, const struct flags *f, struct diag *reterr);

/* The flags that config_read_flags understands; ends with a NULL name. `config` names the file. */
extern const struct flag config_flags[];

struct http_limits config_http_limits(const struct config *c);

#endif
