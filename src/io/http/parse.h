/* parse.h - bytes to requests, one event at a time; llhttp with the gaps closed.
 *
 * No I/O and no clock: bytes in, events out, so that tests and the fuzzer can drive it with any split. The caller hands in what
 * it has and asks again until PARSE_MORE says that every byte was used:
 *
 *     parse_begin(&p, &head);                           before the first byte of each request
 *     do {
 *         event = parse_feed(&p, data, len, &used);
 *         data += used, len -= used;
 *         PARSE_HEAD: head is complete                  PARSE_BODY: p.piece is the next part of the body
 *         PARSE_DONE: the request is complete           PARSE_BAD, PARSE_TOO_LARGE: nothing more can be read here
 *     } while (event is HEAD or BODY, or DONE and len > 0);
 *
 * What llhttp (strict mode) lets pass and this refuses: folded header lines, lines that end in a bare LF, fields without a name,
 * heads beyond the given size, more than HEAD_FIELDS_MAX fields, chunk framing that is much larger than what it frames. Trailers
 * are bounded and dropped. An upgrade is never made: the request is an ordinary one. What a complete head must satisfy is in
 * rules.h.
 */
#ifndef IO_HTTP_PARSE_H
#define IO_HTTP_PARSE_H
#include "base/str.h"
#include <llhttp.h>
#include <stdbool.h>
#include <stdint.h>

#define HEAD_FIELDS_MAX 128

/* Places in head.bytes: offsets, because the bytes move while they grow. */
struct head_field {
    uint32_t name, name_len; /* lower case */
    uint32_t value, value_len;
};

/* The request line and the header fields. */
struct head {
    struct str bytes; /* the target, then each field's name and value */
    uint32_t target_len;
    unsigned field_count;
    const char *method; /* static memory */
    uint8_t major, minor;
    bool keep_alive; /* what version and Connection ask for */
    struct head_field fields[HEAD_FIELDS_MAX];
};

struct slice head_target(const struct head *h);
struct slice head_name(const struct head *h, unsigned i);
struct slice head_value(const struct head *h, unsigned i); /* without blanks around it */

enum parse_event { PARSE_MORE, PARSE_HEAD, PARSE_BODY, PARSE_DONE, PARSE_BAD, PARSE_TOO_LARGE };

struct parse {
    llhttp_t llhttp;
    struct head *head;      /* borrowed from parse_begin to PARSE_HEAD */
    struct slice piece;     /* of the body; points into the data just fed */
    const char *why;        /* after PARSE_BAD: what was wrong, in ASCII; static memory */
    size_t head_max;        /* bytes of a request line and headers */
    size_t head_used;       /* of the present head, before that: 0 */
    uint64_t body_bytes;    /* of the present request */
    uint64_t framing_bytes; /* chunk sizes, extensions, trailers of the present request */
    uint8_t event;          /* what the pausing callback was */
    bool in_head, in_name, after_lf, after_cr, too_many_fields;
};

void parse_init(struct parse *p, size_t head_bytes_max);

/* The next request's head goes into h, which is emptied first. */
void parse_begin(struct parse *p, struct head *h);

/* Reads on. *used <= len bytes were taken. After PARSE_BAD and PARSE_TOO_LARGE it must not be called again. */
enum parse_event parse_feed(struct parse *p, const char *data, size_t len, size_t *used);

#endif
