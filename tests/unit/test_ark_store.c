/* ArkEvents on disk: what is written is what is listed, watched and loaded again. */
#include "store_fixture.h"
#include "core/ark.h"
#include "core/engine.h"
#include "io/store/retention.h"

#define PATH "ns/ev"

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

static struct rule forbidding_rule(void)
{
    struct rule r = {.scope = mem_strdup(PATH)};
    struct rule_targets *t = rule_set_targets(&r, 2);
    t->forbids = true;
    t->items[0].path = mem_strdup("ns.team.a");
    t->items[0].input = mem_strdup("{\"x\":\"{{ .trigger.name }}\"}");
    t->items[1].path = mem_strdup("ns.team.b");
    rule_set_key(&r, match_key_of('a', SLICE(PATH)));
    return r;
}

static struct trigger_def *make_trigger(struct slice type, struct slice config, bool enabled,
                                        uint64_t cooldown_ms, struct wall updated_at,
                                        const char **ret_type, struct diag *reterr)
{
    struct rule r = forbidding_rule();
    *ret_type = "arkevent";
    return trigger_def_create(config, enabled, cooldown_ms, &r);
}

static const struct def_maker maker = {make_pipeline, make_trigger};

static struct now now_of(struct store *s)
{
    return (struct now){{1000}, s->now};
}

static struct engine *make_engine(struct store *s, uint64_t seed)
{
    const struct engine_options opt = {.running_max = 8, .batch_bytes_max = 1 << 20};
    return engine_create(&opt, now_of(s), seed);
}

static void commit(struct store *s, struct engine *e)
{
    struct batch *b;
    while ((b = engine_take(e)) != NULL) {
        assert_int_equal(journal_write(s->db, b), 0);
        engine_settle(e, now_of(s), b, 0);
        engine_recycle(e, b);
    }
}

static struct arkevent *make_ark(struct store *s, struct engine *e)
{
    struct ark_token token = {.sealed_len = 3};
    struct diag why;
    static const char *const paths[] = {"ns.team.a", "ns.team.b"};
    memset(token.hash, 7, sizeof(token.hash));
    memcpy(token.sealed, "abc", 3);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        engine_add_pipeline(e, now_of(s), slice_of(paths[i]),
                            make_pipeline(SLICE("{}"), 1, s->now, &why), NULL);
    struct rule r = forbidding_rule();
    struct trigger_def *d =
        trigger_def_create(SLICE("{\"spec\":{\"source\":{\"type\":\"webhook\"}}}"), true, 0, &r);
    struct arkevent *a =
        engine_add_ark(e, now_of(s), SLICE(PATH), "arkevent", d, SLICE("label"), &token, NULL);
    commit(s, e);
    return a;
}

static void fire(struct store *s, struct engine *e)
{
    const struct event ev = {.source = "ark",
                             .type = SLICE("webhook"),
                             .payload = SLICE("{}"),
                             .key = match_key_of('a', SLICE(PATH)),
                             .scope = SLICE(PATH)};
    assert_int_equal(engine_feed(e, now_of(s), &ev), 1);
    commit(s, e);
}

/* ---- what a query finds ---- */

struct found {
    size_t n;
    struct ark_view last; /* its texts are gone */
    char path[64], missing[64];
};

static bool take(void *arg, const struct ark_view *v)
{
    struct found *f = arg;
    assert_true(v->version > 0 && (f->n == 0 || v->version > f->last.version));
    f->n++;
    f->last = *v;
    snprintf(f->path, sizeof(f->path), "%.*s", (int)v->path.len, v->path.p);
    snprintf(f->missing, sizeof(f->missing), "%.*s", (int)v->missing.len, v->missing.p);
    return true;
}

static struct found changes(struct store *s, uint64_t since, uint64_t *ret_version)
{
    struct found f = {0};
    const struct ark_since from = {since, since, since};
    assert_int_equal(query_ark_changes(s->db, SLICE("ns"), &from, take, &f, ret_version), 0);
    return f;
}

static void it_is_found_as_it_is(void **state)
{
    struct store *s = *state;
    struct engine *e = make_engine(s, 1);
    struct arkevent *a = make_ark(s, e);
    struct found f = {0};
    uint64_t version;
    assert_int_equal(query_ark(s->db, SLICE(PATH), take, &f), 0);
    assert_string_equal(f.path, PATH);
    assert_int_equal(f.last.what, ARK_ADDED);
    assert_int_equal(f.last.version, a->state.version);
    assert_int_equal(f.last.reason, ARK_WEBHOOK_READY);
    assert_int_equal(uuid_cmp(f.last.id, a->trigger.id), 0);
    assert_int_equal(query_ark(s->db, SLICE("ns/other"), take, &f), -ENOENT);
    fire(s, e);
    f = (struct found){0};
    assert_int_equal(query_arks(s->db, SLICE_NONE, SLICE_NONE, take, &f, &version), 0);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.last.fired, 1);
    assert_int_equal(f.last.version, a->state.version);
    assert_int_equal(version, a->state.version);
    f = (struct found){0};
    assert_int_equal(query_arks(s->db, SLICE("n"), SLICE_NONE, take, &f, &version), 0);
    assert_int_equal(f.n, 0);
    engine_destroy(e);
}

