#include "app/config.h"
#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "base/slurp.h"
#include "io/yaml/yaml.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_BYTES_MAX (1024 * 1024)

enum setting_kind { SET_TEXT, SET_BOOL, SET_NUMBER, SET_LISTEN, SET_OBJECT };

/* A row: its name in the file, where it goes, its bounds, what it is for. The help says the default. */
struct setting {
    const char *name;
    enum setting_kind kind;
    size_t offset;
    const char *text;          /* default of a text */
    uint64_t number, min, max; /* default and bounds of a number */
    const char *help;
};

#define MIB (1024 * 1024ull)
#define GIB (1024 * MIB)
#define DAY 86400ull
#define AT(field) offsetof(struct config, field)

static const struct setting settings[] = {
    {"listen", SET_LISTEN, 0, NULL, 0, 0, 0,
     "address:port to serve, or a list of them; default 127.0.0.1:8080, port 0 picks one"},
    {"data", SET_TEXT, AT(data), "pawl-data", 0, 0, 0,
     "directory for everything that is kept; default pawl-data"},
    {"public_url", SET_TEXT, AT(public_url), NULL, 0, 0, 0,
     "how clients reach pawl, for the links it hands out; default from the Host header"},
    {"manifests", SET_TEXT, AT(manifests), NULL, 0, 0, 0,
     "directory of manifests that is kept applied; default none"},
    {"log_level", SET_TEXT, AT(log_level), "info", 0, 0, 0,
     "debug, info, warn or error; default info"},
    {"log_format", SET_TEXT, AT(log_format), "auto", 0, 0, 0,
     "text, json, or auto: text on a terminal, else json; default auto"},
    {"allow_unauthenticated", SET_BOOL, AT(allow_unauthenticated), NULL, 0, 0, 0,
     "serve other addresses than loopback without an API key; default false"},
    {"running_max", SET_NUMBER, AT(running_max), NULL, 64, 1, 10000,
     "runs carried out at the same time, over all pipelines; default 64"},
    {"leased_max", SET_NUMBER, AT(leased_max), NULL, 100000, 0, 1000000,
     "runs that workers have taken at the same time; default 100000"},
    {"stop_grace_seconds", SET_NUMBER, AT(stop_grace_seconds), NULL, 30, 0, 3600,
     "how long runs may go on after SIGTERM; default 30"},
    {"journal_bytes_max", SET_NUMBER, AT(journal_bytes_max), NULL, 64 * MIB, MIB, 4096 * MIB,
     "received but not yet on disk; beyond it callers get 503; default 64 MiB"},
    {"retention_days", SET_NUMBER, AT(retention_days), NULL, 30, 0, 36500,
     "how long events and ended runs are kept, 0 for ever; default 30"},
    {"retention_count", SET_NUMBER, AT(retention_count), NULL, 0, 0, 1000000000000,
     "how many events, and how many ended runs, are kept, 0 for any number; default 0"},
    {"topic_hours", SET_NUMBER, AT(topic_hours), NULL, 168, 0, 876000,
     "how long topics keep messages that do not say otherwise, 0 for ever; default 168"},
    {"topic_bytes_max", SET_NUMBER, AT(topic_bytes_max), NULL, GIB, 0, 1024 * 1024 * GIB,
     "how many bytes of messages such a topic keeps, 0 for any number; default 1 GiB"},
    {"topics", SET_OBJECT, AT(brokers.topics), NULL, 0, 0, 0,
     "plain names of topics that stand for a broker's, such as orders: nats:orders.new"},
    {"kafka_brokers", SET_TEXT, AT(brokers.kafka_brokers), "127.0.0.1:9092", 0, 0, 0,
     "HOST:PORT of Kafka brokers for kafka: topics, comma-separated; default 127.0.0.1:9092"},
    {"kafka_group_prefix", SET_TEXT, AT(brokers.kafka_group_prefix), "pawl.", 0, 0, 0,
     "kafka:NAME is consumed by the group of this and NAME; default pawl."},
    {"kafka", SET_OBJECT, AT(brokers.kafka), NULL, 0, 0, 0,
     "properties of librdkafka, such as security.protocol: ssl; those that pawl sets are refused"},
    {"nats_url", SET_TEXT, AT(nats.url), "nats://127.0.0.1:4222", 0, 0, 0,
     "NATS servers for nats: topics, comma-separated; default nats://127.0.0.1:4222"},
    {"nats_user", SET_TEXT, AT(nats.user), NULL, 0, 0, 0, "user name at NATS"},
    {"nats_password", SET_TEXT, AT(nats.password), NULL, 0, 0, 0, "its password"},
    {"nats_token", SET_TEXT, AT(nats.token), NULL, 0, 0, 0, "token for NATS, instead"},
    {"nats_credentials", SET_TEXT, AT(nats.credentials), NULL, 0, 0, 0,
     "credentials file (.creds) for NATS, instead"},
    {"nats_nkey", SET_TEXT, AT(nats.nkey), NULL, 0, 0, 0,
     "public NKey for NATS (U...), instead; with nats_nkey_seed"},
    {"nats_nkey_seed", SET_TEXT, AT(nats.nkey_seed), NULL, 0, 0, 0, "file with its seed (SU...)"},
    {"nats_tls", SET_BOOL, AT(nats.tls), NULL, 0, 0, 0,
     "refuse NATS servers without TLS; default false, true where one of the next is set"},
    {"nats_tls_ca", SET_TEXT, AT(nats.tls_ca), NULL, 0, 0, 0,
     "PEM file with the authorities to trust; default the system's"},
    {"nats_tls_cert", SET_TEXT, AT(nats.tls_cert), NULL, 0, 0, 0,
     "PEM file with pawl's own certificate for NATS; with nats_tls_key"},
    {"nats_tls_key", SET_TEXT, AT(nats.tls_key), NULL, 0, 0, 0, "PEM file with its key"},
    {"header_bytes_max", SET_NUMBER, AT(header_bytes_max), NULL, 16 * 1024, 1024, MIB,
     "request line and headers; beyond it 431; default 16 KiB"},
    {"body_bytes_max", SET_NUMBER, AT(body_bytes_max), NULL, MIB, 1024, 1024 * MIB,
     "a request's body; beyond it 413; default 1 MiB"},
    {"upload_bytes_max", SET_NUMBER, AT(upload_bytes_max), NULL, 5 * GIB, 1, 1024 * 1024 * GIB,
     "a file sent to a landing zone; beyond it 413; default 5 GiB"},
    {"buffered_bytes_max", SET_NUMBER, AT(buffered_bytes_max), NULL, 256 * MIB, MIB, 65536 * MIB,
     "bodies being received, all together; beyond it 503; default 256 MiB"},
    {"connections_max", SET_NUMBER, AT(connections_max), NULL, 16384, 1, 1000000,
     "open connections; beyond it 503; default 16384"},
    {"header_seconds", SET_NUMBER, AT(header_seconds), NULL, 10, 1, 3600,
     "for a request's headers to arrive; then 408; default 10"},
    {"body_seconds", SET_NUMBER, AT(body_seconds), NULL, 30, 1, 3600,
     "without progress of a body; then 408; default 30"},
    {"idle_seconds", SET_NUMBER, AT(idle_seconds), NULL, 75, 1, DAY,
     "between two requests of a connection; then it is closed; default 75"},
    {"write_seconds", SET_NUMBER, AT(write_seconds), NULL, 30, 1, 3600,
     "without progress of an answer; then the connection is closed; default 30"},
};

