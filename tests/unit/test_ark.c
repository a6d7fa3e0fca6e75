/* ArkEvents in the engine: all targets or none, what they are given, Forbid, conditions, versions, and undo. */
#include "engine_fixture.h"
#include "batch.h"
#include "core/ark.h"

#define PATH "ns/ev"
#define TEAM(name) "ns.team." name

static struct pipeline *add_team(struct world *w, const char *path)
{
    struct pipeline *p =
        engine_add_pipeline(w->engine, w->now, slice_of(path), command_pipeline(), NULL);
    commit(w);
    return p;
}

/* Both that rule_to() names. */
static void add_teams(struct world *w)
{
    add_team(w, TEAM("a"));
    add_team(w, TEAM("b"));
}

static struct pipeline *at(struct world *w, const char *path)
{
    return catalog_pipeline_at(engine_catalog(w->engine), slice_of(path));
}

static struct arkevent *ark(struct world *w)
{
    return catalog_ark(engine_catalog(w->engine), SLICE(PATH));
}

/* A rule with the targets a and b; the first gets its own input. */
static struct rule rule_to(const char *input)
{
    struct rule r = {0};
    struct rule_targets *t = rule_set_targets(&r, 2);
    t->items[0].path = mem_strdup(TEAM("a"));
    t->items[0].input = mem_strdup(input);
    t->items[1].path = mem_strdup(TEAM("b"));
    return r;
}

static struct rule webhook_rule(const char *input)
{
    struct rule r = rule_to(input);
    r.scope = mem_strdup(PATH);
    rule_set_key(&r, match_key_of('a', SLICE(PATH)));
    return r;
}

static struct trigger_def *def_of(struct rule r, bool enabled)
{
    return trigger_def_create(SLICE("{\"spec\":{}}"), enabled, 0, &r);
}

static struct arkevent *add(struct world *w, struct rule r)
{
    const struct ark_token none = {0};
    engine_add_ark(w->engine, w->now, SLICE(PATH), "arkevent", def_of(r, true), SLICE("x"), &none,
                   NULL);
    commit(w);
    return ark(w);
}

static void call(struct world *w, const char *body)
{
    const struct event ev = {
        .source = "ark",
        .type = SLICE("webhook"),
        .payload = slice_of(body),
        .key = match_key_of('a', SLICE(PATH)),
        .scope = SLICE(PATH),
    };
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
}

static void end_run(struct world *w, struct uuid run, enum run_status status, struct slice output)
{
    const struct run_result r = {.run = run, .status = status, .output = output};
    assert_true(engine_finish(w->engine, w->now, &r, NULL));
    live(w, 0);
}

/* ---- firing ---- */

static void all_targets_start_in_one_batch(void **state)
{
    struct world *w = *state;
    add_teams(w);
    struct arkevent *a = add(w, webhook_rule(NULL));
    call(w, "{}");
    struct batch *b = settle_batch(w->engine, w->now, 0);
    assert_int_equal(count_effects(b, EFFECT_PUT_RUN), 2);
    assert_int_equal(a->state.fired, 1);
    engine_recycle(w->engine, b);
}

static void none_starts_when_one_is_missing(void **state)
{
    struct world *w = *state;
    add_team(w, TEAM("a"));
    add(w, webhook_rule(NULL));
    call(w, "{}");
    commit(w);
    assert_int_equal(w->started.len, 0);
    assert_int_equal(last_seen(w)->verdict, VERDICT_DEPS_UNMET);
    assert_string_equal(last_seen(w)->detail, "the target ns.team.b does not exist");
    add_team(w, TEAM("b"));
    call(w, "{}");
    commit(w);
    assert_int_equal(w->started.len, 2);
}

