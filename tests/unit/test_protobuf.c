#include "base/protobuf.h"
#include "base/check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define ROW(message, number, expected)                                                             \
    {                                                                                              \
        {(message), sizeof(message) - 1}, number, expected                                         \
    }
static const struct {
    struct slice message;
    uint64_t number;
    const char *expected; /* NULL: not found */
} rows[] = {
    ROW("", 1, NULL),
    ROW("\x0a\x02hi", 1, "hi"),
    ROW("\x0a\x02hi", 2, NULL),
    ROW("\x0a\x00", 1, ""),
    ROW("\x0a\x02hi\x12\x01x", 2, "x"),
    ROW("\x0a\x02hi\x0a\x01x", 1, "hi"),          /* the first one counts */
    ROW("\x08\x96\x01\x12\x01x", 2, "x"),         /* behind a number */
    ROW("\x09\1\2\3\4\5\6\7\7\x12\x01x", 2, "x"), /* behind 64 bits */
    ROW("\x0d\1\2\3\4\x12\x01x", 2, "x"),         /* and 32 */
    ROW("\x08\x07", 1, NULL),                     /* it holds no bytes */
    ROW("\xca\x01\x01y", 25, "y"),
    ROW("\x0a\x05hi", 1, NULL), /* cut off */
    ROW("\x0a", 1, NULL),
    ROW("\x12\x05hi\x0a\x01x", 1, NULL),
    ROW("\x0b\x01\x0a\x01x", 1, NULL), /* groups: not since long ago */
    ROW("\x09\1\2", 1, NULL),
    ROW("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 1, NULL),
    ROW("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 1, NULL),
};

static void fields(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct slice got;
        const bool found = protobuf_field(rows[i].message, rows[i].number, &got);
        if (found != (rows[i].expected != NULL) || (found && !slice_is(got, rows[i].expected)))
            fail_msg("row %zu", i);
    }
}

static void messages_in_messages(void **state)
{
    static const char namespace[] =
        "\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x08\x0a\x06\x0a\x02ns\x12\x00";
    struct slice at = {namespace, sizeof(namespace) - 1};
    assert_true(protobuf_field(at, 2, &at));
    assert_true(protobuf_field(at, 1, &at));
    assert_true(protobuf_field(at, 1, &at));
    assert_true(slice_is(at, "ns"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),
        cmocka_unit_test(messages_in_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