const struct flag config_flags[] = {
    {"listen", "ADDR:PORT",
     "where to serve (default 127.0.0.1:8080); may be given several times; port 0 picks one",
     FLAG_REPEATABLE},
    {"data", "DIR", "directory for everything that is kept (default pawl-data)", FLAG_ONCE},
    {"config", "FILE.yaml", "configuration file; the command line wins over it", FLAG_ONCE},
    {"public-url", "URL", "how clients reach pawl, for the links it hands out", FLAG_ONCE},
    {"nats-url", "URL", "NATS servers for nats: topics (default nats://127.0.0.1:4222)", FLAG_ONCE},
    {"nats-credentials", "FILE", "credentials file for NATS", FLAG_ONCE},
    {"manifests", "DIR", "directory of manifests that is kept applied", FLAG_ONCE},
    {"log-level", "LEVEL", "debug, info, warn or error (default info)", FLAG_ONCE},
    {"log-format", "FORMAT", "text, json or auto (default auto: text on a terminal)", FLAG_ONCE},
    {"allow-unauthenticated", NULL, "serve other addresses than loopback without an API key",
     FLAG_ONCE},
    {NULL},
};

const struct option_doc *config_options(void)
{
    static const char *const types[] = {"string", "boolean", "integer", "string", "object"};
    static struct option_doc docs[ARRAY_SIZE(settings) + 1];
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
        docs[i] =
            (struct option_doc){settings[i].name, types[settings[i].kind], false, settings[i].help};
    return docs;
}