/* The texts of started runs are gone once the batch is: they are looked at in it. */
static void expect_inputs(struct world *w, const char *of_a, const char *of_b)
{
    struct batch *b = engine_take(w->engine);
    size_t n = 0;
    for (const struct effect *f = b->first; f != NULL; f = f->next) {
        if (f->type != EFFECT_START_RUN)
            continue;
        const bool is_a = slice_is(f->start_run.pipeline, TEAM("a"));
        if (!slice_is(f->start_run.payload, is_a ? of_a : of_b))
            fail_msg("%.*s", (int)f->start_run.payload.len, f->start_run.payload.p);
        n++;
    }
    assert_int_equal(n, 2);
    engine_settle(w->engine, w->now, b, 0);
    engine_recycle(w->engine, b);
}

static void targets_get_their_input(void **state)
{
    struct world *w = *state;
    add_teams(w);
    add(w, webhook_rule("{\"t\":\"on {{ .trigger.body.topic }}\",\"n\":\"{{ .trigger.name }}\","
                        "\"at\":\"{{ .trigger.firedAt }}\",\"none\":\"{{ .trigger.output }}\"}"));
    call(w, "{\"topic\":\"x \\\"y\\\"\"}");
    expect_inputs(w,
                  "{\"t\":\"on x \\\"y\\\"\",\"n\":\"ev\",\"at\":\"2026-02-02T02:40:00Z\",\"none\":"
                  "\"\"}",
                  "{\"topic\":\"x \\\"y\\\"\"}");
    call(w, "no JSON");
    expect_inputs(w, "{\"t\":\"on \",\"n\":\"ev\",\"at\":\"2026-02-02T02:40:00Z\",\"none\":\"\"}",
                  "no JSON");
}

static void expect_team_input(struct world *w, struct slice output, const char *input)
{
    add_teams(w);
    struct pipeline *up = add_team(w, TEAM("up"));
    struct rule r =
        rule_to("{\"o\":\"{{ .trigger.output }}\",\"b\":\"{{ .trigger.body.run_id }}\"}");
    r.scope = mem_strdup(up->path);
    r.ends = 1u << RUN_SUCCESS;
    rule_set_key(&r, completion_key(slice_of(up->path)));
    add(w, r);
    const struct event by_hand = {.source = "manual", .type = SLICE("manual"), .pipeline = up->id};
    engine_feed(w->engine, w->now, &by_hand);
    commit(w);
    const struct run_result done = {
        .run = w->started.items[0].run, .status = RUN_SUCCESS, .output = output};
    assert_true(engine_finish(w->engine, w->now, &done, NULL));
    struct batch *b = engine_take(w->engine);
    size_t n = 0;
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        if (f->type == EFFECT_PUT_RUN && f->put_run.input.p != NULL) {
            assert_true(slice_is(f->put_run.input, input));
            n++;
        }
    assert_int_equal(n, 1);
    engine_settle(w->engine, w->now, b, 0);
    engine_recycle(w->engine, b);
}

static void a_team_output_is_an_input(void **state)
{
    expect_team_input(*state, SLICE("{\"k\": [1]}"), "{\"o\":\"{\\\"k\\\":[1]}\",\"b\":\"\"}");
}

static void a_team_output_that_is_text(void **state)
{
    expect_team_input(*state, SLICE("as \"it\" is"), "{\"o\":\"as \\\"it\\\" is\",\"b\":\"\"}");
}

static void no_team_output_is_an_empty_text(void **state)
{
    expect_team_input(*state, SLICE_NONE, "{\"o\":\"\",\"b\":\"\"}");
}

/* They share what there is for one firing. */
static void targets_with_too_much_input(void **state)
{
    struct world *w = *state;
    const char *text = "{\"t\":\"{{ .trigger.body.t }}\"}";
    add_teams(w);
    for (size_t targets = 1; targets <= 2; targets++) {
        struct rule r = webhook_rule(text);
        if (targets == 2)
            r.targets->items[1].input = mem_strdup(text);
        struct arkevent *a = add(w, r);
        struct str body = {0};
        str_add_cstr(&body, "{\"t\":\"");
        for (size_t len = 0; len < ARK_INPUTS_BYTES_MAX * 3 / 5; len += 16)
            str_add_cstr(&body, "0123456789abcdef");
        str_add_cstr(&body, "\"}");
        call(w, body.p);
        str_release(&body);
        commit(w);
        assert_int_equal(last_seen(w)->verdict == VERDICT_FIRED, targets == 1);
        engine_drop_ark(w->engine, w->now, a, NULL);
        commit(w);
    }
}

