#include "base/arena.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/mem.h"

/* Blocks double from the smallest to the largest, header included: an arena that is hardly used
 * costs one kibibyte, a busy one is not made of hundreds of pieces. What a reset keeps is bounded,
 * because arenas sit in idle connections too. */
#define BLOCK_BYTES_MIN 1024
#define BLOCK_BYTES_MAX 65536
#define BLOCK_BYTES_KEPT_MAX 16384
#define ALIGNMENT 16

struct arena_block {
    struct arena_block *next;
    size_t size; /* header included */
};

_Static_assert(sizeof(struct arena_block) % ALIGNMENT == 0, "room begins aligned");
_Static_assert(ALIGNMENT >= _Alignof(max_align_t), "good for any type");

/* Under ASan whatever was not handed out is poisoned, so that overruns and use after a reset are
 * found as with malloc. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONING 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define POISONING 1
#endif
#ifdef POISONING
#include <sanitizer/asan_interface.h>
#define poison(p, size) __asan_poison_memory_region((p), (size))
#define unpoison(p, size) __asan_unpoison_memory_region((p), (size))
#else
#define poison(p, size) ((void)(p), (void)(size))
#define unpoison(p, size) ((void)(p), (void)(size))
#endif

static char *block_room(struct arena_block *b)
{
    return (char *)(b + 1);
}

static void block_use(struct arena *a, struct arena_block *b)
{
    a->at = block_room(b);
    a->end = (char *)b + b->size;
    poison(a->at, (size_t)(a->end - a->at));
}

static struct arena_block *block_new(size_t size)
{
    struct arena_block *b = mem_alloc(size);

    *b = (struct arena_block){.size = size};
    return b;
}

/* Something big gets a block to itself, behind the newest one, whose room stays in use. */
static void *alloc_alone(struct arena *a, size_t size)
{
    struct arena_block *b = block_new(sizeof(*b) + size);

    if (a->blocks == NULL) {
        a->blocks = b;
        a->at = a->end = (char *)b + b->size;
    } else {
        b->next = a->blocks->next;
        a->blocks->next = b;
    }
    return block_room(b);
}

static size_t next_block_size(const struct arena *a)
{
    size_t size = a->blocks ? a->blocks->size * 2 : BLOCK_BYTES_MIN;

    return size > BLOCK_BYTES_MAX ? BLOCK_BYTES_MAX : size;
}

static void grow(struct arena *a, size_t size)
{
    size_t block_size = next_block_size(a);

    while (block_size - sizeof(struct arena_block) < size)
        block_size *= 2;
    struct arena_block *b = block_new(block_size);

    b->next = a->blocks;
    a->blocks = b;
    block_use(a, b);
}

void *arena_alloc(struct arena *a, size_t size)
{
    CHECK(size <= PTRDIFF_MAX - 2 * BLOCK_BYTES_MAX);
    size_t room = ((size ? size : 1) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);

    a->used += room;
    if (room > (size_t)(a->end - a->at)) {
        if (room > BLOCK_BYTES_MAX / 4)
            return alloc_alone(a, room);
        grow(a, room);
    }
    void *p = a->at;

    unpoison(p, size);
    a->at += room;
    return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    return memset(arena_alloc(a, size), 0, size);
}

char *arena_strdup(struct arena *a, struct slice s)
{
    char *p = arena_alloc(a, s.len + 1);

    if (s.len > 0)
        memcpy(p, s.p, s.len);
    p[s.len] = '\0';
    return p;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    if (s.p == NULL)
        return SLICE_NONE;
    return (struct slice){arena_strdup(a, s), s.len};
}

void arena_reset(struct arena *a)
{
    struct arena_block *kept = NULL;

    for (struct arena_block *b = a->blocks, *next; b != NULL; b = next) {
        next = b->next;
        if (b->size <= BLOCK_BYTES_KEPT_MAX && (kept == NULL || b->size > kept->size)) {
            free(kept);
            kept = b;
        } else {
            free(b);
        }
    }
    *a = (struct arena){.blocks = kept};
    if (kept != NULL) {
        kept->next = NULL;
        block_use(a, kept);
    }
}

void arena_release(struct arena *a)
{
    for (struct arena_block *b = a->blocks, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    *a = (struct arena){0};
}
