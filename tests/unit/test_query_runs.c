#include "store_fixture.h"
#include "io/store/sweep.h"

static const struct run_filter any = {.started_after = WALL_UNSET, .started_before = WALL_UNSET};
static const struct page all = {.limit = 50};

/* Two pipelines with a trigger each. */
struct ids {
    struct uuid pipelines[3], triggers[3]; /* by key */
};

static struct ids put_catalog(struct store *s)
{
    struct ids ids = {0};
    ids.pipelines[1] = put_pipeline(s, 1, "default.bronze.orders", "{}");
    ids.pipelines[2] = put_pipeline(s, 2, "default.silver.or_ders", "{}");
    ids.triggers[1] = put_trigger(s, 1, 1);
    ids.triggers[2] = put_trigger(s, 2, 2);
    store_write(s);
    return ids;
}

static void run_from_pending_to_success(void **state)
{
    struct store *s = *state;
    const struct ids ids = put_catalog(s);
    const struct fired f = put_webhook(s, ids.triggers[1], 1, 1, RUN_PENDING);
    store_write(s);
    assert_int_equal(query_run(s->db, f.run, &s->text, NULL), 0);
    expect_text(s,
                "{'id':'%s','pipeline_id':'%s','pipeline':'default.bronze.orders','pipeline_"
                "version':1,'event_id':'%s',"
                "'trigger_id':'%s','trigger':'trigger:webhook','status':'pending','attempt':1,"
                "'started_at':null,'finished_at':null,'duration_ms':null,'output':null,"
                "'error':null,'dead':false,'replay_of':null,'replayed_as':null,"
                "'created_at':'2026-02-13T16:26:40Z','attempts':[{'attempt':1,"
                "'status':'pending','started_at':null,'finished_at':null,'duration_ms':null,"
                "'error':null}]}",
                text_of(f.run), text_of(ids.pipelines[1]), text_of(f.event),
                text_of(ids.triggers[1]));

    put_move(s, f.run, RUN_RUNNING);
    store_write(s);
    assert_int_equal(query_run(s->db, f.run, &s->text, NULL), 0);
    assert_true(text_has(s, "'status':'running','attempt':1,'started_at':'2026-02-13T16:26:40Z',"
                            "'finished_at':null,'duration_ms':null,"));
    str_reset(&s->text);

    put_move(s, f.run, RUN_SUCCESS)->output = SLICE("a\n\xff\"");
    store_write(s);
    assert_int_equal(query_run(s->db, f.run, &s->text, NULL), 0);
    assert_true(text_has(s, "'status':'success','attempt':1,'started_at':'2026-02-13T16:26:40Z',"
                            "'finished_at':'2026-02-13T16:26:41.500Z','duration_ms':1500,"
                            "'output':null,'output_base64':'YQr/Ig==','error':null"));
}

static void manual_run_without_output(void **state)
{
    struct store *s = *state;
    put_catalog(s);
    const struct fired f = put_webhook(s, UUID_NIL, 0, 1, RUN_RUNNING);
    struct effect_move_run *m = put_move(s, f.run, RUN_FAILED);
    m->error = SLICE("exit code 3");
    store_write(s);
    assert_int_equal(query_run(s->db, f.run, &s->text, NULL), 0);
    assert_true(text_has(s, "'trigger_id':null,'trigger':'manual','status':'failed'"));
    assert_true(text_has(s, "'output':null,'error':'exit code 3'"));
}

/* An attempt that began now and failed a second later. */
static void put_failed_attempt(struct store *s, struct uuid run, uint32_t attempt, const char *log)
{
    char *error = mem_printf("exit code %u", attempt);
    batch_add(s->b, EFFECT_PUT_ATTEMPT)->put_attempt = (struct effect_put_attempt){
        .run = run,
        .attempt = attempt,
        .started_at = s->now,
        .finished_at = {s->now.ms + 1000},
        .error = arena_copy(&s->b->arena, slice_of(error)),
        .log = slice_of(log),
        .steps = attempt == 2 ? SLICE("[{\"name\":\"second\"}]") : SLICE_NONE,
        .interrupted = attempt == 2,
    };
    free(error);
    struct effect_move_run *m = put_move(s, run, RUN_PENDING);
    m->attempt = attempt + 1;
    m->due_at = (struct wall){s->now.ms + 2000};
}

#define LINE(text) "{\"time\":\"t\",\"stream\":\"stdout\",\"message\":\"" text "\"}\n"

