#include "io/nats/libnats.h"
#include "base/check.h"
#include <dlfcn.h>
#include <pthread.h>

/* cnats puts its minor version into the name: this is what pawl was built with. */
#define LIBNATS_NAME "libnats.so." LIBNATS_VERSION
#define PLAIN_NAME "libnats.so"

static struct libnats table;
static struct diag trouble; /* msg is empty when there was none */

static bool find_functions(void *library)
{
    const struct {
        const char *name;
        void **at;
    } functions[] = {
#define ROW(name) {#name, (void **)&table.name},
        LIBNATS_FUNCTIONS(ROW)
#undef ROW
    };
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        *functions[i].at = dlsym(library, functions[i].name);
        if (*functions[i].at == NULL) {
            diag_set(&trouble, DIAG_INTERNAL, "libnats has no %s: it is too old",
                     functions[i].name);
            return false;
        }
    }
    return true;
}

static void load(void)
{
    void *library = dlopen(LIBNATS_NAME, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        library = dlopen(PLAIN_NAME, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        diag_set(&trouble, DIAG_INTERNAL,
                 "libnats cannot be loaded: install cnats " LIBNATS_VERSION
                 " (Debian: libnats" LIBNATS_VERSION "): %s",
                 dlerror());
    else if (find_functions(library) && table.nats_Open(-1) != NATS_OK)
        diag_set(&trouble, DIAG_INTERNAL, "libnats cannot be initialised");
}

const struct libnats *libnats_load(struct diag *reterr)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, load) == 0);
    if (trouble.msg[0] == '\0')
        return &table;
    *reterr = trouble;
    return NULL;
}
