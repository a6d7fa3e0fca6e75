/* Namespaces: those that somebody has made, in memory and on disk, and those that are there with what is in them. */
#include "store_fixture.h"
#include "core/engine.h"
#include "core/namespace.h"
#include <errno.h>

static struct pipeline_def *make_pipeline(struct slice spec, uint32_t version,
                                          struct wall updated_at, struct diag *reterr)
{
    struct pipeline_def *d = mem_zalloc(sizeof(*d));
    *d = (struct pipeline_def){.version = version,
                               .spec = mem_dup(spec.p, spec.len),
                               .running_max = 1,
                               .retry = {.max_attempts = 1}};
    return d;
}

static struct trigger_def *make_trigger(struct slice type, struct slice config, bool enabled,
                                        uint64_t cooldown_ms, struct wall updated_at,
                                        const char **ret_type, struct diag *reterr)
{
    return NULL; /* there are none */
}

static struct now now_of(struct store *s)
{
    return (struct now){{1000}, s->now};
}

static struct engine *make_engine(struct store *s)
{
    const struct engine_options opt = {.running_max = 8, .batch_bytes_max = 1 << 20};
    return engine_create(&opt, now_of(s), 1);
}

static void commit(struct store *s, struct engine *e, int err)
{
    struct batch *b;
    while ((b = engine_take(e)) != NULL) {
        if (err == 0)
            assert_int_equal(journal_write(s->db, b), 0);
        engine_settle(e, now_of(s), b, err);
        engine_recycle(e, b);
    }
}

static void put(struct store *s, struct engine *e, const char *name, const char *config,
                uint64_t version)
{
    engine_put_namespace(e, slice_of(name), slice_of(config), version, s->now, NULL);
}

static struct namespace *find(struct engine *e, const char *name)
{
    return catalog_namespace(engine_catalog(e), slice_of(name));
}

static void expect(struct store *s, const char *name, bool made, bool used, uint64_t version)
{
    struct namespace_row row;
    assert_int_equal(query_namespace(s->db, slice_of(name), &row), 0);
    assert_int_equal(row.made, made);
    assert_int_equal(row.used, used);
    assert_int_equal(row.version, version);
    str_release(&row.config);
}

static void made_changed_and_dropped(void **state)
{
    static const struct def_maker maker = {make_pipeline, make_trigger};
    struct store *s = *state;
    struct diag why;
    struct engine *e = make_engine(s);
    put(s, e, "n", "{}", 1);
    put(s, e, "n", "{\"labels\":{\"a\":\"b\"}}", 2);
    put(s, e, "gone", "{}", 1);
    engine_drop_namespace(e, find(e, "gone"), NULL);
    commit(s, e, 0);
    expect(s, "n", true, false, 2);
    expect(s, "gone", false, false, 1);
    engine_destroy(e);

    e = make_engine(s);
    assert_int_equal(store_load(s->db, e, now_of(s), &maker, &why), 0);
    assert_string_equal(find(e, "n")->config, "{\"labels\":{\"a\":\"b\"}}");
    assert_int_equal(find(e, "n")->version, 2);
    assert_int_equal(find(e, "n")->created_at.ms, s->now.ms);
    assert_null(find(e, "gone"));
    engine_drop_namespace(e, find(e, "n"), NULL);
    commit(s, e, 0);
    expect(s, "n", false, false, 1);
    engine_destroy(e);
}

static void nothing_of_a_failed_batch_stays(void **state)
{
    struct store *s = *state;
    struct engine *e = make_engine(s);
    put(s, e, "n", "{}", 1);
    put(s, e, "other", "{}", 1);
    commit(s, e, 0);
    put(s, e, "n", "{\"labels\":{}}", 2);
    engine_drop_namespace(e, find(e, "n"), NULL);
    engine_drop_namespace(e, find(e, "other"), NULL);
    put(s, e, "new", "{}", 1);
    put(s, e, "new", "{}", 2);
    commit(s, e, -EIO);
    assert_string_equal(find(e, "n")->config, "{}");
    assert_int_equal(find(e, "n")->version, 1);
    assert_non_null(find(e, "other"));
    assert_null(find(e, "new"));
    engine_destroy(e);
}

static void add_name(void *arg, struct slice name)
{
    struct str *s = arg;
    str_add_slice(s, name);
    str_add_char(s, ' ');
}

static void there_with_what_is_in_them(void **state)
{
    static const char *const paths[] = {"ns.team.a", "ns.team.b", "ns-x.team.a", "ns_x.a.b",
                                        "z.a.b"};
    struct store *s = *state;
    struct diag why;
    struct engine *e = make_engine(s);
    struct str names = {0};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        engine_add_pipeline(e, now_of(s), slice_of(paths[i]),
                            make_pipeline(SLICE("{}"), 1, s->now, &why), NULL);
    put(s, e, "ns", "{}", 1);
    put(s, e, "empty", "{}", 1);
    commit(s, e, 0);
    assert_int_equal(query_namespaces(s->db, add_name, &names), 0);
    assert_string_equal(names.p, "empty ns ns-x ns_x z ");
    expect(s, "ns", true, true, 1);
    expect(s, "ns-x", false, true, 1);
    expect(s, "n", false, false, 1);
    expect(s, "empty", true, false, 1);
    str_release(&names);
    engine_destroy(e);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, store_setup, store_teardown)
    const struct CMUnitTest tests[] = {
        TEST(made_changed_and_dropped),
        TEST(nothing_of_a_failed_batch_stays),
        TEST(there_with_what_is_in_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
