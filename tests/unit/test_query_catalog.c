/* Pipelines and triggers as the API shows them. */
#include "store_fixture.h"

#define SPEC "{\"description\":\"o\",\"executor\":{\"type\":\"pull\"}}"
#define MADE "2026-02-13T16:26:40Z"

static const struct page all = {.limit = 50};

static const struct trigger_guests no_guests;

static void pipeline_has_its_spec_and_no_run_yet(void **state)
{
    struct store *s = *state;
    const struct uuid id = put_pipeline(s, 1, "default.bronze.orders", SPEC);
    store_write(s);
    assert_int_equal(query_pipeline(s->db, id, &s->text), 0);
    expect_text(s,
                "{'id':'%s','namespace':'default','layer':'bronze','name':'orders',"
                "'description':'o','executor':{'type':'pull'},'version':1,"
                "'created_at':'" MADE "','updated_at':'" MADE "','paused':false,'latest_run':null}",
                text_of(id));
}

static void pipeline_without_a_spec_is_still_an_object(void **state)
{
    struct store *s = *state;
    const struct uuid id = put_pipeline(s, 1, "default.bronze.orders", " { } ");
    store_write(s);
    assert_int_equal(query_pipeline(s->db, id, &s->text), 0);
    assert_true(text_has(s, "'name':'orders','version':1"));
}

static void change_makes_a_version(void **state)
{
    struct store *s = *state;
    const struct uuid id = put_pipeline(s, 1, "default.bronze.orders", SPEC);
    store_write(s);
    batch_add(s->b, EFFECT_PUT_PIPELINE)->put_pipeline = (struct effect_put_pipeline){
        .id = id,
        .key = 1,
        .path = SLICE("default.bronze.orders"),
        .spec = SLICE("{\"description\":\"new\"}"),
        .version = 2,
        .created_at = s->now,
        .updated_at = {s->now.ms + 1000},
    };
    store_write(s);
    assert_int_equal(query_pipeline(s->db, id, &s->text), 0);
    assert_true(text_has(s, "'description':'new','version':2,'created_at':'" MADE
                            "','updated_at':'2026-02-13T16:26:41Z'"));
    assert_int_equal(store_count(s, "SELECT count(*) FROM pipeline_versions"), 2);
}

static void latest_run_is_the_newest_in_any_state(void **state)
{
    struct store *s = *state;
    const struct uuid id = put_pipeline(s, 1, "default.bronze.orders", SPEC);
    struct fired last = {0};
    for (int status = RUN_PENDING; status <= RUN_CANCELLED; status++) {
        last = put_webhook(s, UUID_NIL, 0, 1, status == RUN_PENDING ? RUN_PENDING : RUN_RUNNING);
        if (status > RUN_RUNNING)
            put_move(s, last.run, (enum run_status)status);
        store_write(s);
        assert_int_equal(query_pipeline(s->db, id, &s->text), 0);
        char part[160];
        snprintf(part, sizeof(part),
                 "'latest_run':{'id':'%s','status':'%s','created_at':'" MADE "'", text_of(last.run),
                 run_status_name((enum run_status)status));
        assert_true(text_has(s, part));
        assert_true(text_has(s, status > RUN_RUNNING ? "'finished_at':'2026-02-13T16:26:41.500Z'}"
                                                     : "'finished_at':null}"));
        str_reset(&s->text);
    }
}

static void unknown_and_deleted_pipelines_are_not_found(void **state)
{
    struct store *s = *state;
    const struct uuid id = put_pipeline(s, 1, "default.bronze.orders", SPEC);
    const struct uuid trigger = put_trigger(s, 1, 1);
    store_write(s);
    assert_int_equal(query_pipeline(s->db, next_id(s), &s->text), -ENOENT);
    assert_int_equal(query_trigger(s->db, next_id(s), NULL, &s->text), -ENOENT);
    assert_int_equal(query_triggers(s->db, next_id(s), &all, &no_guests, NULL, &s->text), -ENOENT);
    batch_add(s->b, EFFECT_DROP_PIPELINE)->drop = (struct effect_drop){1, s->now};
    store_write(s);
    assert_int_equal(query_pipeline(s->db, id, &s->text), -ENOENT);
    assert_int_equal(query_trigger(s->db, trigger, NULL, &s->text), -ENOENT);
    str_reset(&s->text);
    assert_int_equal(query_pipelines(s->db, &(struct pipeline_filter){{0}}, &all, &s->text), 0);
    expect_text(s, "{'pipelines':[],'total':0,'next_cursor':null}");
    put_pipeline(s, 2, "default.bronze.orders", SPEC); /* the path is free again */
    store_write(s);
}

