#include "base/mem.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"

static _Noreturn void exhausted(size_t size)
{
    fprintf(stderr, "pawl: out of memory (%zu bytes wanted)\n", size);
    abort();
}

void *mem_alloc(size_t size)
{
    void *p = malloc(size ? size : 1);

    if (p == NULL)
        exhausted(size);
    return p;
}

void *mem_zalloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);

    if (p == NULL)
        exhausted(size);
    return p;
}

void *mem_realloc(void *p, size_t size)
{
    void *q = realloc(p, size ? size : 1);

    if (q == NULL)
        exhausted(size);
    return q;
}

char *mem_strdup(const char *s)
{
    return s ? mem_dup(s, strlen(s)) : NULL;
}

char *mem_dup(const char *p, size_t len)
{
    CHECK(len < SIZE_MAX);
    char *q = mem_alloc(len + 1);

    if (len > 0)
        memcpy(q, p, len);
    q[len] = '\0';
    return q;
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;
    char *ret;

    va_start(ap, fmt);
    int n = vasprintf(&ret, fmt, ap);
    va_end(ap);
    if (n < 0)
        exhausted(0);
    return ret;
}
