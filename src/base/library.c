#include "base/library.h"
#include <dlfcn.h>

void *library_open(const char *name, const char *how_to_get_it, struct diag *reterr)
{
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        diag_set(reterr, DIAG_UNAVAILABLE, "%s cannot be loaded: %s: %s", name, how_to_get_it,
                 dlerror());
    return library;
}

bool library_find(void *library, const char *name, const struct library_function *functions,
                  size_t n, struct diag *reterr)
{
    for (size_t i = 0; i < n; i++) {
        *functions[i].at = dlsym(library, functions[i].name);
        if (*functions[i].at == NULL) {
            diag_set(reterr, DIAG_UNAVAILABLE, "%s has no %s: it is too old", name,
                     functions[i].name);
            return false;
        }
    }
    return true;
}