static void expect_log(struct store *s, struct uuid run, uint32_t asked, uint32_t attempt,
                       const char *message)
{
    char part[64];
    str_reset(&s->text);
    assert_int_equal(query_run_logs(s->db, run, asked, &s->text), 0);
    snprintf(part, sizeof(part), "'attempt':%u,'logs':[", attempt);
    assert_true(text_has(s, part));
    snprintf(part, sizeof(part), "'message':'%s'}]", message);
    assert_true(text_has(s, message[0] != '\0' ? part : "'logs':[]"));
}

static void each_attempt_is_kept(void **state)
{
    struct store *s = *state;
    put_catalog(s);
    const struct fired f = put_webhook(s, UUID_NIL, 0, 1, RUN_RUNNING);
    put_failed_attempt(s, f.run, 1, LINE("one"));
    store_write(s);
    assert_int_equal(query_run(s->db, f.run, &s->text, NULL), 0);
    assert_true(text_has(s, "'status':'pending','attempt':2,'started_at':null"));
    assert_true(text_has(s, "'error':'exit code 1','dead':false")); /* that of the last attempt */
    assert_true(text_has(
        s, "'attempts':[{'attempt':1,'status':'failed','started_at':'2026-02-13T16:26:40Z',"
           "'finished_at':'2026-02-13T16:26:41Z','duration_ms':1000,'error':'exit code 1'},"
           "{'attempt':2,'status':'pending','started_at':null,'finished_at':null,"
           "'duration_ms':null,'error':null}]}"));
    expect_log(s, f.run, 0, 1, "one");

    put_move(s, f.run, RUN_RUNNING)->attempt = 2;
    store_write(s);
    str_reset(&s->text);
    assert_int_equal(query_run(s->db, f.run, &s->text, NULL), 0);
    assert_true(text_has(s, "'error':null,'dead':false"));
    expect_log(s, f.run, 0, 2, "");
    put_failed_attempt(s, f.run, 2, NULL);
    put_move(s, f.run, RUN_RUNNING)->attempt = 3;
    struct effect_move_run *m = put_move(s, f.run, RUN_SUCCESS);
    m->attempt = 3;
    m->log = SLICE(LINE("three"));
    m->steps = SLICE("[{\"name\":\"last\"}]");
    store_write(s);
    str_reset(&s->text);
    assert_int_equal(query_run(s->db, f.run, &s->text, NULL), 0);
    assert_true(text_has(s, "'status':'success','attempt':3"));
    assert_true(text_has(s, "'output':null,'error':null"));
    assert_true(text_has(s, "{'attempt':2,'status':'interrupted',"));
    assert_true(text_has(s, "{'attempt':3,'status':'success',"));
    assert_true(text_has(s, "'error':'exit code 2','steps':[{'name':'second'}]},{'attempt':3,"));
    assert_true(text_has(s, "'error':null}],'steps':[{'name':'last'}]}"));
    assert_int_equal(text_times(s, "\"attempt\":"), 4);
    expect_log(s, f.run, 0, 3, "three");
    expect_log(s, f.run, 1, 1, "one");
    expect_log(s, f.run, 2, 2, "");
    expect_log(s, f.run, 3, 3, "three");
    assert_int_equal(query_run_logs(s->db, f.run, 4, &s->text), -ENOENT);
    assert_int_equal(store_count(s, "SELECT count(*) FROM runs WHERE due_at IS NOT NULL"), 0);
}

static void lists_leave_attempts_out(void **state)
{
    struct store *s = *state;
    const struct page page = {.limit = 10};
    put_catalog(s);
    const struct fired f = put_webhook(s, UUID_NIL, 0, 1, RUN_RUNNING);
    put_failed_attempt(s, f.run, 1, LINE("one"));
    store_write(s);
    assert_int_equal(
        query_runs(s->db,
                   &(struct run_filter){.started_after = WALL_UNSET, .started_before = WALL_UNSET},
                   &page, &s->text),
        0);
    assert_true(text_has(s, "'error':'exit code 1'"));
    assert_false(text_has(s, "'attempts'"));
}

static void unknown_ids_are_not_found(void **state)
{
    struct store *s = *state;
    put_catalog(s);
    const struct fired f = put_webhook(s, UUID_NIL, 0, 1, RUN_PENDING);
    store_write(s);
    struct uuid near = f.run, v4;
    struct run_row row;
    near.b[15] ^= 1; /* the same row key, another id */
    assert_true(uuid_parse(SLICE("f47ac10b-58cc-4372-a567-0e02b2c3d479"), &v4));
    const struct uuid unknown[] = {near, v4, UUID_NIL, next_id(s)};
    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
        assert_int_equal(query_run(s->db, unknown[i], &s->text, NULL), -ENOENT);
        assert_int_equal(query_run_logs(s->db, unknown[i], 0, &s->text), -ENOENT);
        assert_int_equal(query_run_row(s->db, unknown[i], &row), -ENOENT);
    }
    assert_int_equal(s->text.len, 0);
}