/* ---- lists ---- */

static void put_pipelines(struct store *s)
{
    static const char *const paths[] = {"default.bronze.b",  "default.silver.a", "other.bronze.c",
                                        "default-2.gold.d",  "default.bronze.a", "bronze.gold.e",
                                        "default_2.silver.x"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        put_pipeline(s, (int64_t)i + 1, paths[i], SPEC);
    store_write(s);
}

static void pipelines_are_filtered(void **state)
{
    static const struct {
        const char *ns, *layer;
        int n;
    } rows[] = {
        {NULL, NULL, 7},          {"default", NULL, 3}, {NULL, "bronze", 3},
        {"default", "bronze", 2}, {"other", "gold", 0}, {"defaul", NULL, 0},
        {NULL, "bron", 0},        {"bronze", NULL, 1},  {"default_2", NULL, 1},
    };
    struct store *s = *state;
    put_pipelines(s);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct pipeline_filter f = {slice_of(rows[i].ns), slice_of(rows[i].layer)};
        char total[32];
        assert_int_equal(query_pipelines(s->db, &f, &all, &s->text), 0);
        snprintf(total, sizeof(total), "],'total':%d,", rows[i].n);
        assert_true(text_has(s, total));
        assert_int_equal(text_times(s, "\"latest_run\""), rows[i].n);
        str_reset(&s->text);
    }
}

static void pipelines_come_in_pages_by_path(void **state)
{
    struct store *s = *state;
    struct page page = {.limit = 3};
    const struct pipeline_filter any = {{0}};
    char cursor[32];
    put_pipelines(s);
    assert_int_equal(query_pipelines(s->db, &any, &page, &s->text), 0);
    assert_true(text_has(s, "'total':7"));
    assert_true(strstr(s->text.p, "\"bronze\",\"layer\":\"gold\"") <
                strstr(s->text.p, "\"default\",\"layer\":\"bronze\",\"name\":\"a\""));
    assert_true(next_page(s, &page, cursor));
    assert_int_equal(query_pipelines(s->db, &any, &page, &s->text), 0);
    assert_int_equal(text_times(s, "\"latest_run\""), 3);
    assert_true(next_page(s, &page, cursor));
    assert_int_equal(query_pipelines(s->db, &any, &page, &s->text), 0);
    assert_int_equal(text_times(s, "\"latest_run\""), 1);
    assert_false(next_page(s, &page, cursor));
    str_reset(&s->text);

    const struct page at_6 = {.limit = 3, .offset = 6};
    assert_int_equal(query_pipelines(s->db, &any, &at_6, &s->text), 0);
    assert_int_equal(text_times(s, "\"latest_run\""), 1);
}

static void foreign_cursors_are_refused(void **state)
{
    static const char *const cursors[] = {"",
                                          "x",
                                          "p",
                                          "p123",
                                          "r0000000000000001",
                                          "p000000000000000g",
                                          "p00000000000000001",
                                          "pffffffffffffffff"};
    struct store *s = *state;
    for (size_t i = 0; i < ARRAY_SIZE(cursors); i++) {
        const struct page page = {.limit = 3, .cursor = slice_of(cursors[i])};
        assert_int_equal(query_pipelines(s->db, &(struct pipeline_filter){{0}}, &page, &s->text),
                         -EINVAL);
        assert_int_equal(
            query_events(s->db, &(struct event_filter){.since = WALL_UNSET}, &page, &s->text),
            -EINVAL);
        assert_int_equal(s->text.len, 0);
    }
}

/* ---- triggers ---- */

