/* Lines of JSON from anybody: each one found is a value within the text, in order, and the same with every reader. */
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/json_compact.h"
#include "base/ndjson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = {(const char *)data, size};
    struct ndjson n = ndjson_of(text);
    struct slice line;
    const char *at = text.p;
    uint64_t number = 0;
    int found;

    while ((found = ndjson_next(&n, &line)) > 0) {
        struct str copy = {0};
        CHECK(line.len > 0 && line.p >= at && line.p + line.len <= text.p + text.len);
        CHECK(memchr(line.p, '\n', line.len) == NULL);
        CHECK(n.line > number);
        CHECK(json_compact(line, &copy) && copy.len > 0);
        str_release(&copy);
        at = line.p + line.len;
        number = n.line;
    }
    CHECK(found == 0 ? n.at == n.end : n.line > number);
    return 0;
}