static void row_has_the_state(void **state)
{
    struct store *s = *state;
    const struct ids ids = put_catalog(s);
    const struct fired f = put_webhook(s, ids.triggers[2], 2, 2, RUN_RUNNING);
    put_move(s, f.run, RUN_CANCELLED)->attempt = 3;
    store_write(s);
    struct run_row row;
    assert_int_equal(query_run_row(s->db, f.run, &row), 0);
    assert_int_equal(uuid_cmp(row.id, f.run), 0);
    assert_int_equal(uuid_cmp(row.pipeline, ids.pipelines[2]), 0);
    assert_int_equal(row.status, RUN_CANCELLED);
    assert_int_equal(row.attempt, 3);
}

static void logs_are_an_array(void **state)
{
    static const struct {
        const char *log, *shown;
    } rows[] = {
        {NULL, "'logs':[],'truncated':false}"},
        {"{\"message\":\"a\"}\n{\"message\":\"b\"}\n",
         "'logs':[{'message':'a'},{'message':'b'}],'truncated':false}"},
        {"{\"message\":\"a\"}\n{\"message\":\"[cut]\",\"truncated\":true}\n",
         "'logs':[{'message':'a'},{'message':'[cut]','truncated':true}],'truncated':true}"},
    };
    struct store *s = *state;
    put_catalog(s);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct fired f = put_webhook(s, UUID_NIL, 0, 1, RUN_RUNNING);
        put_move(s, f.run, RUN_SUCCESS)->log = slice_of(rows[i].log);
        store_write(s);
        assert_int_equal(query_run_logs(s->db, f.run, 0, &s->text), 0);
        expect_text(s, "{'run_id':'%s','attempt':1,%s", text_of(f.run), rows[i].shown);
    }
}

static void lists_cut_long_outputs(void **state)
{
    struct store *s = *state;
    put_catalog(s);
    const struct fired f = put_webhook(s, UUID_NIL, 0, 1, RUN_RUNNING);
    static char output[100000];
    memset(output, 'o', sizeof(output));
    put_move(s, f.run, RUN_SUCCESS)->output = (struct slice){output, sizeof(output)};
    store_write(s);
    assert_int_equal(query_runs(s->db, &any, &all, &s->text), 0);
    assert_true(s->text.len < 6000);
    assert_true(text_has(s, "ooo','output_truncated':true,"));
    str_reset(&s->text);
    assert_int_equal(query_run(s->db, f.run, &s->text, NULL), 0);
    assert_true(s->text.len > sizeof(output));
    assert_false(text_has(s, "output_truncated"));
}

/* ---- filters ---- */

/* Per pipeline one run in each state, a delayed one too; started a second apart. */
static void put_runs(struct store *s, const struct ids *ids)
{
    static const enum run_status ends[] = {RUN_RUNNING, RUN_SUCCESS, RUN_FAILED, RUN_CANCELLED};
    for (int64_t key = 1; key <= 2; key++) {
        put_webhook(s, ids->triggers[key], key, key, RUN_PENDING);
        const struct fired d = put_webhook(s, UUID_NIL, 0, key, RUN_RUNNING);
        put_move(s, d.run, RUN_PENDING)->due_at = (struct wall){s->now.ms + 99};
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
            s->now.ms += 1000;
            const struct fired f = put_webhook(s, ids->triggers[key], key, key, RUN_RUNNING);
            if (ends[i] != RUN_RUNNING)
                put_move(s, f.run, ends[i]);
        }
    }
    store_write(s);
}

