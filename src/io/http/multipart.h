/* multipart.h - multipart/form-data (RFC 7578, RFC 2046) as it comes, one event at a time.
 *
 * No I/O, no allocation: bytes in, events out, in any split. Parts are passed through, never kept; only the headers of one part
 * are in memory.
 *
 *     if (!multipart_init(&m, http_header(req, "content-type"))) ...      not multipart/form-data, or no good boundary
 *     do {
 *         event = multipart_feed(&m, data, len, &used);
 *         data += used, len -= used;
 *         MULTIPART_PART: m.name, m.filename (also from filename*=, RFC 8187) and m.content_type are set      MULTIPART_DATA: m.piece is the next bytes of the part
 *         MULTIPART_PART_END                                                  MULTIPART_END: what follows is ignored
 *     } while (event != MULTIPART_MORE && event != MULTIPART_BAD);
 */
#ifndef IO_HTTP_MULTIPART_H
#define IO_HTTP_MULTIPART_H
#include "base/str.h"
#include <stdbool.h>

#define MULTIPART_BOUNDARY_MAX 70 /* RFC 2046, section 5.1.1 */
#define MULTIPART_HEADER_BYTES_MAX 8192
#define MULTIPART_PARTS_MAX 64

enum multipart_event {
    MULTIPART_MORE,
    MULTIPART_PART,
    MULTIPART_DATA,
    MULTIPART_PART_END,
    MULTIPART_END,
    MULTIPART_BAD, /* nothing more can be read; m.why says why, static memory */
};

struct multipart {
    struct slice name, filename,
        content_type;   /* of the part; absent when not given; until the next part */
    struct slice piece; /* of its bytes; until the next call */
    const char *why;

    enum { MULTIPART_TEXT, MULTIPART_AFTER_DELIMITER, MULTIPART_HEADERS, MULTIPART_OVER } state;
    bool in_part; /* else the text is the preamble, which nobody reads */
    unsigned parts;
    unsigned delimiter_len, matched;
    unsigned
        borrowed;    /* the first so many of the matched bytes belong to what was before the text */
    size_t line_len; /* of what follows a delimiter */
    size_t header_len;
    char delimiter[4 + MULTIPART_BOUNDARY_MAX]; /* CR LF - - boundary */
    char line[2];
    char header[MULTIPART_HEADER_BYTES_MAX];
};

/* Takes the boundary from a Content-Type. */
bool multipart_init(struct multipart *m, struct slice content_type);

/* Reads on; *used <= len bytes were taken. */
enum multipart_event multipart_feed(struct multipart *m, const char *data, size_t len,
                                    size_t *used);

#endif
