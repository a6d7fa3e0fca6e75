/* vec.h - a growing array of any type.
 *
 *     struct { struct uuid *items; size_t len, cap; } ids = {0};     or: VEC(struct uuid) ids = {0};
 *     vec_push(&ids, id);
 *     for (size_t i = 0; i < ids.len; i++) use(ids.items[i]);
 *     vec_release(&ids);
 */
#ifndef BASE_VEC_H
#define BASE_VEC_H
#include "base/mem.h"
#include <stdlib.h>

#define VEC(type)                                                                                                              \
    struct {                                                                                                                   \
        type *items;                                                                                                           \
        size_t len, cap;                                                                                                       \
    }

#define vec_push(v, item)                                                                                                      \
    do {                                                                                                                       \
        if ((v)->len == (v)->cap) {                                                                                            \
            (v)->cap = (v)->cap ? (v)->cap * 2 : 8;                                                                            \
            (v)->items = mem_realloc((v)->items, (v)->cap * sizeof(*(v)->items));                                              \
        }                                                                                                                      \
        (v)->items[(v)->len++] = (item);                                                                                       \
    } while (0)

#define vec_release(v) (free((v)->items), (v)->items = NULL, (v)->len = (v)->cap = 0)

#endif