static void expect_list(struct store *s, const struct run_filter *f, int n)
{
    /* In one piece, then page by page with cursors, then with offsets: always the same runs. */
    char total[32], cursor[32];
    struct page page = {.limit = 5};
    snprintf(total, sizeof(total), "],'total':%d,", n);
    assert_int_equal(query_runs(s->db, f, &all, &s->text), 0);
    if (!text_has(s, total))
        fail_msg("not %d: %s", n, s->text.p);
    assert_int_equal(text_times(s, "\"event_id\""), n);
    char *whole = mem_strdup(s->text.p);
    str_reset(&s->text);
    size_t seen = 0;
    do {
        assert_int_equal(query_runs(s->db, f, &page, &s->text), 0);
        assert_true(text_has(s, total));
        seen += text_times(s, "\"event_id\"");
        const char *run = strstr(s->text.p, "{\"id\"");
        assert_true(run == NULL ||
                    strncmp(strstr(whole, "{\"id\"") != NULL ? run : "", run, 46) == 0);
        if (run != NULL) {
            char first[47] = "";
            memcpy(first, run, 46);
            assert_non_null(strstr(whole, first));
        }
    } while (next_page(s, &page, cursor));
    assert_int_equal(seen, n);
    str_reset(&s->text);
    const struct page rest = {.limit = 50, .offset = 3};
    assert_int_equal(query_runs(s->db, f, &rest, &s->text), 0);
    assert_int_equal(text_times(s, "\"event_id\""), n > 3 ? n - 3 : 0);
    str_reset(&s->text);
    free(whole);
}

static void runs_are_filtered(void **state)
{
    static const struct {
        const char *ns, *layer, *name;
        int status; /* -1: any */
        int n;
    } rows[] = {
        {NULL, NULL, NULL, -1, 12},
        {"default", NULL, NULL, -1, 12},
        {"other", NULL, NULL, -1, 0},
        {NULL, "bronze", NULL, -1, 6},
        {NULL, NULL, "orders", -1, 6},
        {NULL, NULL, "or_ders", -1, 6},
        {NULL, NULL, "ders", -1, 0},
        {"default", "silver", "or_ders", -1, 6},
        {"default", "silver", "orders", -1, 0},
        {NULL, NULL, NULL, RUN_PENDING, 4},
        {NULL, NULL, NULL, RUN_RUNNING, 2},
        {NULL, NULL, NULL, RUN_SUCCESS, 2},
        {NULL, NULL, NULL, RUN_FAILED, 2},
        {NULL, NULL, NULL, RUN_CANCELLED, 2},
        {"default", "bronze", "orders", RUN_PENDING, 2},
        {"default", "bronze", "orders", RUN_FAILED, 1},
        {"default", NULL, NULL, RUN_SUCCESS, 2},
    };
    struct store *s = *state;
    const struct ids ids = put_catalog(s);
    put_runs(s, &ids);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct run_filter f = any;
        f.ns = slice_of(rows[i].ns);
        f.layer = slice_of(rows[i].layer);
        f.pipeline = slice_of(rows[i].name);
        f.by_status = rows[i].status >= 0;
        f.status = f.by_status ? (enum run_status)rows[i].status : RUN_PENDING;
        expect_list(s, &f, rows[i].n);

        /* The same through the table instead of the index: the trigger has all but the delayed. */
        f.started_after = (struct wall){INT64_MIN + 1};
        expect_list(s, &f, rows[i].n);
    }
}

static void runs_are_filtered_by_trigger_and_time(void **state)
{
    struct store *s = *state;
    const struct ids ids = put_catalog(s);
    put_runs(s, &ids); /* started at T0 + 1..4 s and + 5..8 s */
    struct run_filter f = any;
    f.trigger = ids.triggers[1];
    expect_list(s, &f, 5);
    f.by_status = true;
    f.status = RUN_PENDING;
    expect_list(s, &f, 1);
    f = any;
    f.trigger = next_id(s);
    expect_list(s, &f, 0);
    f = any;
    f.started_after = (struct wall){T0.ms + 2000};
    expect_list(s, &f, 6);
    f.started_before = (struct wall){T0.ms + 5000};
    expect_list(s, &f, 2);
    f.layer = SLICE("silver");
    expect_list(s, &f, 0);
    f = any;
    f.started_before = (struct wall){T0.ms + 2500};
    expect_list(s, &f, 2); /* not those that have not started */
}

static void newest_come_first(void **state)
{
    struct store *s = *state;
    put_catalog(s);
    const struct fired a = put_webhook(s, UUID_NIL, 0, 1, RUN_PENDING);
    const struct fired b = put_webhook(s, UUID_NIL, 0, 2, RUN_RUNNING);
    const struct fired c = put_webhook(s, UUID_NIL, 0, 1, RUN_RUNNING);
    store_write(s);
    const struct run_filter filters[] = {
        any,
        {.layer = SLICE("bronze"), .started_after = WALL_UNSET, .started_before = WALL_UNSET},
        {.ns = SLICE("default"), .started_after = WALL_UNSET, .started_before = WALL_UNSET},
    };
    for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
        assert_int_equal(query_runs(s->db, &filters[i], &all, &s->text), 0);
        const char *at_a = strstr(s->text.p, text_of(a.run));
        const char *at_b = strstr(s->text.p, text_of(b.run));
        const char *at_c = strstr(s->text.p, text_of(c.run));
        assert_true(at_c < at_a);
        assert_true(i == 1 ? at_b == NULL : at_c < at_b && at_b < at_a);
        str_reset(&s->text);
    }
}

