#include "io/http/piece.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/mem.h"
#include "io/http/http.h"

#define RING_COUNT_MIN 8
#define CHUNK_HEAD_BYTES_MAX 20 /* a size in hexadecimal and a line end */
#define CHUNK_TAIL_BYTES 2

struct http_piece {
    size_t refs;
    size_t len;                  /* of all: head, bytes, tail */
    unsigned head_len, tail_len; /* the framing */
    char bytes[];
};

static struct http_piece *make(const char *head, size_t head_len, struct slice bytes)
{
    const size_t len = head_len + bytes.len + CHUNK_TAIL_BYTES;
    struct http_piece *p = mem_alloc(sizeof(*p) + len);

    *p = (struct http_piece){
        .refs = 1, .len = len, .head_len = (unsigned)head_len, .tail_len = CHUNK_TAIL_BYTES};
    memcpy(p->bytes, head, head_len);
    memcpy(p->bytes + head_len, bytes.p, bytes.len);
    memcpy(p->bytes + head_len + bytes.len, "\r\n", CHUNK_TAIL_BYTES);
    return p;
}

struct http_piece *http_piece_make(struct slice bytes)
{
    char head[CHUNK_HEAD_BYTES_MAX + 1];

    CHECK(bytes.len > 0); /* a chunk without bytes would be the last one */
    return make(head, (size_t)snprintf(head, sizeof(head), "%zx\r\n", bytes.len), bytes);
}

struct http_piece *piece_make_last(void)
{
    return make("0\r\n", 3, SLICE(""));
}

struct http_piece *http_piece_keep(struct http_piece *p)
{
    p->refs++;
    return p;
}

void http_piece_release(struct http_piece *p)
{
    CHECK(p->refs > 0);
    if (--p->refs == 0)
        free(p);
}

static uv_buf_t view(struct http_piece *p, bool chunked)
{
    if (chunked)
        return uv_buf_init(p->bytes, (unsigned)p->len);
    return uv_buf_init(p->bytes + p->head_len, (unsigned)(p->len - p->head_len - p->tail_len));
}

struct slice http_piece_bytes(const struct http_piece *p)
{
    return (struct slice){p->bytes + p->head_len, p->len - p->head_len - p->tail_len};
}

/* ---- the queue ---- */

static struct http_piece *at(const struct piece_queue *q, unsigned i)
{
    return q->ring[(q->first + i) & (q->cap - 1)];
}

static void grow(struct piece_queue *q)
{
    const unsigned cap = q->cap ? q->cap * 2 : RING_COUNT_MIN;
    struct http_piece **ring = mem_alloc(cap * sizeof(struct http_piece *));

    for (unsigned i = 0; i < q->count; i++)
        ring[i] = at(q, i);
    free(q->ring);
    q->ring = ring;
    q->cap = cap;
    q->first = 0;
}

size_t piece_queue_add(struct piece_queue *q, bool chunked, struct http_piece *p)
{
    if (q->count == q->cap)
        grow(q);
    q->ring[(q->first + q->count++) & (q->cap - 1)] = p;
    q->cost += p->len + PIECE_COST_BYTES;
    return view(p, chunked).len;
}

static void drop_first(struct piece_queue *q)
{
    struct http_piece *p = at(q, 0);

    q->first = (q->first + 1) & (q->cap - 1);
    q->count--;
    q->sent = 0;
    q->cost -= p->len + PIECE_COST_BYTES;
    http_piece_release(p);
}

unsigned piece_queue_collect(const struct piece_queue *q, bool chunked, uv_buf_t *bufs,
                             unsigned max)
{
    const unsigned n = q->count < max ? q->count : max;

    for (unsigned i = 0; i < n; i++)
        bufs[i] = view(at(q, i), chunked);
    if (n > 0) {
        bufs[0].base += q->sent;
        bufs[0].len -= q->sent;
    }
    return n;
}

size_t piece_queue_sent(struct piece_queue *q, bool chunked, size_t bytes)
{
    size_t left = bytes;

    while (q->count > 0) {
        const size_t part = view(at(q, 0), chunked).len - q->sent;

        if (left < part) {
            q->sent += left;
            return bytes;
        }
        left -= part;
        drop_first(q);
    }
    return bytes - left;
}

size_t piece_queue_bytes(const struct piece_queue *q, bool chunked)
{
    size_t ret = 0;

    for (unsigned i = 0; i < q->count; i++)
        ret += view(at(q, i), chunked).len;
    return ret - q->sent;
}

void piece_queue_release(struct piece_queue *q)
{
    while (q->count > 0)
        drop_first(q);
    free(q->ring);
    *q = (struct piece_queue){0};
}