/* ---- values ---- */

static void *field(struct config *c, const struct setting *s)
{
    return (char *)c + s->offset;
}

static void set_text(struct config *c, const struct setting *s, const char *text)
{
    char **at = field(c, s);
    free(*at);
    *at = mem_strdup(text);
}

static void set_object(struct config *c, const struct setting *s, json_t *object)
{
    json_t **at = field(c, s);
    json_decref(*at);
    *at = json_incref(object);
}

static void clear_listen(struct config *c)
{
    for (size_t i = 0; i < c->listen.len; i++)
        free(c->listen.items[i].host);
    c->listen.len = 0;
}

/* "127.0.0.1:8080", "[::1]:0" */
static int add_listen(struct config *c, const char *text, struct diag *reterr)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (colon == NULL || !slice_u64(slice_of(colon + 1), UINT16_MAX, &port))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "listen: '%s' is not ADDRESS:PORT, such as 127.0.0.1:8080", text);
    struct slice host = {text, (size_t)(colon - text)};
    if (host.len >= 2 && host.p[0] == '[' && host.p[host.len - 1] == ']')
        host = (struct slice){host.p + 1, host.len - 2};
    char *copy = mem_dup(host.p, host.len);
    unsigned char addr[sizeof(struct in6_addr)];
    if (slice_is(host, "localhost")) {
        free(copy);
        copy = mem_strdup("127.0.0.1");
    } else if (inet_pton(AF_INET, copy, addr) != 1 && inet_pton(AF_INET6, copy, addr) != 1) {
        free(copy);
        return diag_set(
            reterr, DIAG_INVALID_ARGUMENT,
            "listen: '%s' does not begin with a numeric address, such as 127.0.0.1 or [::1]", text);
    }
    vec_push(&c->listen, ((struct listen_address){copy, (uint16_t)port}));
    return 0;
}

void config_init(struct config *c)
{
    *c = (struct config){0};
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        const struct setting *s = &settings[i];
        if (s->kind == SET_TEXT)
            set_text(c, s, s->text);
        else if (s->kind == SET_NUMBER)
            *(uint64_t *)field(c, s) = s->number;
    }
}

void config_deinit(struct config *c)
{
    clear_listen(c);
    vec_release(&c->listen);
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
        if (settings[i].kind == SET_TEXT)
            set_text(c, &settings[i], NULL);
        else if (settings[i].kind == SET_OBJECT)
            set_object(c, &settings[i], NULL);
}

/* ---- the file ---- */

static void take_listen(struct config *c, struct json_fields *f, const char *name)
{
    json_t *v = json_take_any(f, name);
    if (v == NULL)
        return;
    struct diag why;
    clear_listen(c);
    if (json_is_string(v)) {
        if (add_listen(c, json_string_value(v), &why) < 0)
            json_fields_fail(f, name, "%s", why.msg + strlen("listen: "));
        return;
    }
    size_t i;
    json_t *item;
    if (!json_is_array(v) || json_array_size(v) == 0)
        json_fields_fail(f, name, "must be a string or a list of strings");
    json_array_foreach(v, i, item)
    {
        if (!json_is_string(item))
            json_fields_fail(f, name, "must be a list of strings");
        else if (add_listen(c, json_string_value(item), &why) < 0)
            json_fields_fail(f, name, "%s", why.msg + strlen("listen: "));
    }
}

