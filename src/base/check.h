/* check.h - assertions that stay on in every build, and the few macros everybody uses. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H
#include <stddef.h>

/* Prints file, line and text to stderr and aborts. */
_Noreturn void check_failed(const char *file, int line, const char *text);

/* States what must be true; a false one is a bug in pawl, never bad input. */
#define CHECK(x) ((x) ? (void)0 : check_failed(__FILE__, __LINE__, #x))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The struct `type` whose member `member` is at `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
