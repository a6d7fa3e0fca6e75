/* Marks of what came from manifests: they go with their object, and with the batch that failed. */
#include "engine_fixture.h"
#include "core/applied.h"

#define KEY "Pipeline/ns/events.a"

static const struct applied *mark(struct world *w)
{
    return catalog_applied(engine_catalog(w->engine), SLICE(KEY));
}

static struct pipeline *add(struct world *w)
{
    struct pipeline *p =
        engine_add_pipeline(w->engine, w->now, SLICE("ns.events.a"), command_pipeline(), NULL);
    engine_mark_applied(w->engine, SLICE(KEY), SLICE("apply"), p->id);
    return p;
}

static void fail_commit(struct world *w)
{
    w->disk_err = -ENOSPC;
    commit(w);
    w->disk_err = 0;
}

static void test_found_by_key_and_by_object(void **state)
{
    struct world *w = *state;
    const struct pipeline *p = add(w);
    commit(w);
    assert_string_equal(mark(w)->owner, "apply");
    assert_ptr_equal(catalog_applied_object(engine_catalog(w->engine), p->id), mark(w));
    assert_null(catalog_applied(engine_catalog(w->engine), SLICE("Pipeline/ns/events.b")));
}

static void test_the_same_mark_writes_nothing(void **state)
{
    struct world *w = *state;
    const struct pipeline *p = add(w);
    commit(w);
    engine_mark_applied(w->engine, SLICE(KEY), SLICE("apply"), p->id);
    assert_true(engine_is_idle(w->engine));
    engine_mark_applied(w->engine, SLICE(KEY), SLICE("file:a.yaml"), p->id);
    assert_false(engine_is_idle(w->engine));
    commit(w);
    assert_string_equal(mark(w)->owner, "file:a.yaml");
}

static void test_undone_with_its_batch(void **state)
{
    struct world *w = *state;
    add(w);
    fail_commit(w);
    assert_null(mark(w));
    struct pipeline *p = add(w);
    commit(w);
    engine_mark_applied(w->engine, SLICE(KEY), SLICE("file:a.yaml"), p->id);
    fail_commit(w);
    assert_string_equal(mark(w)->owner, "apply");
    engine_drop_pipeline(w->engine, w->now, p, NULL);
    assert_null(mark(w));
    fail_commit(w);
    assert_string_equal(mark(w)->owner, "apply");
    assert_true(uuid_cmp(mark(w)->object, p->id) == 0);
}

/* Whoever drops it, and in whatever order within one batch. */
static void test_goes_with_its_object(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add(w);
    struct rule r = {0};
    struct trigger *t = add_trigger(w, p, &r, 0);
    engine_mark_applied(w->engine, SLICE("Trigger/ns/t"), SLICE("apply"), t->id);
    commit(w);
    engine_drop_pipeline(w->engine, w->now, p, NULL);
    const struct pipeline *again = add(w);
    commit(w);
    assert_null(catalog_applied(engine_catalog(w->engine), SLICE("Trigger/ns/t")));
    assert_true(uuid_cmp(mark(w)->object, again->id) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found_by_key_and_by_object, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(test_the_same_mark_writes_nothing, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(test_undone_with_its_batch, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_goes_with_its_object, world_setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
