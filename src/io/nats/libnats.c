#include "io/nats/libnats.h"
#include "base/check.h"
#include "base/library.h"
#include <pthread.h>

/* cnats puts its minor version into the name: this is what pawl was built with. */
#define LIBNATS_NAME "libnats.so." LIBNATS_VERSION
#define PLAIN_NAME "libnats.so"

static struct libnats table;
static struct diag trouble; /* msg is empty when there was none */

static const struct library_function functions[] = {
#define ROW(name) {#name, (void **)&table.name},
    LIBNATS_FUNCTIONS(ROW)
#undef ROW
};

static void load(void)
{
    static const char how[] =
        "install cnats " LIBNATS_VERSION " (Debian: libnats" LIBNATS_VERSION ")";
    struct diag why;
    void *library = library_open(LIBNATS_NAME, how, &why);
    if (library == NULL)
        library = library_open(PLAIN_NAME, how, &trouble);
    if (library == NULL ||
        !library_find(library, "libnats", functions, ARRAY_SIZE(functions), &trouble))
        return;
    if (table.nats_Open(-1) != NATS_OK)
        diag_set(&trouble, DIAG_UNAVAILABLE, "libnats cannot be initialised");
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
