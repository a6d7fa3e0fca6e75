/* key.c - `pawl key`: the API keys of a data directory. Only their SHA-256 is kept; a key is seen
 * once, when it is made.
 *
 * A daemon that is running on the directory is told by SIGHUP to read them again. Without one, the
 * directory is locked for the moment, so that a daemon does not start in the middle.
 */
#include "base/mem.h"
#include "base/rfc3339.h"
#include "cli/cli.h"
#include "io/secret/secret.h"
#include "io/store/db.h"
#include "io/store/query.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KEY_NAME_LEN_MAX (sizeof(((struct key_row *)NULL)->name) - 1)

/* How often, and how long apart, the lock is asked for while nobody says whose it is. */
#define LOCK_TRIES_MAX 100
#define LOCK_TRY_MS 10

static const struct flag flags[] = {
    {"data", "DIR", "the data directory (default: " CLI_DATA_DIR_DEFAULT ")", FLAG_ONCE},
    {NULL},
};

/* The data directory while a command works on it. */
struct store {
    const char *dir;
    struct db *db;
    int lock;   /* -1 when a daemon has it */
    int daemon; /* its pid, or 0 */
};

static bool has_database(const char *dir)
{
    char *path = mem_printf("%s/pawl.db", dir);
    const bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

/* Who had the lock may have let it go before we could ask who it is: then it is worth another try. */
static int lock_or_find_daemon(struct store *s, struct diag *reterr)
{
    for (unsigned tries = 0; tries < LOCK_TRIES_MAX; tries++) {
        s->lock = db_lock_dir(s->dir, reterr);
        if (s->lock >= 0)
            return 0;
        if (s->lock != -EBUSY)
            return -EINVAL;
        s->daemon = db_lock_holder(s->dir);
        if (s->daemon > 0)
            return 0;
        poll(NULL, 0, LOCK_TRY_MS);
    }
    return -EINVAL;
}

/* Another of these commands may take us for the daemon and tell us, too: that must not end us. */
static int store_open(struct store *s, const struct flags *f, bool may_make, struct diag *reterr)
{
    *s = (struct store){.dir = flags_get(f, "data", CLI_DATA_DIR_DEFAULT), .lock = -1};
    signal(SIGHUP, SIG_IGN);
    if (!may_make && !has_database(s->dir))
        return diag_set(reterr, DIAG_NOT_FOUND, "there is no pawl database in '%s'", s->dir);
    if (lock_or_find_daemon(s, reterr) < 0)
        return -EINVAL;
    s->db = db_open(s->dir, reterr);
    if (s->db != NULL)
        return 0;
    if (s->lock >= 0)
        db_unlock_dir(s->lock);
    return -EINVAL;
}

static void store_close(struct store *s)
{
    db_close(s->db);
    if (s->lock >= 0)
        db_unlock_dir(s->lock);
}

static void tell_daemon(const struct store *s)
{
    if (s->daemon > 0 && kill(s->daemon, SIGHUP) < 0)
        fprintf(
            stderr,
            "pawl key: the daemon (pid %d) could not be told: %s; restart it, or send it SIGHUP\n",
            s->daemon, strerror(errno));
}

/* Names are for people and logs: printable ASCII without blanks. */
static bool name_valid(const char *name)
{
    const size_t len = strlen(name);
    if (len == 0 || len > KEY_NAME_LEN_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    }
    return true;
}

static struct wall wall_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (struct wall){(int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000};
}

static int add(struct store *s, const char *name)
{
    if (!name_valid(name))
        return cli_usage_error(&cli_key,
                               "the name must be 1 to %zu printable characters without blanks",
                               KEY_NAME_LEN_MAX);
    char text[TOKEN_TEXT_LEN + 1];
    uint8_t hash[SHA256_SIZE];
    secret_init();
    secret_token(text);
    sha256(slice_of(text), hash);
    const int err = store_add_key(s->db, name, hash, wall_now());
    if (err == -EEXIST)
        return cli_failed(&cli_key, "there is a key named '%s' already", name);
    if (err < 0)
        return cli_failed(&cli_key, "cannot store the key: %s", db_strerror(err));
    printf("%s\n", text);
    secret_wipe(text, sizeof(text));
    fprintf(stderr, "This is the key '%s'. It is not stored and will not be shown again.\n", name);
    tell_daemon(s);
    return CLI_OK;
}

static int list(struct store *s, const char *unused)
{
    struct key_row *keys = NULL;
    size_t n = 0;
    const int err = query_keys(s->db, &keys, &n);
    if (err < 0)
        return cli_failed(&cli_key, "cannot read the keys: %s", db_strerror(err));
    for (size_t i = 0; i < n; i++) {
        char made[RFC3339_LEN + 1];
        rfc3339_format(keys[i].created_at, made);
        printf("%-32s %s\n", keys[i].name, made);
    }
    free(keys);
    return CLI_OK;
}

static int drop(struct store *s, const char *name)
{
    const int err = store_drop_key(s->db, name);
    if (err == -ENOENT)
        return cli_failed(&cli_key, "there is no key named '%s'", name);
    if (err < 0)
        return cli_failed(&cli_key, "cannot drop the key: %s", db_strerror(err));
    tell_daemon(s);
    return CLI_OK;
}

static const struct verb {
    const char *name;
    bool wants_name;
    bool may_make; /* the data directory, where there is none yet */
    int (*run)(struct store *s, const char *name);
} verbs[] = {
    {"add", true, true, add},
    {"drop", true, false, drop},
    {"list", false, false, list},
};

static const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

static int run(const struct flags *f)
{
    if (f->args.len == 0)
        return cli_usage_error(&cli_key, "say what to do: add, list or drop");
    const struct verb *v = verb_find(f->args.items[0]);
    if (v == NULL)
        return cli_usage_error(&cli_key, "'%s' is not one of add, list, drop", f->args.items[0]);
    const size_t wanted = v->wants_name ? 2 : 1;
    if (f->args.len < wanted)
        return cli_usage_error(&cli_key, "%s: needs the key's NAME", v->name);
    if (f->args.len > wanted)
        return cli_usage_error(&cli_key, "unexpected argument '%s'", f->args.items[wanted]);

    struct store s;
    struct diag why;
    if (store_open(&s, f, v->may_make, &why) < 0)
        return cli_failed(&cli_key, "%s", why.msg);
    const int code = v->run(&s, v->wants_name ? f->args.items[1] : NULL);
    store_close(&s);
    return code;
}

const struct cli_command cli_key = {
    .name = "key",
    .args = "add NAME | list | drop NAME",
    .help = "Makes, lists and drops the keys that the API asks for.",
    .flags = flags,
    .run = run,
};