/* ---- targets that take no more ---- */

static struct pipeline *add_bounded_team(struct world *w, const char *path,
                                         enum concurrency_policy policy)
{
    struct pipeline *p = add_team(w, path);
    p->def->policy = policy;
    p->def->running_max = 1;
    return p;
}

static void none_starts_when_one_is_busy(void **state)
{
    struct world *w = *state;
    add_team(w, TEAM("a"));
    add_bounded_team(w, TEAM("b"), CONCURRENCY_SKIP);
    add(w, webhook_rule(NULL));
    call(w, "{}");
    call(w, "{}");
    commit(w);
    assert_int_equal(w->started.len, 2);
    assert_int_equal(last_seen(w)->verdict, VERDICT_CONCURRENCY);
    assert_string_equal(last_seen(w)->detail,
                        "the target ns.team.b: 1 run is under way, max_runs is 1");
}

static void each_target_that_replaces_does(void **state)
{
    struct world *w = *state;
    struct pipeline *a = add_bounded_team(w, TEAM("a"), CONCURRENCY_REPLACE);
    struct pipeline *b = add_bounded_team(w, TEAM("b"), CONCURRENCY_REPLACE);
    add(w, webhook_rule(NULL));
    call(w, "{}");
    commit(w);
    call(w, "{}");
    struct batch *batch = settle_batch(w->engine, w->now, 0);
    assert_int_equal(count_effects(batch, EFFECT_CANCEL_RUN), 2);
    engine_recycle(w->engine, batch);
    assert_int_equal(a->ending + b->ending, 2);
    assert_int_equal(a->pending + b->pending, 2);
}

/* ---- Forbid ---- */

static struct rule forbidding_rule(void)
{
    struct rule r = webhook_rule(NULL);
    r.targets->forbids = true;
    return r;
}

static void forbid_waits_for_every_run_of_the_last_firing(void **state)
{
    struct world *w = *state;
    add_teams(w);
    struct arkevent *a = add(w, forbidding_rule());
    call(w, "{}");
    call(w, "{}");
    commit(w);
    assert_int_equal(w->started.len, 2);
    assert_int_equal(last_seen(w)->verdict, VERDICT_CONCURRENCY);
    end_run(w, w->started.items[0].run, RUN_SUCCESS, SLICE_NONE);
    call(w, "{}");
    commit(w);
    assert_int_equal(w->started.len, 2);
    end_run(w, w->started.items[1].run, RUN_FAILED, SLICE_NONE);
    assert_int_equal(a->active, 0);
    call(w, "{}");
    commit(w);
    assert_int_equal(w->started.len, 4);
    assert_int_equal(a->active, 2);
}

static void forbid_forgets_the_runs_of_a_deleted_team(void **state)
{
    struct world *w = *state;
    add_teams(w);
    struct arkevent *a = add(w, forbidding_rule());
    call(w, "{}");
    commit(w);
    engine_drop_pipeline(w->engine, w->now, at(w, TEAM("a")), NULL);
    assert_int_equal(a->active, 1);
    w->disk_err = -EIO;
    commit(w);
    assert_int_equal(a->active, 2);
    w->disk_err = 0;
    engine_drop_ark(w->engine, w->now, a, NULL);
    commit(w);
    assert_null(ark(w));
}

/* ---- conditions and versions ---- */