static void changes_since_a_version_are_found(void **state)
{
    struct store *s = *state;
    struct engine *e = make_engine(s, 1);
    struct arkevent *a = make_ark(s, e);
    uint64_t made, fired, dropped, now;
    struct ark_since from;
    struct found f = changes(s, 0, &made);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.last.what, ARK_ADDED);
    assert_int_equal(changes(s, made, &now).n, 0);
    fire(s, e);
    f = changes(s, made, &fired);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.last.what, ARK_MODIFIED);
    assert_true(fired > made);
    engine_drop_pipeline(e, now_of(s), catalog_pipeline_at(engine_catalog(e), SLICE("ns.team.b")),
                         NULL);
    commit(s, e);
    f = changes(s, fired, &now);
    assert_string_equal(f.missing, "ns.team.b");
    engine_drop_ark(e, now_of(s), a, NULL);
    commit(s, e);
    f = changes(s, made, &dropped);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.last.what, ARK_DELETED);
    assert_int_equal(f.last.version, dropped);
    assert_int_equal(changes(s, 0, &now).n, 0); /* came and went */
    from = (struct ark_since){.version = 0, .made = 0, .seen = made};
    f = (struct found){0};
    assert_int_equal(query_ark_changes(s->db, SLICE("ns"), &from, take, &f, &now), 0);
    assert_int_equal(f.last.what, ARK_DELETED); /* but may have been seen meanwhile */
    f = (struct found){0};
    assert_int_equal(query_arks(s->db, SLICE_NONE, SLICE_NONE, take, &f, &now), 0);
    assert_int_equal(f.n, 0);
    assert_int_equal(now, dropped);
    stmt_exec(s->db, "INSERT INTO meta (name, value) VALUES ('ark_trimmed', 999)");
    from = (struct ark_since){made, made, made};
    assert_int_equal(query_ark_changes(s->db, SLICE_NONE, &from, take, &f, &now), -ESTALE);
    from.version = 1000;
    assert_int_equal(query_ark_changes(s->db, SLICE_NONE, &from, take, &f, &now), -ESTALE);
    from.version = 999;
    assert_int_equal(query_ark_changes(s->db, SLICE_NONE, &from, take, &f, &now), 0);
    assert_int_equal(now, 999);
    engine_destroy(e);
}

static void retain(struct store *s)
{
    const struct retention r = {.age_ms = 1};
    struct retention_plan p;
    s->now.ms += 1000;
    assert_int_equal(retention_plan(s->db, &r, s->now, &p), 0);
    while (p.stage != RETAIN_DONE)
        assert_int_equal(retention_step(s->db, &p), 0);
}

/* It is made, fires or does not, and is dropped; then what is old goes. What one gets who has seen it made. */
static int ask_after_its_end(struct store *s, bool fires, struct found *ret)
{
    struct engine *e = make_engine(s, 1);
    struct arkevent *a = make_ark(s, e);
    const uint64_t made = a->state.version;
    const struct ark_since from = {made, made, made};
    uint64_t now;
    if (fires)
        fire(s, e);
    s->now.ms += 1000;
    engine_drop_ark(e, now_of(s), a, NULL);
    commit(s, e);
    retain(s);
    *ret = (struct found){0};
    const int err = query_ark_changes(s->db, SLICE_NONE, &from, take, ret, &now);
    assert_true(now > made);
    assert_int_equal(changes(s, now, &now).n, 0); /* whoever knows of its end misses nothing */
    engine_destroy(e);
    return err;
}

static void a_deletion_is_known_while_a_run_of_that_time_is(void **state)
{
    struct found f;
    assert_int_equal(ask_after_its_end(*state, true, &f), 0);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.last.what, ARK_DELETED);
}

static void a_deletion_that_was_forgotten_was_missed(void **state)
{
    struct found f;
    assert_int_equal(ask_after_its_end(*state, false, &f), -ESTALE);
    assert_int_equal(f.n, 0);
    assert_int_equal(store_count(*state, "SELECT count(*) FROM arkevents"), 0);
}

static bool take_one(void *arg, const struct ark_view *v)
{
    take(arg, v);
    return false;
}

