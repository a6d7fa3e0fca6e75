/* arena.h - many small allocations that die together.
 *
 * {0} is a valid empty arena. Memory is aligned for any type and stays put until the arena is reset or released.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H
#include "base/str.h"
#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *blocks; /* newest first */
    char *at, *end;             /* free room in the newest block */
    size_t used;                /* bytes handed out since the last reset */
};

void *arena_alloc(struct arena *a, size_t size);  /* not cleared */
void *arena_zalloc(struct arena *a, size_t size); /* cleared */
struct slice arena_copy(struct arena *a, struct slice s); /* adds a NUL that is not counted; SLICE_NONE stays SLICE_NONE */
char *arena_strdup(struct arena *a, struct slice s);      /* the same as a C string */
void arena_reset(struct arena *a);   /* forgets everything, keeps one block of ordinary size for the next use */
void arena_release(struct arena *a); /* frees everything; a is {0} again */

#endif
