/* err.h - an error that a human must fix: what was wrong, where, and what would be right.
 *
 * Functions that check input take a `struct diag *reterr` last. They fill it when they fail and
 * leave it alone when they do not. Operating errors are plain negative errno numbers and need no
 * diag.
 */
#ifndef PAWL_ERR_H
#define PAWL_ERR_H

/* The error codes of the HTTP API (contracts: codes and their statuses). */
enum diag_code {
    DIAG_INVALID_ARGUMENT,    /* 400 */
    DIAG_UNAUTHENTICATED,     /* 401 */
    DIAG_PERMISSION_DENIED,   /* 403 */
    DIAG_NOT_FOUND,           /* 404 */
    DIAG_ALREADY_EXISTS,      /* 409 */
    DIAG_FAILED_PRECONDITION, /* 409 */
    DIAG_PAYLOAD_TOO_LARGE,   /* 413 */
    DIAG_RESOURCE_EXHAUSTED,  /* 429 */
    DIAG_INTERNAL,            /* 500 */
    DIAG_UNAVAILABLE,         /* 503 */
    DIAG_DEADLINE_EXCEEDED,   /* 504 */
};

struct diag {
    enum diag_code code;
    int line, column; /* 1-based; 0 when the place is a field, which then stands in msg */
    char msg[480];    /* one sentence, valid UTF-8, no newline */
};

/* Fills *d (which may be NULL) and returns -EINVAL, so that `return diag_set(...)` reads well.
 * Bytes of the formatted text that are not UTF-8 or are control characters become '?'; a message
 * too long for msg is cut at a character. */
int diag_set(struct diag *d, enum diag_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The upper-case name of a code as it stands in an error envelope, such as "NOT_FOUND". Static
 * memory. */
const char *diag_code_name(enum diag_code code);

/* The HTTP status that goes with a code. */
int diag_code_status(enum diag_code code);

#endif