static void trigger_before_and_after_it_fired(void **state)
{
    struct store *s = *state;
    const struct uuid pipeline = put_pipeline(s, 1, "default.bronze.orders", SPEC);
    const struct uuid id = put_trigger(s, 1, 1);
    store_write(s);
    assert_int_equal(query_trigger(s->db, id, NULL, &s->text), 0);
    expect_text(s,
                "{'id':'%s','pipeline_id':'%s','type':'webhook','config':{'token_hash':'ab'},"
                "'enabled':true,'cooldown_seconds':5,'last_triggered_at':null,'last_run_id':null,"
                "'created_at':'" MADE "','updated_at':'" MADE "','paused':false}",
                text_of(id), text_of(pipeline));
    s->now.ms += 250;
    const struct fired f = put_webhook(s, id, 1, 1, RUN_PENDING);
    store_write(s);
    assert_int_equal(query_trigger(s->db, id, "http://h/api/v1/webhooks", &s->text), 0);
    expect_text(s,
                "{'id':'%s','pipeline_id':'%s','type':'webhook','config':{'token_hash':'ab'},"
                "'webhook_url':'http://h/api/v1/webhooks','enabled':true,'cooldown_seconds':5,"
                "'last_triggered_at':'2026-02-13T16:26:40.250Z','last_run_id':'%s',"
                "'created_at':'" MADE "','updated_at':'" MADE "','paused':false}",
                text_of(id), text_of(pipeline), text_of(f.run));
}

static void changing_a_trigger_keeps_its_state(void **state)
{
    struct store *s = *state;
    put_pipeline(s, 1, "default.bronze.orders", SPEC);
    const struct uuid id = put_trigger(s, 1, 1);
    const struct fired f = put_webhook(s, id, 1, 1, RUN_PENDING);
    store_write(s);
    batch_add(s->b, EFFECT_PUT_TRIGGER)->put_trigger = (struct effect_put_trigger){
        .id = id,
        .key = 1,
        .pipeline_key = 1,
        .type = SLICE("webhook"),
        .config = SLICE("{}"),
        .label = SLICE("l"),
        .cooldown_ms = 7000,
        .created_at = s->now,
        .updated_at = {s->now.ms + 1000},
    };
    store_write(s);
    assert_int_equal(query_trigger(s->db, id, NULL, &s->text), 0);
    assert_true(text_has(s, "'config':{},'enabled':false,'cooldown_seconds':7,"));
    assert_true(text_has(s, text_of(f.run)));
}

static void all_triggers_or_a_page(void **state)
{
    struct store *s = *state;
    char cursor[32];
    const struct uuid pipeline = put_pipeline(s, 1, "default.bronze.orders", SPEC);
    put_pipeline(s, 2, "default.bronze.other", SPEC);
    put_trigger(s, 999, 2);
    for (int64_t key = 1; key <= 300; key++)
        put_trigger(s, key, 1);
    store_write(s);
    struct page page = {.limit = 0};
    assert_int_equal(query_triggers(s->db, pipeline, &page, &no_guests, NULL, &s->text), 0);
    assert_int_equal(text_times(s, "\"pipeline_id\""), 300);
    assert_true(text_has(s, "}],'total':300}"));
    str_reset(&s->text);
    batch_add(s->b, EFFECT_DROP_TRIGGER)->drop = (struct effect_drop){5, s->now};
    store_write(s);
    page.limit = 200;
    assert_int_equal(query_triggers(s->db, pipeline, &page, &no_guests, NULL, &s->text), 0);
    assert_int_equal(text_times(s, "\"pipeline_id\""), 200);
    assert_true(text_has(s, "],'total':299,"));
    assert_true(next_page(s, &page, cursor));
    assert_int_equal(query_triggers(s->db, pipeline, &page, &no_guests, NULL, &s->text), 0);
    assert_int_equal(text_times(s, "\"pipeline_id\""), 99);
    assert_false(next_page(s, &page, cursor));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, store_setup, store_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pipeline_has_its_spec_and_no_run_yet),
        TEST(pipeline_without_a_spec_is_still_an_object),
        TEST(change_makes_a_version),
        TEST(latest_run_is_the_newest_in_any_state),
        TEST(unknown_and_deleted_pipelines_are_not_found),
        TEST(pipelines_are_filtered),
        TEST(pipelines_come_in_pages_by_path),
        TEST(foreign_cursors_are_refused),
        TEST(trigger_before_and_after_it_fired),
        TEST(changing_a_trigger_keeps_its_state),
        TEST(all_triggers_or_a_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
