#include "base/json_compact.h"
#include <ctype.h>
#include <string.h>

/* What the grammar allows next. */
enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END, /* after [ */
    EXPECT_KEY,
    EXPECT_KEY_OR_END, /* after { */
    EXPECT_COLON,
    EXPECT_COMMA_OR_END,
    EXPECT_NOTHING, /* the outermost value is complete */
    EXPECT_FAILED,
};

struct scan {
    const char *at, *end;
    uint64_t objects; /* bit d: the value open at depth d is an object */
    unsigned depth;   /* how many are open */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool skip_digits(struct scan *s)
{
    const char *from = s->at;
    while (s->at < s->end && is_digit(*s->at))
        s->at++;
    return s->at > from;
}

static bool skip_char(struct scan *s, const char *any_of)
{
    if (s->at == s->end || *s->at == '\0' || strchr(any_of, *s->at) == NULL)
        return false;
    s->at++;
    return true;
}

static bool skip_number(struct scan *s)
{
    skip_char(s, "-");
    if (!skip_char(s, "0") && !skip_digits(s))
        return false;
    if (skip_char(s, ".") && !skip_digits(s))
        return false;
    if (skip_char(s, "eE")) {
        skip_char(s, "+-");
        return skip_digits(s);
    }
    return true;
}

static bool skip_escape(struct scan *s)
{
    if (!skip_char(s, "u"))
        return skip_char(s, "\"\\/bfnrt");
    for (int i = 0; i < 4; i++) {
        if (s->at == s->end || !isxdigit((unsigned char)*s->at))
            return false;
        s->at++;
    }
    return true;
}

static bool skip_string(struct scan *s)
{
    s->at++; /* the opening quote */
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at++;
        if (c == '"')
            return true;
        if (c < 0x20 || (c == '\\' && !skip_escape(s)))
            return false;
    }
    return false;
}

static bool skip_word(struct scan *s, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
        return false;
    s->at += len;
    return true;
}

static bool skip_scalar(struct scan *s)
{
    switch (*s->at) {
    case '"':
        return skip_string(s);
    case 't':
        return skip_word(s, "true");
    case 'f':
        return skip_word(s, "false");
    case 'n':
        return skip_word(s, "null");
    default:
        return skip_number(s);
    }
}

static enum expect after_value(const struct scan *s)
{
    return s->depth > 0 ? EXPECT_COMMA_OR_END : EXPECT_NOTHING;
}

static bool in_object(const struct scan *s)
{
    return s->objects >> (s->depth - 1) & 1;
}

static enum expect open_container(struct scan *s, bool object)
{
    if (s->depth == JSON_COMPACT_DEPTH_MAX)
        return EXPECT_FAILED;
    uint64_t bit = UINT64_C(1) << s->depth++;
    s->objects = object ? s->objects | bit : s->objects & ~bit;
    s->at++;
    return object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
}

static enum expect close_container(struct scan *s)
{
    if (*s->at != (in_object(s) ? '}' : ']'))
        return EXPECT_FAILED;
    s->depth--;
    s->at++;
    return after_value(s);
}

static enum expect take_value(struct scan *s)
{
    if (*s->at == '{' || *s->at == '[')
        return open_container(s, *s->at == '{');
    return skip_scalar(s) ? after_value(s) : EXPECT_FAILED;
}

static enum expect take_key(struct scan *s)
{
    return *s->at == '"' && skip_string(s) ? EXPECT_COLON : EXPECT_FAILED;
}

static enum expect take_comma(struct scan *s)
{
    if (*s->at != ',')
        return close_container(s);
    s->at++;
    return in_object(s) ? EXPECT_KEY : EXPECT_VALUE;
}

/* Moves over one token. */
static enum expect take_token(struct scan *s, enum expect expect)
{
    switch (expect) {
    case EXPECT_VALUE:
        return take_value(s);
    case EXPECT_VALUE_OR_END:
        return *s->at == ']' ? close_container(s) : take_value(s);
    case EXPECT_KEY:
        return take_key(s);
    case EXPECT_KEY_OR_END:
        return *s->at == '}' ? close_container(s) : take_key(s);
    case EXPECT_COLON:
        return *s->at++ == ':' ? EXPECT_VALUE : EXPECT_FAILED;
    case EXPECT_COMMA_OR_END:
        return take_comma(s);
    case EXPECT_NOTHING:
    case EXPECT_FAILED:
        break;
    }
    return EXPECT_FAILED;
}

/* out: NULL when nobody wants the copy. */
static bool scan(struct slice text, struct str *out)
{
    struct scan s = {.at = text.p, .end = text.p + text.len};
    enum expect expect = EXPECT_VALUE;

    while (s.at < s.end && expect != EXPECT_FAILED) {
        if (is_blank(*s.at)) {
            s.at++;
            continue;
        }
        const char *token = s.at;
        expect = take_token(&s, expect);
        if (out != NULL)
            str_add(out, token, (size_t)(s.at - token));
    }
    return expect == EXPECT_NOTHING && utf8_valid(text);
}

bool json_is_value(struct slice text)
{
    return scan(text, NULL);
}

bool json_compact(struct slice text, struct str *out)
{
    const size_t len_before = out->len;
    if (scan(text, out))
        return true;
    out->len = len_before;
    if (out->p != NULL)
        out->p[len_before] = '\0';
    return false;
}
