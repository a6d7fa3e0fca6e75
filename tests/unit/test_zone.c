/* Zones in the engine: what is recorded, what undoing a failed commit takes back, and the way of a file's event. */
#include "batch.h"
#include "base/check.h"
#include "base/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct world {
    struct engine *engine;
    struct now now;
    struct ticket ticket;
    unsigned redeemed;
    int err;
};

static void redeemed(struct ticket *t, const struct outcome *o)
{
    struct world *w = container_of(t, struct world, ticket);
    w->redeemed++;
    w->err = o->err;
}

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    const struct engine_options opt = {.running_max = 1, .batch_bytes_max = 1 << 16};
    w->now = (struct now){{1000}, {1770000000000}};
    w->ticket.done = redeemed;
    w->engine = engine_create(&opt, w->now, 1);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    engine_destroy(w->engine);
    free(w);
    return 0;
}

static struct batch *settle(struct world *w, int err)
{
    return settle_batch(w->engine, w->now, err);
}

static struct zone_def *def(const char *spec)
{
    struct diag why;
    struct zone_def *d = zone_def_parse(slice_of(spec), (struct wall){1}, &why);
    assert_non_null(d);
    return d;
}

static struct zone *at(struct world *w, const char *path)
{
    return catalog_zone_at(engine_catalog(w->engine), slice_of(path));
}

static struct zone *add(struct world *w, const char *spec)
{
    return engine_add_zone(w->engine, w->now, SLICE("default.in"), SLICE("/in"), false, def(spec),
                           &w->ticket);
}

static void a_zone_is_added_changed_and_dropped(void **state)
{
    struct world *w = *state;
    struct zone *z = add(w, "{}");
    assert_ptr_equal(at(w, "default.in"), z);
    assert_ptr_equal(catalog_zone(engine_catalog(w->engine), z->id), z);
    struct batch *b = settle(w, 0);
    const struct effect *put = find_effect(b, EFFECT_PUT_ZONE);
    assert_true(slice_is(put->put_zone.path, "default.in") &&
                slice_is(put->put_zone.directory, "/in"));
    assert_true(put->put_zone.key == z->key && !put->put_zone.primed);
    const struct wall made = w->now.wall;
    assert_int_equal(put->put_zone.new_since.ms, made.ms);
    assert_true(find_effect(b, EFFECT_ARM) != NULL &&
                find_effect(b, EFFECT_ARM)->next->type ==
                    EFFECT_REPLY); /* watched before it is answered */
    engine_recycle(w->engine, b);

    w->now.wall.ms +=
        10; /* before it is known what was there: what has come since then is new all the same */
    engine_change_zone(w->engine, w->now, z, def("{\"exclude\":[\"x\"]}"), &w->ticket);
    assert_int_equal(z->new_since.ms, made.ms);
    engine_prime_zone(w->engine, w->now, z, &w->ticket);
    engine_recycle(w->engine, settle(w, 0));
    assert_true(z->primed);
    engine_change_zone(w->engine, w->now, z, def("{\"exclude\":[\"x\"],\"settle_ms\":1}"),
                       &w->ticket);
    assert_true(z->primed && z->new_since.ms == made.ms); /* the same files */
    engine_change_zone(w->engine, w->now, z, def("{\"include\":[\"*\"]}"), &w->ticket);
    assert_false(z->primed);
    assert_int_equal(z->new_since.ms, made.ms + 10);
    engine_drop_zone(w->engine, w->now, z, &w->ticket);
    assert_null(at(w, "default.in"));
    b = settle(w, 0);
    assert_non_null(find_effect(b, EFFECT_DROP_ZONE));
    engine_recycle(w->engine, b);
    assert_int_equal(w->redeemed, 6);
    assert_int_equal(w->err, 0);
}

static void one_that_fires_for_what_is_there_has_nothing_to_record(void **state)
{
    struct world *w = *state;
    assert_true(add(w, "{\"initial\":\"fire\"}")->primed);
}

/* One change fails to reach the disk: all is as it was, and who watches is told. */
static void what_failed_is_undone(void **state)
{
    struct world *w = *state;
    add(w, "{}");
    struct batch *b = settle(w, -EIO);
    assert_null(at(w, "default.in"));
    assert_non_null(find_effect(b, EFFECT_ARM));
    assert_null(find_effect(b, EFFECT_PUT_ZONE));
    engine_recycle(w->engine, b);
    assert_int_equal(w->err, -EIO);

    struct zone *z = add(w, "{}");
    engine_recycle(w->engine, settle(w, 0));
    engine_prime_zone(w->engine, w->now, z, &w->ticket);
    engine_recycle(w->engine, settle(w, 0));
    struct zone_def *before = z->def;
    const struct wall made = z->new_since;
    w->now.wall.ms += 10;
    engine_change_zone(w->engine, w->now, z, def("{\"recursive\":true}"), &w->ticket);
    engine_prime_zone(w->engine, w->now, z, &w->ticket);
    assert_ptr_not_equal(z->def, before);
    engine_recycle(w->engine, settle(w, -ENOSPC));
    assert_ptr_equal(z->def, before);
    assert_true(z->primed && z->new_since.ms == made.ms);

    const int64_t key = z->key;
    engine_drop_zone(w->engine, w->now, z, &w->ticket);
    struct zone *again = add(w, "{}"); /* on top of it */
    assert_true(again->key > key);
    engine_recycle(w->engine, settle(w, -EIO));
    assert_ptr_equal(at(w, "default.in"), z);
    engine_drop_zone(w->engine, w->now, z, NULL);
    engine_recycle(w->engine, settle(w, 0));
    assert_null(at(w, "default.in"));
}