static void take(struct config *c, struct json_fields *f, const struct setting *s)
{
    const char *text;
    json_t *object;
    switch (s->kind) {
    case SET_TEXT:
        text = json_take_string(f, s->name, JSON_OPTIONAL);
        if (text != NULL)
            set_text(c, s, text);
        break;
    case SET_BOOL:
        *(bool *)field(c, s) = json_take_bool(f, s->name, *(bool *)field(c, s));
        break;
    case SET_NUMBER:
        *(uint64_t *)field(c, s) = (uint64_t)json_take_int(
            f, s->name, (int64_t) * (uint64_t *)field(c, s), (int64_t)s->min, (int64_t)s->max);
        break;
    case SET_LISTEN:
        take_listen(c, f, s->name);
        break;
    case SET_OBJECT:
        object = json_take_object(f, s->name, JSON_OPTIONAL);
        if (object != NULL)
            set_object(c, s, object);
        break;
    }
}

static int take_all(struct config *c, const char *path, json_t *root, struct diag *reterr)
{
    if (!json_is_object(root))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "%s: must be a mapping of settings", path);
    struct json_fields f;
    struct diag why;
    json_fields_begin(&f, root, "", &why);
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
        take(c, &f, &settings[i]);
    if (json_fields_end(&f) < 0)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "%s: %s", path, why.msg);
    return 0;
}

static int read_whole(const char *path, struct str *ret, struct diag *reterr)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "config: cannot open '%s': %s", path,
                        strerror(errno));
    const int err = slurp(fd, CONFIG_BYTES_MAX, ret);
    close(fd);
    if (err != 0)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "config: cannot read '%s': %s", path,
                        strerror(-err));
    if (ret->len > CONFIG_BYTES_MAX)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "config: '%s' is larger than %d bytes", path,
                        CONFIG_BYTES_MAX);
    return 0;
}

int config_read_file(struct config *c, const char *path, struct diag *reterr)
{
    struct str text = {0};
    int err = read_whole(path, &text, reterr);
    json_t *root = NULL;
    struct diag why;
    if (err == 0) {
        root = yaml_parse(str_slice(&text), &why);
        if (root == NULL)
            err = diag_set(reterr, DIAG_INVALID_ARGUMENT, "%s: %s", path, why.msg);
        else if (!json_is_null(root)) /* an empty file sets nothing */
            err = take_all(c, path, root, reterr);
    }
    json_decref(root);
    str_release(&text);
    return err;
}

/* ---- the command line, and the whole ---- */

static int check_public_url(struct config *c, struct diag *reterr)
{
    if (c->public_url == NULL)
        return 0;
    struct slice u = slice_of(c->public_url);
    bool http = slice_starts(u, "http://"), https = slice_starts(u, "https://");
    size_t scheme = https ? 8 : 7;
    if ((!http && !https) || u.len == scheme || strpbrk(c->public_url, " \t\r\n\"<>\\") != NULL)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "public_url: '%s' is not http://HOST or https://HOST", c->public_url);
    while (u.len > scheme && c->public_url[u.len - 1] == '/')
        c->public_url[--u.len] = '\0';
    return 0;
}

/* The text may hold a password: it is not repeated. */
static int check_nats_url(const char *url, struct diag *reterr)
{
    size_t servers = 1;
    for (const char *p = url; (p = strchr(p, ',')) != NULL; p++)
        servers++;
    if (servers > NATS_SERVERS_MAX)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "nats_url: has more than %d servers",
                        NATS_SERVERS_MAX);
    for (const char *p = url; p != NULL; p = strchr(p, ',') != NULL ? strchr(p, ',') + 1 : NULL)
        if ((strncmp(p, "nats://", 7) != 0 && strncmp(p, "tls://", 6) != 0) ||
            strpbrk(p, " \t\r\n") != NULL)
            return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                            "nats_url: must be nats://HOST:PORT, or several with commas and no "
                            "blanks between them");
    return 0;
}