static void the_condition_follows_the_teams(void **state)
{
    struct world *w = *state;
    struct arkevent *a = add(w, webhook_rule(NULL));
    assert_int_equal(a->state.reason, ARK_TARGET_NOT_FOUND);
    assert_string_equal(a->state.missing, TEAM("a"));
    const uint64_t first = a->state.version;
    pass(w, 1000);
    add_team(w, TEAM("a"));
    assert_string_equal(a->state.missing, TEAM("b"));
    pass(w, 1000);
    add_team(w, TEAM("b"));
    assert_int_equal(a->state.reason, ARK_WEBHOOK_READY);
    assert_int_equal(a->state.ready_since.ms, T0 + 2000);
    assert_int_equal(a->state.version, first + 2);
    add_team(w, TEAM("c"));
    assert_int_equal(a->state.version, first + 2);
    engine_drop_pipeline(w->engine, w->now, at(w, TEAM("a")), NULL);
    commit(w);
    engine_drop_pipeline(w->engine, w->now, at(w, TEAM("b")), NULL); /* a is missing already */
    commit(w);
    assert_int_equal(a->state.version, first + 3);
    add_team(w, TEAM("b"));
    assert_int_equal(a->state.version, first + 3);
    add_team(w, TEAM("a"));
    assert_int_equal(a->state.version, first + 4);
    pass(w, 1000);
    engine_drop_pipeline(w->engine, w->now, at(w, TEAM("b")), NULL);
    commit(w);
    assert_int_equal(a->state.reason, ARK_TARGET_NOT_FOUND);
    assert_int_equal(a->state.ready_since.ms, T0 + 3000);
    assert_int_equal(a->state.generation, 1);
}

static void each_kind_is_ready_in_its_own_way(void **state)
{
    struct world *w = *state;
    add_teams(w);
    struct arkevent *a = add(w, webhook_rule(NULL));
    struct rule cron = rule_at("0 8 * * *"), output = rule_to(NULL), broken = rule_to(NULL);
    struct rule to = rule_to(NULL);
    cron.targets = to.targets;
    output.scope = mem_strdup(TEAM("up"));
    output.ends = 1u << RUN_FAILED;
    rule_set_key(&output, completion_key(SLICE(TEAM("up"))));
    const struct {
        struct trigger_def *def;
        enum ark_reason reason;
        int64_t since_ms; /* another reason not to be ready is no transition */
    } rows[] = {
        {def_of(cron, true), ARK_ACTIVE, T0},
        {def_of(output, true), ARK_WATCHING, T0},
        {def_of(webhook_rule(NULL), false), ARK_SUSPENDED, T0 + 3000},
        {def_of(broken, true), ARK_INVALID_CRON, T0 + 3000},
        {def_of(webhook_rule(NULL), true), ARK_WEBHOOK_READY, T0 + 5000},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        pass(w, 1000);
        engine_change_ark(w->engine, w->now, a, rows[i].def, SLICE("x"), true, NULL);
        commit(w);
        assert_int_equal(a->state.reason, rows[i].reason);
        assert_int_equal(a->state.ready_since.ms, rows[i].since_ms);
        assert_int_equal(a->state.generation, 2 + i);
    }
}

static void a_schedule_moves_on_without_firing(void **state)
{
    struct world *w = *state;
    struct rule cron = rule_at("* * * * *"), to = rule_to(NULL);
    cron.targets = to.targets;
    struct arkevent *a = add(w, cron);
    const uint64_t before = a->state.version;
    live(w, MIN);
    assert_int_equal(last_seen(w)->verdict, VERDICT_DEPS_UNMET);
    assert_int_equal(a->state.version, before + 1);
    assert_int_equal(w->states[a->trigger.key].last_due.ms, a->trigger.state.last_due.ms);
    assert_int_equal(w->states[a->trigger.key].version, before + 1);
    add_teams(w);
    const uint64_t ready = a->state.version;
    live(w, MIN);
    assert_int_equal(w->started.len, 2);
    assert_int_equal(a->state.version, ready + 1);
    assert_int_equal(w->states[a->trigger.key].version, ready + 1);
    assert_int_equal(w->states[a->trigger.key].fired, 1);
}