/* What each way to ask says of the runs of a pipeline that was dropped. */
static void expect_cancelled(struct store *s)
{
    struct run_filter f = any;
    f.by_status = true;
    f.status = RUN_PENDING;
    expect_list(s, &f, 2);
    f.status = RUN_CANCELLED;
    expect_list(s, &f, 5);
    f.status = RUN_RUNNING;
    expect_list(s, &f, 2);
    f = any;
    f.pipeline = SLICE("orders"); /* runs of deleted pipelines are still found by its path */
    assert_int_equal(query_runs(s->db, &f, &all, &s->text), 0);
    assert_int_equal(text_times(s, "its pipeline was deleted"), 2);
    assert_true(text_has(s, "'trigger':'trigger:webhook'"));
    str_reset(&s->text);
    f.by_status = true;
    f.status = RUN_PENDING;
    expect_list(s, &f, 0);
    f.status = RUN_CANCELLED;
    expect_list(s, &f, 4);
}

/* The same before the rows say so, and after. */
static void dropping_a_pipeline_cancels_what_waits(void **state)
{
    struct store *s = *state;
    const struct ids ids = put_catalog(s);
    put_runs(s, &ids);
    const struct fired f = put_webhook(s, ids.triggers[1], 1, 1, RUN_PENDING);
    store_write(s);
    batch_add(s->b, EFFECT_DROP_PIPELINE)->drop = (struct effect_drop){1, s->now};
    put_move(s, f.run, RUN_CANCELLED); /* not this one's doing */
    store_write(s);
    bool more = true;
    struct str before = {0};
    struct run_row row;
    for (int round = 0; round < 2; round++) {
        expect_cancelled(s);
        assert_int_equal(query_run_row(s->db, f.run, &row), 0);
        assert_int_equal(row.status, RUN_CANCELLED);
        struct run_filter cancelled = any;
        cancelled.by_status = true;
        cancelled.status = RUN_CANCELLED;
        assert_int_equal(query_runs(s->db, &cancelled, &all, &s->text), 0);
        if (round == 0)
            str_add_slice(&before, str_slice(&s->text));
        else
            assert_string_equal(s->text.p, before.p);
        str_reset(&s->text);
        while (more)
            assert_int_equal(sweep_step(s->db, &more), 0);
    }
    str_release(&before);
    assert_int_equal(store_count(s, "SELECT count(*) FROM runs WHERE due_at IS NOT NULL"), 1);
    assert_int_equal(store_count(s, "SELECT count(*) FROM pipelines WHERE sweeping"), 0);
}

/* Each step is short, and whoever stops in between goes on later. */
static void many_are_cancelled_in_steps(void **state)
{
    struct store *s = *state;
    const struct ids ids = put_catalog(s);
    for (int i = 0; i < 2 * SWEEP_ROWS_MAX + 7; i++)
        put_webhook(s, ids.triggers[1], 1, 1, RUN_PENDING);
    store_write(s);
    batch_add(s->b, EFFECT_DROP_PIPELINE)->drop = (struct effect_drop){1, s->now};
    store_write(s);
    for (int step = 1; step <= 4; step++) {
        bool more;
        assert_int_equal(sweep_step(s->db, &more), 0);
        assert_int_equal(more, step < 4);
        const int64_t left = store_count(s, "SELECT count(*) FROM runs WHERE state = 'p'");
        assert_int_equal(left, step == 1 ? SWEEP_ROWS_MAX + 7 : step == 2 ? 7 : 0);
        store_reopen(s);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, store_setup, store_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(run_from_pending_to_success), TEST(manual_run_without_output),
        TEST(each_attempt_is_kept),        TEST(lists_leave_attempts_out),
        TEST(unknown_ids_are_not_found),   TEST(row_has_the_state),
        TEST(logs_are_an_array),           TEST(lists_cut_long_outputs),
        TEST(runs_are_filtered),           TEST(runs_are_filtered_by_trigger_and_time),
        TEST(newest_come_first),           TEST(dropping_a_pipeline_cancels_what_waits),
        TEST(many_are_cancelled_in_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
