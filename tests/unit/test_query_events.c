#include "store_fixture.h"

static const struct event_filter any = {.since = WALL_UNSET};
static const struct page all = {.limit = 50};

static struct effect_put_event *put_event(struct store *s, const char *source)
{
    struct effect_put_event *e = &batch_add(s->b, EFFECT_PUT_EVENT)->put_event;
    *e = (struct effect_put_event){
        .id = next_id(s), .source = source, .type = slice_of(source), .time = s->now};
    return e;
}

static void event_has_its_decisions_and_payload(void **state)
{
    struct store *s = *state;
    const struct uuid fired = next_id(s), cool = next_id(s);
    const struct uuid runs[] = {next_id(s), next_id(s)};
    const struct decision d[] = {
        {.trigger = fired, .runs = runs, .run_count = 2},
        {.trigger = cool, .verdict = VERDICT_COOLDOWN, .detail = SLICE("5 s left")},
        {.trigger = UUID_NIL, .runs = runs, .run_count = 1},
    };
    struct effect_put_event *e = put_event(s, "webhook");
    e->content_type = SLICE("application/json");
    e->payload = SLICE("{\"n\":1}");
    e->decisions = decision_encode(&s->b->arena, d, 3);
    const struct uuid id = e->id;
    store_write(s);
    assert_int_equal(query_event(s->db, id, &s->text), 0);
    const char *run0 = text_of(runs[0]), *run1 = text_of(runs[1]);
    expect_text(s,
                "{'id':'%s','source':'webhook','type':'webhook','subject':null,"
                "'time':'2026-02-13T16:26:40Z','lineage':{'root_event_id':'%s','depth':0},"
                "'content_type':'application/json','decisions':["
                "{'trigger_id':'%s','decision':'fired','run_ids':['%s','%s']},"
                "{'trigger_id':'%s','decision':'cooldown','detail':'5 s left','run_ids':[]},"
                "{'trigger_id':null,'decision':'fired','run_ids':['%s']}],"
                "'run_ids':['%s','%s','%s'],"
                "'payload':'{\\'n\\':1}','payload_encoding':'text'}",
                text_of(id), text_of(id), text_of(fired), run0, run1, text_of(cool), run0, run0,
                run1, run0);
}

static void payloads_of_all_kinds(void **state)
{
    static const struct {
        struct slice payload;
        const char *shown;
    } rows[] = {
        {SLICE_NONE, "'payload':null,'payload_encoding':'text'}"},
        {{"", 0}, "'payload':'','payload_encoding':'text'}"},
        {{"\xc3\xa9", 2}, "'payload':'\xc3\xa9','payload_encoding':'text'}"},
        {{"\xff\x00\x01", 3}, "'payload':'/wAB','payload_encoding':'base64'}"},
        {{"\xff\xfe", 2}, "'payload':'//4=','payload_encoding':'base64'}"},
    };
    struct store *s = *state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct effect_put_event *e = put_event(s, "webhook");
        e->payload = rows[i].payload;
        const struct uuid id = e->id;
        store_write(s);
        assert_int_equal(query_event(s->db, id, &s->text), 0);
        assert_true(text_has(s, rows[i].shown));
        str_reset(&s->text);
    }
    assert_int_equal(query_events(s->db, &any, &all, &s->text), 0);
    assert_false(text_has(s, "payload"));
}

static void large_payload_comes_back(void **state)
{
    struct store *s = *state;
    const size_t len = 1 << 20;
    char *payload = arena_alloc(&s->b->arena, len);
    memset(payload, 'x', len);
    struct effect_put_event *e = put_event(s, "webhook");
    e->payload = (struct slice){payload, len};
    const struct uuid id = e->id;
    store_write(s);
    assert_int_equal(query_event(s->db, id, &s->text), 0);
    assert_true(s->text.len > len);
}

static void unknown_ids_are_not_found(void **state)
{
    struct store *s = *state;
    struct uuid id = put_event(s, "webhook")->id;
    store_write(s);
    id.b[15] ^= 1;
    assert_int_equal(query_event(s->db, id, &s->text), -ENOENT);
    assert_int_equal(query_event(s->db, UUID_NIL, &s->text), -ENOENT);
    assert_int_equal(query_event(s->db, next_id(s), &s->text), -ENOENT);
    assert_int_equal(s->text.len, 0);
}

static void lineage_is_shown(void **state)
{
    struct store *s = *state;
    struct effect_put_event *e = put_event(s, "completion");
    e->subject = SLICE("default.bronze.orders");
    e->lineage = (struct lineage){.root = next_id(s), .parent = next_id(s), .depth = 3};
    const struct uuid id = e->id, root = e->lineage.root;
    store_write(s);
    assert_int_equal(query_event(s->db, id, &s->text), 0);
    char part[96];
    snprintf(part, sizeof(part), "'lineage':{'root_event_id':'%s','depth':3}", text_of(root));
    assert_true(text_has(s, part));
    assert_true(text_has(s, "'subject':'default.bronze.orders'"));
}