static void lists_go_on_behind_a_path(void **state)
{
    struct store *s = *state;
    struct engine *e = make_engine(s, 1);
    struct ark_token token = {0};
    struct found f = {0};
    uint64_t version;
    static const char *const paths[] = {"n/z", "ns/a", "ns/b", "ns-x/a"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct rule r = forbidding_rule();
        engine_add_ark(e, now_of(s), slice_of(paths[i]), "arkevent",
                       trigger_def_create(SLICE("{}"), true, 0, &r), SLICE("label"), &token, NULL);
        commit(s, e);
    }
    assert_int_equal(query_arks(s->db, SLICE("ns"), SLICE_NONE, take_one, &f, &version), 0);
    assert_string_equal(f.path, "ns/a");
    f = (struct found){0};
    assert_int_equal(query_arks(s->db, SLICE("ns"), SLICE("ns/a"), take, &f, &version), 0);
    assert_string_equal(f.path, "ns/b");
    assert_int_equal(f.n, 1);
    engine_destroy(e);
}

static void the_token_goes_with_it(void **state)
{
    struct store *s = *state;
    struct engine *e = make_engine(s, 1);
    struct arkevent *a = make_ark(s, e);
    struct ark_token token;
    struct uuid id;
    struct wall at;
    assert_int_equal(query_ark_token(s->db, SLICE(PATH), &token, &id, &at), 0);
    assert_memory_equal(token.hash, a->token.hash, sizeof(token.hash));
    assert_int_equal(token.sealed_len, 3);
    engine_drop_ark(e, now_of(s), a, NULL);
    commit(s, e);
    assert_int_equal(query_ark_token(s->db, SLICE(PATH), &token, &id, &at), -ENOENT);
    struct stmt q;
    stmt_begin(&q, s->db, "SELECT count(*) FROM arkevents WHERE token_sealed NOT NULL");
    assert_true(stmt_row(&q));
    assert_int_equal(column_int(&q, 0), 0);
    stmt_end(&q);
    engine_destroy(e);
}

static void it_comes_back_with_what_keeps_it_from_firing(void **state)
{
    struct store *s = *state;
    struct diag why;
    struct engine *e = make_engine(s, 1);
    struct arkevent *a = make_ark(s, e);
    for (int i = 0; i < 2; i++) { /* the second is refused */
        fire(s, e);
        assert_int_equal(a->active, 2);
    }
    const struct ark_state before = a->state;
    engine_destroy(e);

    e = make_engine(s, 2);
    assert_int_equal(store_load(s->db, e, now_of(s), &maker, &why), 0);
    a = catalog_ark(engine_catalog(e), SLICE(PATH));
    assert_non_null(a);
    assert_int_equal(a->state.version, before.version);
    assert_int_equal(a->state.fired, 1);
    assert_int_equal(a->state.generation, 1);
    assert_int_equal(a->token.sealed_len, 3);
    assert_int_equal(a->active, 0); /* the runs that were being carried out have failed */
    commit(s, e);
    fire(s, e);
    assert_true(a->state.version > before.version);
    engine_destroy(e);
}

static void a_waiting_run_has_its_own_input(void **state)
{
    struct store *s = *state;
    struct diag why;
    struct engine *e = make_engine(s, 1);
    make_ark(s, e);
    engine_hold(e); /* what is made from now on waits */
    fire(s, e);
    engine_destroy(e);

    e = make_engine(s, 2);
    assert_int_equal(store_load(s->db, e, now_of(s), &maker, &why), 0);
    struct arkevent *a = catalog_ark(engine_catalog(e), SLICE(PATH));
    assert_int_equal(a->active, 2);
    struct arena arena = {0};
    struct offered_run run;
    size_t n;
    struct wall due;
    const struct pipeline *p = catalog_pipeline_at(engine_catalog(e), SLICE("ns.team.a"));
    assert_int_equal(query_pending(s->db, p->key, s->now, 1, &arena, &run, &n, &due), 0);
    assert_int_equal(n, 1);
    assert_true(slice_is(run.start.payload, "{\"x\":\"ev\"}"));
    assert_true(slice_is(run.start.content_type, "application/json"));
    assert_true(slice_is(run.start.trigger_type, "arkevent"));
    p = catalog_pipeline_at(engine_catalog(e), SLICE("ns.team.b"));
    assert_int_equal(query_pending(s->db, p->key, s->now, 1, &arena, &run, &n, &due), 0);
    assert_true(slice_is(run.start.payload, "{}"));
    arena_release(&arena);
    engine_destroy(e);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, store_setup, store_teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_is_found_as_it_is),
        TEST(changes_since_a_version_are_found),
        TEST(a_deletion_is_known_while_a_run_of_that_time_is),
        TEST(a_deletion_that_was_forgotten_was_missed),
        TEST(lists_go_on_behind_a_path),
        TEST(the_token_goes_with_it),
        TEST(it_comes_back_with_what_keeps_it_from_firing),
        TEST(a_waiting_run_has_its_own_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
