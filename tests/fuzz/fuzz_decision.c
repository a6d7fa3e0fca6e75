/* Bytes from a database that somebody may have damaged: what decodes encodes to the same bytes again. */
#include <string.h>
#include "base/check.h"
#include "core/decision.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice at = {(const char *)data, size};
    struct arena arena = {0};
    struct decision d;

    for (const char *from = at.p; decision_decode(&at, &arena, &d); from = at.p) {
        struct slice again = decision_encode(&arena, &d, 1);

        CHECK(at.p > from && again.len == (size_t)(at.p - from));
        CHECK(memcmp(again.p, from, again.len) == 0);
    }
    CHECK(at.len <= size);
    arena_release(&arena);
    return 0;
}