static void expect_list(struct store *s, const struct event_filter *f, int n)
{
    char total[32], cursor[32];
    struct page page = {.limit = 4};
    snprintf(total, sizeof(total), "],'total':%d,", n);
    int seen = 0;
    do {
        assert_int_equal(query_events(s->db, f, &page, &s->text), 0);
        assert_true(text_has(s, total));
        seen += (int)text_times(s, "\"lineage\"");
    } while (next_page(s, &page, cursor));
    assert_int_equal(seen, n);
    str_reset(&s->text);
    const struct page rest = {.limit = 50, .offset = 2};
    assert_int_equal(query_events(s->db, f, &rest, &s->text), 0);
    assert_int_equal(text_times(s, "\"lineage\""), n > 2 ? n - 2 : 0);
    str_reset(&s->text);
}

static void events_are_filtered(void **state)
{
    struct store *s = *state;
    const struct uuid a = next_id(s), b = next_id(s);
    for (int i = 0; i < 10; i++) {
        const struct decision d[] = {{.trigger = a, .verdict = VERDICT_DISABLED},
                                     {.trigger = b, .verdict = VERDICT_NO_MATCH}};
        struct effect_put_event *e = put_event(s, i % 3 == 0 ? "cron" : "webhook");
        e->decisions = decision_encode(&s->b->arena, d, i % 2 == 0 ? 2 : 1);
        s->now.ms += 1000;
    }
    store_write(s);
    expect_list(s, &any, 10);
    expect_list(s, &(struct event_filter){.source = SLICE("cron"), .since = WALL_UNSET}, 4);
    expect_list(s, &(struct event_filter){.source = SLICE("zone"), .since = WALL_UNSET}, 0);
    expect_list(s, &(struct event_filter){.trigger = a, .since = WALL_UNSET}, 10);
    expect_list(s, &(struct event_filter){.trigger = b, .since = WALL_UNSET}, 5);
    expect_list(s, &(struct event_filter){.trigger = next_id(s), .since = WALL_UNSET}, 0);
    expect_list(s, &(struct event_filter){.since = {T0.ms + 3000}}, 7);
    expect_list(s, &(struct event_filter){.since = {T0.ms + 3001}}, 6);
    expect_list(s, &(struct event_filter){.since = {T0.ms + 60000}}, 0);
    expect_list(s, &(struct event_filter){.trigger = b, .source = SLICE("cron"), .since = {0}}, 2);
}

/* The clock goes back: ids go on, times do not, and `since` means the times. */
static void since_is_about_times(void **state)
{
    struct store *s = *state;
    put_event(s, "webhook");
    s->now.ms -= 5000;
    put_event(s, "webhook");
    put_event(s, "webhook");
    store_write(s);
    expect_list(s, &(struct event_filter){.since = {T0.ms - 1000}}, 1);
    expect_list(s, &(struct event_filter){.since = {T0.ms - 5000}}, 3);
}

/* ---- repeated requests ---- */

static void repetition_finds_the_first_run_for_a_day(void **state)
{
    struct store *s = *state;
    const struct dedupe_key key = {"0123456789abcde"}, other = {"0123456789abcdf"};
    struct uuid event, run;
    struct effect_put_event *e = put_event(s, "webhook");
    e->dedupe = true;
    e->dedupe_key = key;
    e->dedupe_run = next_id(s);
    const struct uuid first = e->id, first_run = e->dedupe_run;
    store_write(s);
    assert_int_equal(query_dedupe(s->db, &other, s->now, &event, &run), -ENOENT);
    const struct wall in_a_day = {s->now.ms + 86400000};
    const struct wall before = {in_a_day.ms - 1};
    assert_int_equal(query_dedupe(s->db, &key, before, &event, &run), 0);
    assert_int_equal(uuid_cmp(event, first), 0);
    assert_int_equal(uuid_cmp(run, first_run), 0);
    assert_int_equal(query_dedupe(s->db, &key, in_a_day, &event, &run), -ENOENT);

    s->now = in_a_day; /* used again before retention came by */
    e = put_event(s, "webhook");
    e->dedupe = true;
    e->dedupe_key = key;
    e->dedupe_run = next_id(s);
    const struct uuid second_run = e->dedupe_run;
    store_write(s);
    assert_int_equal(query_dedupe(s->db, &key, s->now, &event, &run), 0);
    assert_int_equal(uuid_cmp(run, second_run), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, store_setup, store_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(event_has_its_decisions_and_payload),
        TEST(payloads_of_all_kinds),
        TEST(large_payload_comes_back),
        TEST(unknown_ids_are_not_found),
        TEST(lineage_is_shown),
        TEST(events_are_filtered),
        TEST(since_is_about_times),
        TEST(repetition_finds_the_first_run_for_a_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