/* What is needed together with something else. */
static int check_nats(const struct nats_settings *n, struct diag *reterr)
{
    const struct {
        const char *name, *value, *other_name, *other;
    } pairs[] = {
        {"nats_user", n->user, "nats_password", n->password},
        {"nats_nkey", n->nkey, "nats_nkey_seed", n->nkey_seed},
        {"nats_tls_cert", n->tls_cert, "nats_tls_key", n->tls_key},
    };
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
        if ((pairs[i].value == NULL) != (pairs[i].other == NULL))
            return diag_set(reterr, DIAG_INVALID_ARGUMENT, "%s: needs %s, too",
                            pairs[i].value != NULL ? pairs[i].name : pairs[i].other_name,
                            pairs[i].value != NULL ? pairs[i].other_name : pairs[i].name);
    const int ways =
        (n->user != NULL) + (n->token != NULL) + (n->credentials != NULL) + (n->nkey != NULL);
    if (ways > 1)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "nats_user: only one of nats_user, nats_token, nats_credentials and "
                        "nats_nkey can be given");
    return check_nats_url(n->url, reterr);
}

static int check(struct config *c, struct diag *reterr)
{
    enum log_level level;
    if (!log_level_parse(slice_of(c->log_level), &level))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "log_level: '%s' is not debug, info, warn or error", c->log_level);
    if (strcmp(c->log_format, "text") != 0 && strcmp(c->log_format, "json") != 0 &&
        strcmp(c->log_format, "auto") != 0)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "log_format: '%s' is not text, json or auto",
                        c->log_format);
    if (c->data[0] == '\0')
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "data: must not be empty");
    if (c->manifests != NULL && c->manifests[0] == '\0')
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "manifests: must not be empty");
    if (c->listen.len == 0)
        add_listen(c, "127.0.0.1:8080", reterr);
    if (check_nats(&c->nats, reterr) < 0)
        return -EINVAL;
    return check_public_url(c, reterr);
}

static void flag_text(const struct flags *f, const char *name, char **at)
{
    const char *v = flags_get(f, name, NULL);
    if (v == NULL)
        return;
    free(*at);
    *at = mem_strdup(v);
}

int config_read_flags(struct config *c, const struct flags *f, struct diag *reterr)
{
    const char *v;
    if (flags_at(f, "listen", 0) != NULL)
        clear_listen(c);
    for (size_t i = 0; (v = flags_at(f, "listen", i)) != NULL; i++)
        if (add_listen(c, v, reterr) < 0)
            return -EINVAL;
    flag_text(f, "data", &c->data);
    flag_text(f, "public-url", &c->public_url);
    flag_text(f, "nats-url", &c->nats.url);
    flag_text(f, "nats-credentials", &c->nats.credentials);
    flag_text(f, "manifests", &c->manifests);
    flag_text(f, "log-level", &c->log_level);
    flag_text(f, "log-format", &c->log_format);
    if (flags_at(f, "allow-unauthenticated", 0) != NULL)
        c->allow_unauthenticated = true;
    return check(c, reterr);
}

struct http_limits config_http_limits(const struct config *c)
{
    struct http_limits l = http_limits_default;
    l.header_bytes_max = c->header_bytes_max;
    l.body_bytes_max = c->body_bytes_max;
    l.buffered_bytes_max = c->buffered_bytes_max;
    l.connections_max = (unsigned)c->connections_max;
    l.header_ms_max = c->header_seconds * 1000;
    l.body_ms_max = c->body_seconds * 1000;
    l.idle_ms_max = c->idle_seconds * 1000;
    l.write_ms_max = c->write_seconds * 1000;
    return l;
}
