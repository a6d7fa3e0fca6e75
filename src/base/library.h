/* library.h - shared libraries that are loaded when they are first needed, as a table of functions.
 *
 * Linked, libcurl, cnats and librdkafka would cost every daemon megabytes and milliseconds at its start for what few of them use.
 *
 *     static struct foo table;
 *     static const struct library_function functions[] = {{"foo_open", (void **)&table.open}, ...};
 *     void *library = library_open("libfoo.so.1", "install libfoo (Debian: libfoo1)", &why);
 *     if (library != NULL && library_find(library, "libfoo.so.1", functions, ARRAY_SIZE(functions), &why)) ...
 */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H
#include "pawl/err.h"
#include <stdbool.h>
#include <stddef.h>

struct library_function {
    const char *name;
    void **at; /* where its address goes */
};

/* Loads a library by its name; it stays until the process ends. NULL with *reterr, which says what to install. */
void *library_open(const char *name, const char *how_to_get_it, struct diag *reterr);

/* Fills in the addresses of all functions. False with *reterr when the library lacks one. */
bool library_find(void *library, const char *name, const struct library_function *functions, size_t n,
                  struct diag *reterr);

#endif
