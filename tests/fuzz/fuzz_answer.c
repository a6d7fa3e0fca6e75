/* What a worker process writes: an answer is one whatever blanks stand in it, its texts are as large as the line at most, and nothing of
 * it is left in the next one. */
#include "base/check.h"
#include "base/json_compact.h"
#include "executor/answer.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct slice text, size_t line_len)
{
    CHECK(text.p != NULL || text.len == 0);
    CHECK(text.len <= line_len);
}

static void check_same(struct slice a, struct slice b)
{
    CHECK((a.p == NULL) == (b.p == NULL));
    CHECK(a.p == NULL || slice_eq(a, b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice line = {(const char *)data, size};
    struct answer a = {0}, again = {0};
    struct str compact = {0};
    struct diag why = {0};
    const int err = answer_is(line) ? answer_read(&a, line, &why) : -1;
    if (err == 0) {
        CHECK(json_compact(line, &compact));
        CHECK(answer_read(&again, str_slice(&compact), &why) == 0);
        CHECK(uuid_cmp(a.id, again.id) == 0 && a.success == again.success &&
              a.conclusive == again.conclusive && !(a.success && a.conclusive));
        check_same(a.output, again.output);
        check_same(a.error, again.error);
        check_text(a.output, size);
        check_text(a.error, size);
        CHECK(answer_read(&again, SLICE("{"), &why) < 0);
        CHECK(again.output.p == NULL && again.error.p == NULL);
    } else if (answer_is(line)) {
        CHECK(why.msg[0] != '\0');
    }
    answer_release(&a);
    answer_release(&again);
    str_release(&compact);
    return 0;
}
