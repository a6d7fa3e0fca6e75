/* str.h - text: borrowed (struct slice) and growing (struct str).
 *
 * A slice points into memory that someone else owns; it is not NUL-terminated. A str owns its bytes and keeps a NUL after
 * them, so str.p is a C string as long as its content has none. {0} is a valid empty str.
 */
#ifndef BASE_STR_H
#define BASE_STR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    const char *p; /* NULL only when absent; an empty text has p != NULL, len == 0 */
    size_t len;
};

#define SLICE(lit) ((struct slice){(lit), sizeof(lit) - 1})
#define SLICE_NONE ((struct slice){NULL, 0})

struct slice slice_of(const char *cstr); /* NULL gives SLICE_NONE */
bool slice_eq(struct slice a, struct slice b);
bool slice_is(struct slice a, const char *cstr);
bool slice_is_nocase(struct slice a, const char *cstr); /* ASCII */
bool slice_starts(struct slice a, const char *prefix);
struct slice slice_trim(struct slice a); /* without blanks and tabs at both ends */

/* Reads a decimal number of at most 19 digits without sign or blanks. False when it is not one or exceeds max. */
bool slice_u64(struct slice a, uint64_t max, uint64_t *ret);

struct str {
    char *p;
    size_t len, cap;
};

void str_release(struct str *s);               /* frees; s is {0} again */
void str_reset(struct str *s);                 /* empties, keeps the memory */
void str_reserve(struct str *s, size_t more);  /* room for `more` bytes beyond len */
void str_add(struct str *s, const char *p, size_t len);
void str_add_slice(struct str *s, struct slice a);
void str_add_cstr(struct str *s, const char *c);
void str_add_char(struct str *s, char c);
void str_add_u64(struct str *s, uint64_t n);
void str_add_i64(struct str *s, int64_t n);
void str_printf(struct str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct slice str_slice(const struct str *s);
char *str_detach(struct str *s); /* hands the memory out (never NULL); the caller frees it */

/* Appends a JSON string literal with its quotes. Bytes that are not UTF-8 become U+FFFD each, control characters (DEL and the
 * C1 ones included) are escaped. */
void str_add_json(struct str *s, struct slice text);
void str_add_json_or_null(struct str *s, struct slice text); /* null when it is absent (SLICE_NONE) */

/* True when the bytes are valid UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
bool utf8_valid(struct slice text);

/* The length of the valid UTF-8 character that text begins with, 1 to 4, or 0 when it does not begin with one. */
size_t utf8_char(struct slice text);

/* How much of text makes up at most max bytes without cutting a UTF-8 character in two; text that is not UTF-8 is cut at max. */
size_t utf8_cut(struct slice text, size_t max);

#endif