static int feed(struct world *w, const struct zone *z, const char *path)
{
    const struct ledger_file file = {
        .zone_key = z->key, .path = slice_of(path), .inode = 1, .size = 2, .mtime_ns = 3};
    const struct event ev = {
        .source = "zone",
        .type = SLICE("file.arrived"),
        .subject = slice_of(path),
        .name = slice_of(path),
        .scope = slice_of(z->path),
        .payload = SLICE("{}"),
        .key = zone_match_key(slice_of(z->path)),
        .keep = true,
        .file = &file,
        .ticket = &w->ticket,
    };
    return engine_feed(w->engine, w->now, &ev);
}

static struct trigger *add_trigger(struct world *w, const char *scope, const char *glob)
{
    struct pipeline_def *d = mem_zalloc(sizeof(*d));
    struct rule rule = {.scope = mem_strdup(scope), .glob = mem_strdup(glob), .lists_files = true};
    struct pipeline *p = catalog_pipeline_at(engine_catalog(w->engine), SLICE("a.b.c"));
    d->spec = mem_strdup("{}");
    d->retry.max_attempts = 1;
    if (p == NULL)
        p = engine_add_pipeline(w->engine, w->now, SLICE("a.b.c"), d, NULL);
    else
        pipeline_def_destroy(d);
    rule_set_key(&rule, zone_match_key(slice_of(scope)));
    return engine_add_trigger(w->engine, w->now, p, "file_pattern",
                              trigger_def_create(SLICE("{}"), true, 60000, &rule), SLICE("label"),
                              NULL);
}

static void an_event_brings_its_row_of_the_ledger(void **state)
{
    struct world *w = *state;
    const struct zone *z = add(w, "{}");
    add_trigger(w, "default.in", "*.csv");
    assert_ptr_equal(
        catalog_zone_user(engine_catalog(w->engine), SLICE("default.in"))->pipeline->path,
        catalog_pipeline_at(engine_catalog(w->engine), SLICE("a.b.c"))->path);
    assert_null(catalog_zone_user(engine_catalog(w->engine), SLICE("default.other")));
    assert_int_equal(feed(w, z, "a.csv"), 1);
    struct batch *b = settle(w, 0);
    const struct effect_put_file *f = &find_effect(b, EFFECT_PUT_FILE)->put_file;
    const struct effect_put_event *e = &find_effect(b, EFFECT_PUT_EVENT)->put_event;
    assert_int_equal(uuid_cmp(f->id, e->id), 0);
    assert_true(e->zone_key == z->key && f->zone_key == z->key && f->size == 2 &&
                slice_is(f->path, "a.csv"));
    assert_true(slice_is(find_effect(b, EFFECT_START_RUN)->start_run.files, "[{}]"));
    engine_recycle(w->engine, b);

    assert_int_equal(feed(w, z, "b.csv"), 1); /* held back */
    assert_int_equal(feed(w, z, "c.txt"), 1); /* does not match, and is not */
    b = settle(w, 0);
    assert_int_equal(find_effect(b, EFFECT_TRIGGER_STATE)->trigger_state.held, 1);
    const struct uuid held = find_effect(b, EFFECT_PUT_EVENT)->put_event.id;
    engine_recycle(w->engine, b);
    w->now.mono.ms += 60000;
    w->now.wall.ms += 60000;
    assert_int_equal(feed(w, z, "d.csv"), 1);
    b = settle(w, 0);
    assert_int_equal(uuid_cmp(find_effect(b, EFFECT_PUT_RUN)->put_run.held_from, held), 0);
    assert_int_equal(find_effect(b, EFFECT_PUT_RUN)->put_run.status,
                     RUN_PENDING); /* its files have to be listed */
    engine_recycle(w->engine, b);
}

static void files_come_and_go_without_events(void **state)
{
    struct world *w = *state;
    const struct ledger_file file = {.zone_key = 7, .path = SLICE("a\xff"), .size = 2};
    assert_int_equal(engine_note_file(w->engine, w->now, &file, &w->ticket), 0);
    assert_int_equal(engine_drop_file(w->engine, w->now, 7, SLICE("b"), &w->ticket), 0);
    assert_int_equal(engine_keep_file(w->engine, w->now, &file, &w->ticket), 0);
    struct batch *b = settle(w, 0);
    assert_null(find_effect(b, EFFECT_PUT_EVENT));
    assert_true(slice_is(find_effect(b, EFFECT_PUT_FILE)->put_file.path, "a\xff"));
    assert_true(slice_is(find_effect(b, EFFECT_DROP_FILE)->drop_file.path, "b"));
    assert_true(slice_is(find_effect(b, EFFECT_KEEP_FILE)->keep_file.path, "a\xff"));
    engine_recycle(w->engine, b);
    assert_int_equal(w->redeemed, 3);
    unsigned n = 0;
    while (engine_note_file(w->engine, w->now, &file, &w->ticket) == 0)
        n++;
    assert_true(n > 10);
    assert_int_equal(engine_drop_file(w->engine, w->now, 7, SLICE("b"), &w->ticket), -ENOBUFS);
    assert_int_equal(engine_keep_file(w->engine, w->now, &file, &w->ticket), -ENOBUFS);
    engine_recycle(w->engine, settle(w, 0));
    assert_int_equal(w->redeemed, 3 + n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_zone_is_added_changed_and_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_fires_for_what_is_there_has_nothing_to_record,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_failed_is_undone, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_brings_its_row_of_the_ledger, setup, teardown),
        cmocka_unit_test_setup_teardown(files_come_and_go_without_events, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
