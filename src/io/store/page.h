/* page.h - what the list queries share: cursors, totals, one snapshot. For io/store only.
 *
 * A cursor is a letter that tells the list and the row key of a page's last row, in hexadecimal.
 */
#ifndef IO_STORE_PAGE_H
#define IO_STORE_PAGE_H
#include "io/store/query.h"
#include "io/store/stmt.h"

/* Repeated requests are remembered for a day. */
#define DEDUPE_MS ((int64_t)24 * 3600 * 1000)

enum cursor_kind {
    CURSOR_PIPELINES = 'p',
    CURSOR_TRIGGERS = 't',
    CURSOR_RUNS = 'r',
    CURSOR_EVENTS = 'e',
    CURSOR_ZONES = 'z',
    CURSOR_FILES = 'f',
    CURSOR_VERSIONS = 'v',
    CURSOR_TOPICS = 'o',
};

/* Reads a page's cursor. Without one *ret is `start`. 0, or -EINVAL when it is not of that kind. */
int page_start(const struct page *p, enum cursor_kind kind, int64_t start, int64_t *ret);

/* How many rows to skip: none with a cursor. */
int64_t page_offset(const struct page *p);

/* Appends `],"total":N,"next_cursor":"..."}`: a cursor when more rows follow the one with key `last`. */
void page_end(struct str *s, uint64_t total, bool more, enum cursor_kind kind, int64_t last);

/* The same without a total, where counting costs too much. */
void page_next(struct str *s, bool more, enum cursor_kind kind, int64_t last);

/* Everything between is read from one snapshot. read_end takes the error so far and returns it. */
int read_begin(struct db *db);
int read_end(struct db *db, int err);

/* Appends a comma unless s ends with an opening bracket. */
void add_comma(struct str *s);

/* Appends `,"payload":...,"payload_encoding":...`: a text, base64 where it is none, or null. */
void add_payload(struct str *s, struct slice payload);

/* Runs a query for one number. */
int count_rows(struct stmt *q, uint64_t *ret);

/* Where the chain that an event belongs to began, and how far from there it is; nil and 0 when the event is gone. */
int query_origin(struct db *db, struct uuid event, struct uuid *ret_root, uint32_t *ret_depth);

/* Appends the ids of the runs that were made again for an event (query_replays.c). */
int replays_add(struct db *db, int64_t event_key, struct str *ret);

/* `,"paused":...` from two columns, when and why; the first is NULL when it is not. With `paused_at` and `pause_reason` if it is. */
void add_pause(struct stmt *q, int i, struct str *ret);

#endif
