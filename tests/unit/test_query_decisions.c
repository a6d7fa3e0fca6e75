#include "store_fixture.h"

static const struct page all = {.limit = 50};

static void put_decision(struct store *s, struct uuid trigger, enum verdict verdict)
{
    const struct decision d[] = {{.trigger = next_id(s), .verdict = VERDICT_NO_MATCH},
                                 {.trigger = trigger, .verdict = verdict}};
    struct effect_put_event *e = &batch_add(s->b, EFFECT_PUT_EVENT)->put_event;
    *e = (struct effect_put_event){.id = next_id(s),
                                   .source = "cron",
                                   .type = SLICE("cron.tick"),
                                   .time = s->now,
                                   .decisions = decision_encode(&s->b->arena, d, 2)};
}

static size_t count_text(const struct store *s, const char *what)
{
    size_t n = 0;
    for (const char *at = s->text.p; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

static void own_decisions_newest_first(void **state)
{
    struct store *s = *state;
    const struct uuid mine = next_id(s), other = next_id(s);
    put_decision(s, mine, VERDICT_FIRED);
    put_decision(s, other, VERDICT_DISABLED);
    put_decision(s, mine, VERDICT_COOLDOWN);
    store_write(s);
    assert_int_equal(query_decisions(s->db, mine, T0, &all, &s->text), 0);
    assert_int_equal(count_text(s, "event_id"), 2);
    assert_true(strstr(s->text.p, "cooldown") < strstr(s->text.p, "fired"));
    assert_false(text_has(s, "disabled"));
    assert_true(text_has(s, "'next_cursor':null"));
}

static void nothing_from_before_its_creation(void **state)
{
    struct store *s = *state;
    const struct uuid mine = next_id(s);
    put_decision(s, mine, VERDICT_FIRED);
    s->now.ms += 1000;
    store_write(s);
    assert_int_equal(query_decisions(s->db, mine, s->now, &all, &s->text), 0);
    assert_int_equal(count_text(s, "event_id"), 0);
}

/* The bytes of the page's cursor, in *buf; absent when there is none. */
static struct slice cursor_of(const struct store *s, char buf[32])
{
    const char *at = strstr(s->text.p, "\"next_cursor\":\"");
    if (at == NULL)
        return SLICE_NONE;
    snprintf(buf, 32, "%s", at + strlen("\"next_cursor\":\""));
    return (struct slice){buf, strcspn(buf, "\"")};
}

/* One old decision below so many others that no page looks at all of them. */
static void a_long_walk_is_done_in_pages(void **state)
{
    enum { OTHERS = 120000 };
    struct store *s = *state;
    const struct uuid mine = next_id(s), other = next_id(s);
    put_decision(s, mine, VERDICT_FIRED);
    for (int i = 0; i < OTHERS; i++)
        put_decision(s, other, VERDICT_FIRED);
    store_write(s);
    struct page page = all;
    char buf[32];
    size_t found = 0, pages = 0;
    do {
        str_reset(&s->text);
        assert_int_equal(query_decisions(s->db, mine, T0, &page, &s->text), 0);
        found += count_text(s, "event_id");
        page.cursor = cursor_of(s, buf);
        pages++;
    } while (page.cursor.p != NULL && pages < 100);
    assert_int_equal(found, 1);
    assert_true(pages > 1 && pages < 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(own_decisions_newest_first, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(nothing_from_before_its_creation, store_setup,
                                        store_teardown),
        cmocka_unit_test_setup_teardown(a_long_walk_is_done_in_pages, store_setup, store_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
