/* What became of a file since the ledger has it: the same arrival or another. */
#include "base/check.h"
#include "io/store/query.h"
#include "source/zone_fs.h"
#include "source/zone_same.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define S 1000000000LL
#define T (1770000000 * S) /* when the file arrived */
#define OLD (T - 86400 * S)

static const struct {
    const char *what;
    int64_t known_mtime, known_ctime, mtime, ctime;
    enum zone_same is;
} times[] = {
    {"nothing", T, T, T, T, ZONE_SAME},
    {"chmod, a second link, a rename", T, T, T, T + S, ZONE_SAME},
    {"written again, and its time set back to what it was", T, T, T, T + S, ZONE_SAME},
    {"written again", T, T, T + S, T + S, ZONE_OTHER},
    {"written again, then chmod", T, T, T + S, T + 2 * S, ZONE_OTHER},
    {"touch", T, T, T + S, T + S, ZONE_OTHER},
    {"its time set back after it was closed", T, T, OLD, T + 1, ZONE_RETIMED},
    {"set to the epoch", T, T, 0, T + 1, ZONE_RETIMED},
    {"set by a sender whose clock is ahead", T, T, T + 60 * S, T + 1, ZONE_RETIMED},
    {"renamed or chmoded before we looked, then set back", T - S, T, OLD, T + 1, ZONE_RETIMED},
    {"the longest pause", T - ZONE_FRESH_NS, T, OLD, T + 1, ZONE_RETIMED},
    {"another version, also with its own time", OLD, T, OLD + S, T + S, ZONE_OTHER},
    {"an older version, also with its own time", OLD, T, OLD - S, T + S, ZONE_OTHER},
    {"written over one with its own time", OLD, T, T + S, T + S, ZONE_OTHER},
    {"set twice", OLD, T + 1, 0, T + 2, ZONE_OTHER},
    {"one that came from the future", T + 60 * S, T, OLD, T + S, ZONE_OTHER},
};

static void times_tell(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        const struct ledger_look known = {
            .known = true,
            .inode = 1,
            .size = 2,
            .mtime_ns = times[i].known_mtime,
            .ctime_ns = times[i].known_ctime,
        };
        const struct zone_look now = {
            .inode = 1, .size = 2, .mtime_ns = times[i].mtime, .ctime_ns = times[i].ctime};
        if (zone_same(&known, &now) != times[i].is)
            fail_msg("%s", times[i].what);
    }
}

static void so_do_inode_and_size(void **state)
{
    const struct ledger_look known = {
        .known = true, .inode = 1, .size = 2, .mtime_ns = T, .ctime_ns = T};
    struct ledger_look unknown = known;
    unknown.known = false;
    const struct zone_look same = {.inode = 1, .size = 2, .mtime_ns = T, .ctime_ns = T};
    struct zone_look inode = same, size = same;
    inode.inode = 2;
    size.size = 3;
    assert_int_equal(zone_same(&known, &same), ZONE_SAME);
    assert_int_equal(zone_same(&unknown, &same), ZONE_OTHER);
    assert_int_equal(zone_same(&known, &inode), ZONE_OTHER);
    assert_int_equal(zone_same(&known, &size), ZONE_OTHER);
}

/* An inode's number is used again. */
static void so_does_birth(void **state)
{
    const struct ledger_look known = {
        .known = true, .inode = 1, .size = 2, .mtime_ns = T, .ctime_ns = T};
    struct ledger_look gone = known;
    gone.gone = true;
    const struct zone_look set = {.inode = 1, .size = 2, .mtime_ns = OLD, .ctime_ns = T + 2};
    struct zone_look before = set, after = set, same = set;
    before.born_ns = T;
    after.born_ns = T + 1;
    same.born_ns = T + 1;
    same.mtime_ns = T;
    assert_int_equal(zone_same(&known, &before), ZONE_RETIMED);
    assert_int_equal(zone_same(&gone, &before), ZONE_RETIMED); /* it was away and is back */
    assert_int_equal(zone_same(&known, &after), ZONE_OTHER);
    assert_int_equal(zone_same(&gone, &after), ZONE_OTHER);
    assert_int_equal(zone_same(&known, &set), ZONE_RETIMED);
    assert_int_equal(zone_same(&gone, &set), ZONE_OTHER);
    assert_int_equal(zone_same(&gone, &same), ZONE_SAME); /* the four say all there is to say */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_tell),
        cmocka_unit_test(so_do_inode_and_size),
        cmocka_unit_test(so_does_birth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
