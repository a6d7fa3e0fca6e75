/* Which backend a topic's name belongs to, in a pawl that was built without the brokers. */
#undef PAWL_KAFKA
#undef PAWL_NATS
#include "source/topic_backend.c"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

static int check(struct slice topic, struct diag *reterr)
{
    return slice_is(topic, "bad") ? diag_set(reterr, DIAG_INVALID_ARGUMENT, "bad it is") : 0;
}

const struct topic_backend topic_embedded = {.name = "embedded", .prefix = "", .check = check};

static void names_without_a_prefix_are_embedded(void **state)
{
    struct diag why;
    assert_ptr_equal(topic_backend_of(SLICE("orders"), &why), &topic_embedded);
    assert_null(topic_backend_of(SLICE("bad"), &why));
    assert_string_equal(why.msg, "bad it is");
}

static void what_is_not_built_in_says_how_to_get_it(void **state)
{
    static const struct {
        const char *name, *package, *option;
    } cases[] = {
        {"kafka:orders", "librdkafka-dev", "-Dkafka=enabled"},
        {"kafka:", "librdkafka-dev", "-Dkafka=enabled"},
        {"nats:orders", "libnats-dev", "-Dnats=enabled"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct diag why = {0};
        assert_null(topic_backend_of(slice_of(cases[i].name), &why));
        assert_int_equal(why.code, DIAG_INVALID_ARGUMENT);
        assert_non_null(strstr(why.msg, cases[i].package));
        assert_non_null(strstr(why.msg, cases[i].option));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_without_a_prefix_are_embedded),
        cmocka_unit_test(what_is_not_built_in_says_how_to_get_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
