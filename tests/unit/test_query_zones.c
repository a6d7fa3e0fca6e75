/* Zones, their files, and the ledger. */
#include "io/store/retention.h"
#include "store_fixture.h"

static struct uuid put_zone(struct store *s, int64_t key, const char *path)
{
    const struct uuid id = next_id(s);
    batch_add(s->b, EFFECT_PUT_ZONE)->put_zone = (struct effect_put_zone){
        .id = id,
        .key = key,
        .path = slice_of(path),
        .directory = SLICE("/in"),
        .spec = SLICE("{\"recursive\":false}"),
        .created_at = s->now,
        .updated_at = s->now,
    };
    return id;
}

static struct uuid put_file(struct store *s, int64_t zone, const char *path, uint64_t size,
                            int64_t mtime_ns)
{
    const struct uuid id = next_id(s);
    batch_add(s->b, EFFECT_PUT_FILE)->put_file = (struct effect_put_file){
        .id = id,
        .zone_key = zone,
        .path = slice_of(path),
        .inode = 42,
        .size = size,
        .mtime_ns = mtime_ns,
        .at = s->now,
    };
    return id;
}

static void drop_file(struct store *s, int64_t zone, const char *path)
{
    batch_add(s->b, EFFECT_DROP_FILE)->drop_file =
        (struct effect_drop_file){zone, slice_of(path), s->now};
}

static void keep_file(struct store *s, int64_t zone, const char *path, int64_t mtime_ns)
{
    batch_add(s->b, EFFECT_KEEP_FILE)->keep_file =
        (struct effect_keep_file){zone, slice_of(path), mtime_ns, mtime_ns + 1};
}

static void expect_totals(struct store *s, struct uuid zone, int files, int bytes)
{
    char part[64];
    snprintf(part, sizeof(part), "'file_count':%d,'total_bytes':%d", files, bytes);
    assert_int_equal(query_zone(s->db, zone, &s->text), 0);
    assert_true(text_has(s, part));
    str_reset(&s->text);
}

static void totals_follow_the_files(void **state)
{
    struct store *s = *state;
    const struct uuid z = put_zone(s, 1, "default.in"), other = put_zone(s, 2, "default.other");
    put_file(s, 1, "a", 10, 1);
    put_file(s, 1, "b", 5, 1);
    put_file(s, 2, "a", 1, 1);
    store_write(s);
    expect_totals(s, z, 2, 15);
    put_file(s, 1, "a", 3, 2); /* rewritten */
    drop_file(s, 1, "b");
    drop_file(s, 1, "b");
    drop_file(s, 1, "none");
    store_write(s);
    expect_totals(s, z, 1, 3);
    expect_totals(s, other, 1, 1);
    put_file(s, 1, "b", 5, 1); /* is back */
    store_write(s);
    expect_totals(s, z, 2, 8);
    assert_int_equal(store_count(s, "SELECT count(*) FROM files"), 3);
}

static void the_ledger_knows_what_was_there(void **state)
{
    struct store *s = *state;
    struct ledger_look looks[] = {{.path = SLICE("a")},
                                  {.path = SLICE("gone")},
                                  {.path = SLICE("none")},
                                  {.path = SLICE("\xff\n")}};
    put_zone(s, 1, "default.in");
    put_file(s, 1, "a", 10, 7);
    put_file(s, 1, "gone", 1, 1);
    put_file(s, 1, "\xff\n", 2, 1);
    drop_file(s, 1, "gone");
    store_write(s);
    assert_int_equal(query_ledger(s->db, 1, looks, ARRAY_SIZE(looks)), 0);
    assert_true(looks[0].known && !looks[0].gone && looks[0].inode == 42 && looks[0].size == 10 &&
                looks[0].mtime_ns == 7);
    assert_true(looks[1].known && looks[1].gone);
    assert_false(looks[2].known);
    assert_true(looks[3].known);
    assert_int_equal(query_ledger(s->db, 2, looks, 1), 0);
    assert_false(looks[0].known);
}

static void a_file_that_is_kept_has_other_times_and_the_same_row(void **state)
{
    struct store *s = *state;
    struct ledger_look looks[] = {{.path = SLICE("a")}, {.path = SLICE("back")}};
    const struct uuid z = put_zone(s, 1, "default.in"), a = put_file(s, 1, "a", 10, 7);
    put_file(s, 1, "back", 5, 7);
    drop_file(s, 1, "back");
    store_write(s);
    expect_totals(s, z, 1, 10);
    keep_file(s, 1, "a", 3);
    keep_file(s, 1, "back", 7);
    keep_file(s, 1, "back", 7);
    keep_file(s, 1, "none", 7);
    store_write(s);
    expect_totals(s, z, 2, 15);
    assert_int_equal(query_ledger(s->db, 1, looks, ARRAY_SIZE(looks)), 0);
    assert_true(looks[0].mtime_ns == 3 && looks[0].ctime_ns == 4 && looks[0].size == 10);
    assert_true(looks[1].known && !looks[1].gone);
    assert_int_equal(query_file_path(s->db, 1, a, &s->text), 0);
    assert_int_equal(store_count(s, "SELECT count(*) FROM files"), 2);
    str_reset(&s->text);
}

