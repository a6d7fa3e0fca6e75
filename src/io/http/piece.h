/* piece.h - pieces of streamed answers, and what one answer has queued of them.
 *
 * A piece is kept as a chunk, with its size in front and a line end behind, so that it goes out in one part whether it is sent as
 * a chunk or bare. Its bytes never change: who holds a reference may let the kernel read them.
 */
#ifndef IO_HTTP_PIECE_H
#define IO_HTTP_PIECE_H
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define PIECE_COST_BYTES 64 /* what keeping a piece in a queue counts, beside its bytes */

struct http_piece;

/* The last chunk; nothing when it is sent bare. One reference. */
struct http_piece *piece_make_last(void);

/* A ring of references. {0} is an empty one. */
struct piece_queue {
    struct http_piece **ring;
    unsigned cap, first, count; /* cap is a power of two */
    size_t sent;                /* bytes of the first that are out */
    size_t cost;                /* of all: bytes and PIECE_COST_BYTES each */
};

/* Takes the reference. Returns how many bytes more are to go out. */
size_t piece_queue_add(struct piece_queue *q, bool chunked, struct http_piece *p);

/* The first so many parts to go out. Returns how many. They stay valid until they are noted as sent. */
unsigned piece_queue_collect(const struct piece_queue *q, bool chunked, uv_buf_t *bufs, unsigned max);

/* Takes note of bytes that are out, at most those of the queue; lets go of pieces that are. Returns how many those were. */
size_t piece_queue_sent(struct piece_queue *q, bool chunked, size_t bytes);

size_t piece_queue_bytes(const struct piece_queue *q, bool chunked); /* still to go out */
void piece_queue_release(struct piece_queue *q);                    /* {0} again */

#endif
