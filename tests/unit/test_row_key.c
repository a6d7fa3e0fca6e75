#include "store_fixture.h"
#include "io/store/row_key.h"

static void ids_survive_and_keep_their_order(void **state)
{
    struct prng p;
    struct uuid_gen g = {0};
    struct row_key last = {-1, 0};
    prng_init(&p, 3);
    for (int i = 0; i < 20000; i++) {
        const struct wall now = {T0.ms + i / 100};
        const struct uuid id = uuid_next(&g, now, &p);
        struct row_key k;
        assert_true(row_key_of(id, &k));
        assert_true(k.key > last.key);
        assert_true(k.key >= row_key_at(now) && k.key < row_key_at((struct wall){now.ms + 1}));
        assert_int_equal(row_key_time(k.key).ms, uuid_time(id).ms);
        assert_int_equal(uuid_cmp(row_key_uuid(k), id), 0);
        last = k;
    }
}

static void other_ids_have_no_row(void **state)
{
    static const char *const texts[] = {
        "00000000-0000-0000-0000-000000000000", /* nil */
        "f47ac10b-58cc-4372-a567-0e02b2c3d479", /* version 4 */
        "019bd3c8-7e00-7000-0000-000000000000", /* not RFC 9562's variant */
        "019bd3c8-7e00-7000-c000-000000000000",
        "059bd3c8-7e00-7000-8000-000000000000", /* beyond 2109 */
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct uuid id;
        struct row_key k;
        assert_true(uuid_parse(slice_of(texts[i]), &id));
        assert_false(row_key_of(id, &k));
    }
}

static void times_are_clamped(void **state)
{
    assert_int_equal(row_key_at((struct wall){-1}), 0);
    assert_int_equal(row_key_at(WALL_UNSET), 0);
    assert_int_equal(row_key_at((struct wall){1}), 1 << 21);
    assert_int_equal(row_key_at((struct wall){INT64_MAX}), INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_survive_and_keep_their_order),
        cmocka_unit_test(other_ids_have_no_row),
        cmocka_unit_test(times_are_clamped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
