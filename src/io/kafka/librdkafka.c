#include "io/kafka/librdkafka.h"
#include "base/check.h"
#include "base/library.h"
#include <pthread.h>

/* The name that the library is loaded by: its interface has been version 1 since 2012. */
#define LIBRDKAFKA_NAME "librdkafka.so.1"

static struct librdkafka table;
static struct diag trouble; /* msg is empty when there was none */

static const struct library_function functions[] = {
#define ROW(name) {"rd_kafka_" #name, (void **)&table.name},
    LIBRDKAFKA_FUNCTIONS(ROW)
#undef ROW
};

static void load(void)
{
    void *library =
        library_open(LIBRDKAFKA_NAME, "install librdkafka (Debian: librdkafka1)", &trouble);
    if (library != NULL)
        library_find(library, LIBRDKAFKA_NAME, functions, ARRAY_SIZE(functions), &trouble);
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