static void the_ledger_is_gone_through_in_slices(void **state)
{
    struct store *s = *state;
    struct arena a = {0};
    struct slice paths[2], after = SLICE_NONE;
    size_t n;
    put_zone(s, 1, "default.in");
    for (const char *const *p = (const char *const[]){"b", "a/x", "c", "", "d", NULL}; *p != NULL;
         p++)
        if (**p != '\0')
            put_file(s, 1, *p, 1, 1);
    drop_file(s, 1, "c");
    store_write(s);
    assert_int_equal(query_ledger_paths(s->db, 1, after, &a, paths, 2, &n), 0);
    assert_int_equal(n, 2);
    assert_true(slice_is(paths[0], "a/x") && slice_is(paths[1], "b"));
    assert_int_equal(query_ledger_paths(s->db, 1, paths[1], &a, paths, 2, &n), 0);
    assert_int_equal(n, 1);
    assert_true(slice_is(paths[0], "d"));
    arena_release(&a);
}

static void files_are_shown(void **state)
{
    struct store *s = *state;
    const struct uuid z = put_zone(s, 1, "default.in"), other = put_zone(s, 2, "default.other");
    const struct uuid f = put_file(s, 1, "sub/\xff.csv", 10, 1771000000123456789);
    store_write(s);
    assert_int_equal(query_file(s->db, z, f, &s->text), 0);
    expect_text(
        s,
        "{'id':'%s','zone_id':'%s','filename':'\xef\xbf\xbd.csv','path':'/in/sub/\xef\xbf\xbd.csv',"
        "'path_base64':'L2luL3N1Yi//LmNzdg==',"
        "'relative_path':'sub/\xef\xbf\xbd.csv','size_bytes':10,'content_type':null,"
        "'uploaded_at':'2026-02-13T16:26:40Z','modified_at':'2026-02-13T16:26:40.123Z'}",
        text_of(f), text_of(z));
    assert_int_equal(query_file(s->db, other, f, &s->text), -ENOENT);
    assert_int_equal(query_file(s->db, z, next_id(s), &s->text), -ENOENT);
    assert_int_equal(query_file_path(s->db, 1, f, &s->text), 0);
    assert_string_equal(s->text.p, "sub/\xff.csv");
    str_reset(&s->text);
    assert_int_equal(query_file_path(s->db, 2, f, &s->text), -ENOENT);
    drop_file(s, 1, "sub/\xff.csv");
    store_write(s);
    assert_int_equal(query_file(s->db, z, f, &s->text), -ENOENT);
    assert_int_equal(query_file_path(s->db, 1, f, &s->text), -ENOENT);
    assert_int_equal(query_files(s->db, z, &(struct page){.limit = 10}, &s->text), 0);
    expect_text(s, "{'files':[],'total':0,'next_cursor':null}");
    assert_int_equal(query_files(s->db, next_id(s), &(struct page){.limit = 10}, &s->text),
                     -ENOENT);
}

static void files_come_in_pages(void **state)
{
    struct store *s = *state;
    char cursor[32], name[8];
    struct page page = {.limit = 3};
    size_t pages = 1, files;
    const struct uuid z = put_zone(s, 1, "default.in");
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        put_file(s, 1, arena_strdup(&s->b->arena, slice_of(name)), 1, 1);
    }
    store_write(s);
    assert_int_equal(query_files(s->db, z, &page, &s->text), 0);
    files = text_times(s, "zone_id");
    while (next_page(s, &page, cursor)) {
        assert_int_equal(query_files(s->db, z, &page, &s->text), 0);
        files += text_times(s, "zone_id");
        pages++;
    }
    assert_int_equal(pages, 3);
    assert_int_equal(files, 8);
    page.cursor = SLICE("p0000000000000001");
    assert_int_equal(query_files(s->db, z, &page, &s->text), -EINVAL);
}

static void retention_takes_what_is_gone(void **state)
{
    struct store *s = *state;
    put_zone(s, 1, "default.in");
    put_zone(s, 2, "default.dropped");
    put_file(s, 1, "stays", 1, 1);
    put_file(s, 1, "gone", 1, 1);
    for (int i = 0; i < 600; i++) {
        char name[8];
        snprintf(name, sizeof(name), "f%d", i);
        put_file(s, 2, arena_strdup(&s->b->arena, slice_of(name)), 1, 1);
    }
    drop_file(s, 1, "gone");
    batch_add(s->b, EFFECT_DROP_ZONE)->drop = (struct effect_drop){2, s->now};
    store_write(s);
    const struct retention r = {.age_ms = 1000};
    struct retention_plan plan;
    assert_int_equal(retention_plan(s->db, &r, s->now, &plan), 0);
    while (plan.stage != RETAIN_DONE)
        assert_int_equal(retention_step(s->db, &plan), 0);
    assert_int_equal(store_count(s, "SELECT count(*) FROM files"), 2);
    assert_int_equal(retention_plan(s->db, &r, (struct wall){s->now.ms + 2000}, &plan), 0);
    while (plan.stage != RETAIN_DONE)
        assert_int_equal(retention_step(s->db, &plan), 0);
    assert_int_equal(store_count(s, "SELECT count(*) FROM files"), 1);
    assert_int_equal(store_count(s, "SELECT count(*) FROM zones"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(totals_follow_the_files, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(the_ledger_knows_what_was_there, store_setup,
                                        store_teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_kept_has_other_times_and_the_same_row,
                                        store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(the_ledger_is_gone_through_in_slices, store_setup,
                                        store_teardown),
        cmocka_unit_test_setup_teardown(files_are_shown, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(files_come_in_pages, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(retention_takes_what_is_gone, store_setup, store_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
