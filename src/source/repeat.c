#include "source/repeat.h"
#include "base/check.h"
#include "base/mem.h"
#include "io/secret/secret.h"
#include "io/store/query.h"
#include <errno.h>
#include <string.h>
#include <utlist.h>

/* The requests with one key. Exists from the first one until the line is empty.
 *
 *     looking ──> open <──> through (one request is let through and has no outcome yet)
 *                  └──> known | unreadable: everybody goes, nobody is let through
 */
struct repeat_line {
    struct dedupe_key key;
    struct repeats *all;
    struct repeat *waiting; /* oldest first */
    bool looking, through, moving;
    bool known;
    struct repeat_first first;
    int err;
    UT_hash_handle hh;

    struct read_job job;
    /* the reader thread's, while looking */
    struct wall now;
    struct repeat_first found;
    int found_err;
};

struct dedupe_key repeat_key(const struct match_key *trigger, struct slice senders_key)
{
    /* Both parts are hashed to a fixed size first, so that no two pairs look the same. */
    uint8_t parts[MATCH_KEY_SIZE + SHA256_SIZE], hash[SHA256_SIZE];
    struct dedupe_key ret;
    memcpy(parts, trigger->b, MATCH_KEY_SIZE);
    sha256(senders_key, parts + MATCH_KEY_SIZE);
    sha256((struct slice){(const char *)parts, sizeof(parts)}, hash);
    memcpy(ret.b, hash, sizeof(ret.b));
    return ret;
}

/* Lets those go who can. go() may end its request at once and come back here through repeat_end();
 * the flag makes that return, and this loop go on. */
static void move(struct repeat_line *l)
{
    if (l->moving)
        return;
    l->moving = true;
    while (!l->looking && !l->through && l->waiting != NULL) {
        struct repeat *x = l->waiting;
        DL_DELETE(l->waiting, x);
        l->all->count--;
        l->through = !l->known && l->err == 0;
        const struct repeat_first first = l->first;
        x->go(x, l->known ? &first : NULL, l->err);
    }
    l->moving = false;
    if (l->looking || l->through)
        return;
    HASH_DEL(l->all->lines, l);
    free(l);
}

static void look(struct read_job *j, struct db *db)
{
    struct repeat_line *l = container_of(j, struct repeat_line, job);
    l->found_err = query_dedupe(db, &l->key, l->now, &l->found.event, &l->found.run);
}

static void looked(struct read_job *j, int err)
{
    struct repeat_line *l = container_of(j, struct repeat_line, job);
    if (err == 0)
        err = l->found_err;
    l->looking = false;
    l->known = err == 0;
    l->first = l->found;
    l->err = err == -ENOENT ? 0 : err;
    move(l);
}

/* The line for a key, looking into the store when it is new; NULL when that cannot be. */
static struct repeat_line *line_for(struct repeats *r, const struct dedupe_key *key)
{
    struct repeat_line *l;
    HASH_FIND(hh, r->lines, key, sizeof(*key), l);
    if (l != NULL)
        return l;
    l = mem_zalloc(sizeof(*l));
    l->key = *key;
    l->all = r;
    l->looking = true;
    l->now = r->host->now(r->host).wall;
    l->job = (struct read_job){.work = look, .done = looked};
    if (r->host->read(r->host, &l->job) < 0) {
        free(l);
        return NULL;
    }
    HASH_ADD(hh, r->lines, key, sizeof(l->key), l);
    return l;
}

int repeat_start(struct repeats *r, struct repeat *x)
{
    if (r->count >= REPEATS_MAX)
        return -EAGAIN;
    struct repeat_line *l = line_for(r, &x->key);
    if (l == NULL)
        return -EAGAIN;
    x->line = l;
    DL_APPEND(l->waiting, x);
    r->count++;
    return 0;
}

void repeat_end(struct repeat *x, const struct repeat_first *first)
{
    struct repeat_line *l = x->line;
    CHECK(l->through);
    l->through = false;
    if (first != NULL) {
        l->known = true;
        l->first = *first;
    }
    move(l);
}