static void changes_are_told_in_order(void **state)
{
    struct world *w = *state;
    add_teams(w);
    const struct ark_token none = {0};
    struct arkevent *a = engine_add_ark(w->engine, w->now, SLICE(PATH), "arkevent",
                                        def_of(webhook_rule(NULL), true), SLICE("x"), &none, NULL);
    call(w, "{}");
    engine_change_ark(w->engine, w->now, a, def_of(webhook_rule(NULL), false), SLICE("x"), true,
                      NULL);
    engine_drop_ark(w->engine, w->now, a, NULL);
    static const enum ark_change want[] = {ARK_ADDED, ARK_MODIFIED, ARK_MODIFIED, ARK_DELETED};
    struct batch *b = engine_take(w->engine);
    size_t n = 0;
    uint64_t version = 0;
    for (const struct effect *f = b->first; f != NULL; f = f->next) {
        if (f->type != EFFECT_ARK_CHANGED)
            continue;
        assert_true(n < ARRAY_SIZE(want));
        assert_int_equal(f->ark_changed.what, want[n]);
        assert_true(f->ark_changed.version > version);
        assert_int_equal(f->ark_changed.fired, n > 0);
        version = f->ark_changed.version;
        n++;
    }
    assert_int_equal(n, ARRAY_SIZE(want));
    engine_settle(w->engine, w->now, b, 0);
    engine_recycle(w->engine, b);
}

static void a_change_says_what_was_before(void **state)
{
    struct world *w = *state;
    struct arkevent *a = add(w, webhook_rule(NULL));
    struct rule r = webhook_rule(NULL);
    engine_change_ark(w->engine, w->now, a,
                      trigger_def_create(SLICE("{\"spec\":{\"x\":1}}"), true, 0, &r), SLICE("x"),
                      true, NULL);
    struct batch *b = settle_batch(w->engine, w->now, 0);
    const struct ark_view *v = &find_effect(b, EFFECT_ARK_CHANGED)->ark_changed;
    assert_true(slice_is(v->previous, "{\"spec\":{}}"));
    assert_true(slice_is(v->config, "{\"spec\":{\"x\":1}}"));
    engine_recycle(w->engine, b);
}

/* Those who watch are told when it is gone, also from memory. */
static void a_deleted_one_is_told_of_as_a_whole(void **state)
{
    struct world *w = *state;
    engine_drop_ark(w->engine, w->now, add(w, webhook_rule(NULL)), NULL);
    struct batch *b = settle_batch(w->engine, w->now, 0);
    const struct ark_view *v = &find_effect(b, EFFECT_ARK_CHANGED)->ark_changed;
    assert_int_equal(v->what, ARK_DELETED);
    assert_true(slice_is(v->path, PATH));
    assert_true(slice_is(v->config, "{\"spec\":{}}"));
    assert_true(slice_is(v->missing, TEAM("a")));
    engine_recycle(w->engine, b);
}

struct answers {
    struct ticket ticket;
    unsigned n;
};

static void count_answer(struct ticket *t, const struct outcome *o)
{
    container_of(t, struct answers, ticket)->n += o->err == 0;
}

static void every_change_is_answered(void **state)
{
    struct world *w = *state;
    const struct ark_token none = {0};
    struct answers answers = {.ticket.done = count_answer};
    struct arkevent *a =
        engine_add_ark(w->engine, w->now, SLICE(PATH), "arkevent", def_of(webhook_rule(NULL), true),
                       SLICE("x"), &none, &answers.ticket);
    engine_change_ark(w->engine, w->now, a, def_of(webhook_rule(NULL), true), SLICE("x"), true,
                      &answers.ticket);
    engine_drop_ark(w->engine, w->now, a, &answers.ticket);
    engine_recycle(w->engine, settle_batch(w->engine, w->now, 0));
    assert_int_equal(answers.n, 3);
}

