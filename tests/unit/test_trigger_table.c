#include "base/mem.h"
#include "core/catalog.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define COUNT 5000

struct table {
    struct trigger_table table;
    struct trigger *triggers;
};

static int setup(void **state)
{
    struct table *t = mem_zalloc(sizeof(*t));
    struct uuid_gen ids = {0};
    struct prng prng;
    prng_init(&prng, 3);
    t->triggers = mem_zalloc(COUNT * sizeof(*t->triggers));
    for (size_t i = 0; i < COUNT; i++)
        t->triggers[i].id = uuid_next(&ids, (struct wall){1}, &prng);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct table *t = *state;
    trigger_table_release(&t->table);
    free(t->triggers);
    free(t);
    return 0;
}

static void empty(void **state)
{
    struct table *t = *state;
    assert_null(trigger_table_find(&t->table, t->triggers[0].id));
    assert_null(trigger_table_next(&t->table, NULL));
}

static size_t walk(const struct trigger_table *tt)
{
    size_t n = 0;
    for (const struct trigger *t = NULL; (t = trigger_table_next(tt, t)) != NULL;)
        n++;
    return n;
}

/* At every size all are found, and nothing that is not there; the lists stay short. */
static void grows_one_by_one(void **state)
{
    struct table *t = *state;
    for (size_t i = 0; i < COUNT; i++) {
        trigger_table_add(&t->table, &t->triggers[i]);
        assert_int_equal(t->table.count, i + 1);
        assert_int_equal(t->table.bucket_count, i + 1);
        if (i + 1 < COUNT)
            assert_null(trigger_table_find(&t->table, t->triggers[i + 1].id));
        for (size_t k = i % 7; k <= i && i < 300; k++)
            assert_ptr_equal(trigger_table_find(&t->table, t->triggers[k].id), &t->triggers[k]);
    }
    for (size_t i = 0; i < COUNT; i++)
        assert_ptr_equal(trigger_table_find(&t->table, t->triggers[i].id), &t->triggers[i]);
    assert_int_equal(walk(&t->table), COUNT);
}

static void room_is_made_at_once(void **state)
{
    struct table *t = *state;
    const size_t reserved = COUNT / 3;
    trigger_table_reserve(&t->table, 0);
    trigger_table_reserve(&t->table, reserved);
    assert_null(trigger_table_find(&t->table, t->triggers[0].id));
    assert_null(trigger_table_next(&t->table, NULL));
    for (size_t i = 0; i < COUNT; i++) {
        trigger_table_add(&t->table, &t->triggers[i]);
        assert_int_equal(t->table.bucket_count, i + 1 > reserved ? i + 1 : reserved);
    }
    for (size_t i = 0; i < COUNT; i++)
        assert_ptr_equal(trigger_table_find(&t->table, t->triggers[i].id), &t->triggers[i]);
    assert_int_equal(walk(&t->table), COUNT);
}

static void shrinks_in_any_order(void **state)
{
    struct table *t = *state;
    for (size_t i = 0; i < COUNT; i++)
        trigger_table_add(&t->table, &t->triggers[i]);
    for (size_t i = 0; i < COUNT; i += 2)
        trigger_table_remove(&t->table, &t->triggers[i]);
    assert_int_equal(walk(&t->table), COUNT / 2);
    for (size_t i = 0; i < COUNT; i++) {
        struct trigger *found = trigger_table_find(&t->table, t->triggers[i].id);
        assert_ptr_equal(found, i % 2 == 1 ? &t->triggers[i] : NULL);
    }
    for (size_t i = COUNT - 1; i < COUNT; i -= 2)
        trigger_table_remove(&t->table, &t->triggers[i]);
    assert_int_equal(t->table.count, 0);
    assert_null(trigger_table_next(&t->table, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(empty, setup, teardown),
        cmocka_unit_test_setup_teardown(grows_one_by_one, setup, teardown),
        cmocka_unit_test_setup_teardown(room_is_made_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(shrinks_in_any_order, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
