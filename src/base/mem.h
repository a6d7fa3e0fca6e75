/* mem.h - allocation that cannot fail: exhaustion aborts the process.
 *
 * Only for sizes that pawl chooses or has bounded already. Everything here is released with free().
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H
#include <stddef.h>

void *mem_alloc(size_t size);                                 /* not cleared */
void *mem_zalloc(size_t size);                                /* cleared */
void *mem_realloc(void *p, size_t size);
char *mem_strdup(const char *s);                              /* NULL gives NULL */
char *mem_dup(const char *p, size_t len);                     /* copies len bytes, adds a NUL */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