/* Its targets may have come and gone while nobody looked. */
static void the_condition_is_judged_again_at_start(void **state)
{
    struct world *w = *state;
    struct arkevent *a = mem_zalloc(sizeof(*a));
    a->path = mem_strdup(PATH);
    a->trigger = (struct trigger){.id = {{9}},
                                  .key = 9,
                                  .type = "arkevent",
                                  .def = def_of(webhook_rule(NULL), true),
                                  .created_at = {T0 - 1000},
                                  .state.last_fired = WALL_UNSET};
    a->state = (struct ark_state){
        .version = 3, .generation = 1, .reason = ARK_WEBHOOK_READY, .ready_since = {T0 - 1000}};
    engine_load_ark(w->engine, w->now, a);
    engine_loaded_arks(w->engine, w->now, 7);
    struct batch *b = settle_batch(w->engine, w->now, 0);
    const struct effect_put_ark *written = &find_effect(b, EFFECT_PUT_ARK)->put_ark;
    assert_int_equal(written->reason, ARK_TARGET_NOT_FOUND);
    assert_int_equal(written->ready_since.ms, T0);
    assert_int_equal(written->version, 8);
    assert_true(slice_is(written->missing, TEAM("a")));
    engine_recycle(w->engine, b);
}

/* It has not been found since then, whichever target it is. */
static void another_missing_target_is_no_transition(void **state)
{
    struct world *w = *state;
    struct arkevent *a = add(w, webhook_rule(NULL));
    const struct ark_state before = a->state;
    assert_string_equal(before.missing, TEAM("a"));
    pass(w, 5000);
    add_team(w, TEAM("a"));
    assert_string_equal(a->state.missing, TEAM("b"));
    assert_int_equal(a->state.ready_since.ms, before.ready_since.ms);
    assert_true(a->state.version > before.version);
    add_team(w, TEAM("b"));
    assert_int_equal(a->state.reason, ARK_WEBHOOK_READY);
    assert_int_equal(a->state.ready_since.ms, w->now.wall.ms);
}

/* ---- undo ---- */

static void nothing_of_a_failed_batch_stays(void **state)
{
    struct world *w = *state;
    add_teams(w);
    struct arkevent *a = add(w, forbidding_rule());
    const struct ark_state before = a->state;
    w->disk_err = -EIO;
    call(w, "{}");
    engine_drop_pipeline(w->engine, w->now, at(w, TEAM("b")), NULL);
    engine_change_ark(w->engine, w->now, a, def_of(webhook_rule(NULL), false), SLICE("x"), true,
                      NULL);
    engine_drop_ark(w->engine, w->now, a, NULL);
    commit(w);
    w->disk_err = 0;
    assert_ptr_equal(ark(w), a);
    assert_memory_equal(&a->state, &before, sizeof(before));
    assert_int_equal(a->active, 0);
    call(w, "{}");
    commit(w);
    assert_int_equal(w->started.len, 2);
    assert_true(a->state.version > before.version);
    assert_int_equal(a->state.fired, 1);
}

static void an_event_that_was_not_made_is_gone(void **state)
{
    struct world *w = *state;
    const struct ark_token none = {0};
    w->disk_err = -ENOSPC;
    engine_add_ark(w->engine, w->now, SLICE(PATH), "arkevent", def_of(webhook_rule(NULL), true),
                   SLICE("x"), &none, NULL);
    commit(w);
    assert_null(ark(w));
    w->disk_err = 0;
    assert_non_null(add(w, webhook_rule(NULL)));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_targets_start_in_one_batch),
        TEST(none_starts_when_one_is_missing),
        TEST(targets_get_their_input),
        TEST(a_team_output_is_an_input),
        TEST(a_team_output_that_is_text),
        TEST(no_team_output_is_an_empty_text),
        TEST(targets_with_too_much_input),
        TEST(none_starts_when_one_is_busy),
        TEST(each_target_that_replaces_does),
        TEST(forbid_waits_for_every_run_of_the_last_firing),
        TEST(forbid_forgets_the_runs_of_a_deleted_team),
        TEST(the_condition_follows_the_teams),
        TEST(each_kind_is_ready_in_its_own_way),
        TEST(a_schedule_moves_on_without_firing),
        TEST(changes_are_told_in_order),
        TEST(a_change_says_what_was_before),
        TEST(a_deleted_one_is_told_of_as_a_whole),
        TEST(every_change_is_answered),
        TEST(the_condition_is_judged_again_at_start),
        TEST(another_missing_target_is_no_transition),
        TEST(nothing_of_a_failed_batch_stays),
        TEST(an_event_that_was_not_made_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
