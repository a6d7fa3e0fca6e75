#include "core/selector.h"
#include "base/check.h"
#include "base/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

struct reader {
    const char *at;
    struct selector *s;
    struct diag *why;
};

static int refuse(struct reader *r, const char *what)
{
    return diag_set(r->why, DIAG_INVALID_ARGUMENT, "unable to parse requirement: %s, at \"%.40s\"",
                    what, r->at);
}

static void skip_blanks(struct reader *r)
{
    r->at += strspn(r->at, " \t");
}

/* Letters, digits, '-', '_', '.' and '/': what keys and values are made of. */
static struct slice take_word(struct reader *r)
{
    skip_blanks(r);
    const size_t len = strspn(r->at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789-_./");
    const struct slice ret = {r->at, len};
    r->at += len;
    skip_blanks(r);
    return ret;
}

static bool take(struct reader *r, const char *text)
{
    const size_t len = strlen(text);
    if (strncmp(r->at, text, len) != 0)
        return false;
    r->at += len;
    return true;
}

/* (x,y) */
static int take_set(struct reader *r, struct requirement *q)
{
    if (!take(r, "("))
        return refuse(r, "expected '('");
    do {
        vec_push(&r->s->values, take_word(r));
        q->count++;
    } while (take(r, ","));
    return take(r, ")") ? 0 : refuse(r, "expected ',' or ')'");
}

static int take_operator(struct reader *r, struct requirement *q)
{
    if (*r->at == '\0' || *r->at == ',') {
        q->any = true;
        return 0;
    }
    q->negated = take(r, "!=");
    if (!q->negated && !take(r, "==") && !take(r, "="))
        return refuse(r, "expected one of '=', '==', '!=', 'in', 'notin'");
    vec_push(&r->s->values, take_word(r));
    q->count = 1;
    return 0;
}

/* "in" and "notin" are words like keys, so they are seen only behind one. */
static int take_rest(struct reader *r, struct requirement *q)
{
    const char *before = r->at;
    const struct slice word = take_word(r);
    if (slice_is(word, "in") || slice_is(word, "notin")) {
        q->negated = word.len > 2;
        return take_set(r, q);
    }
    r->at = before;
    return take_operator(r, q);
}

static int take_requirement(struct reader *r)
{
    skip_blanks(r);
    struct requirement q = {.first = r->s->values.len, .negated = take(r, "!")};
    q.key = take_word(r);
    if (q.key.len == 0)
        return refuse(r, "expected a key");
    int err = 0;
    if (q.negated)
        q.any = true;
    else
        err = take_rest(r, &q);
    skip_blanks(r);
    vec_push(&r->s->all, q);
    return err;
}

int selector_parse(struct slice text, struct selector *ret, struct diag *reterr)
{
    *ret = (struct selector){.text = mem_dup(text.p, text.len)};
    struct reader r = {.at = ret->text, .s = ret, .why = reterr};
    if (slice_trim(text).len == 0)
        return 0;
    if (memchr(text.p, '\0', text.len) != NULL)
        return refuse(&r, "it holds a NUL");
    do {
        if (take_requirement(&r) < 0)
            return -EINVAL;
    } while (take(&r, ","));
    return *r.at == '\0' ? 0 : refuse(&r, "expected ',' or the end");
}

int selector_parse_fields(struct slice text, struct selector *ret, struct diag *reterr)
{
    const int err = selector_parse(text, ret, reterr);
    for (size_t i = 0; err == 0 && i < ret->all.len; i++) {
        const struct requirement *q = &ret->all.items[i];
        if (!slice_is(q->key, "metadata.name") && !slice_is(q->key, "metadata.namespace"))
            return diag_set(reterr, DIAG_INVALID_ARGUMENT, "field label not supported: %.*s",
                            (int)q->key.len, q->key.p);
        if (q->any || q->count != 1)
            return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                            "invalid selector: '%.*s'; can't understand it: = == and != are known",
                            (int)text.len, text.p);
    }
    return err;
}

void selector_release(struct selector *s)
{
    free(s->text);
    vec_release(&s->all);
    vec_release(&s->values);
    s->text = NULL;
}

/* ---- matching ---- */

/* `value` is absent where there is none. */
static bool is_met(const struct selector *s, const struct requirement *q, struct slice value)
{
    bool found = q->any && value.p != NULL;
    for (size_t i = 0; value.p != NULL && i < q->count; i++)
        found = found || slice_eq(s->values.items[q->first + i], value);
    return found != q->negated;
}

bool selector_matches(const struct selector *s, const json_t *labels)
{
    for (size_t i = 0; i < s->all.len; i++) {
        const struct requirement *q = &s->all.items[i];
        const json_t *v = json_object_getn(labels, q->key.p, q->key.len);
        if (!is_met(s, q, slice_of(json_string_value(v))))
            return false;
    }
    return true;
}

bool selector_matches_fields(const struct selector *s, struct slice ns, struct slice name)
{
    for (size_t i = 0; i < s->all.len; i++) {
        const struct requirement *q = &s->all.items[i];
        if (!is_met(s, q, slice_is(q->key, "metadata.name") ? name : ns))
            return false;
    }
    return true;
}
