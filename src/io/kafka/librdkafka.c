#include "io/kafka/librdkafka.h"
#include "base/check.h"
#include <dlfcn.h>
#include <pthread.h>

/* The name that the library is loaded by: its interface has been version 1 since 2012. */
#define LIBRDKAFKA_NAME "librdkafka.so.1"

static struct librdkafka table;
static struct diag trouble; /* msg is empty when there was none */

static void find_functions(void *library)
{
    const struct {
        const char *name;
        void **at;
    } functions[] = {
#define ROW(name) {"rd_kafka_" #name, (void **)&table.name},
        LIBRDKAFKA_FUNCTIONS(ROW)
#undef ROW
    };
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        *functions[i].at = dlsym(library, functions[i].name);
        if (*functions[i].at == NULL) {
            diag_set(&trouble, DIAG_UNAVAILABLE, LIBRDKAFKA_NAME " has no %s: it is too old",
                     functions[i].name);
            return;
        }
    }
}

static void load(void)
{
    void *library = dlopen(LIBRDKAFKA_NAME, RTLD_NOW | RTLD_LOCAL);
    if (library != NULL)
        find_functions(library);
    else
        diag_set(&trouble, DIAG_UNAVAILABLE,
                 LIBRDKAFKA_NAME " cannot be loaded: install librdkafka (Debian: librdkafka1): %s",
                 dlerror());
}

const struct librdkafka *librdkafka_load(struct diag *reterr)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, load) == 0);
    if (trouble.msg[0] == '\0')
        return &table;
    if (reterr != NULL)
        *reterr = trouble;
    return NULL;
}
