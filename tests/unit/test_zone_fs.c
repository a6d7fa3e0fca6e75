/* Looking at files in a directory without leaving it. */
#include "base/mem.h"
#include "source/zone_fs.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct place {
    char dir[32];
    int root;
};

static int setup(void **state)
{
    struct place *p = mem_zalloc(sizeof(*p));
    strcpy(p->dir, "zone_fs.XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    signal(SIGIO, SIG_IGN); /* as the source does */
    p->root = zone_fs_root(&(struct zone_root){.directory = p->dir});
    assert_true(p->root >= 0);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    close(p->root);
    zone_fs_remove(p->dir);
    assert_int_equal(access(p->dir, F_OK), -1);
    free(p);
    return 0;
}

static void put(struct place *p, const char *path, const char *content)
{
    const int fd = openat(p->root, path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static struct zone_look look(struct place *p, const char *path, bool writers)
{
    struct zone_lookout l;
    struct zone_look ret;
    zone_lookout_init(&l, p->root);
    zone_fs_look(&l, path, writers, &ret);
    zone_lookout_release(&l);
    return ret;
}

static void kinds(void **state)
{
    struct place *p = *state;
    put(p, "file", "hello");
    assert_int_equal(mkdirat(p->root, "dir", 0700), 0);
    put(p, "dir/below", "x");
    assert_int_equal(mkfifoat(p->root, "fifo", 0600), 0);
    assert_int_equal(symlinkat("file", p->root, "link"), 0);
    assert_int_equal(symlinkat("dir", p->root, "dirlink"), 0);
    assert_int_equal(symlinkat("/", p->root, "rootlink"), 0);
    for (int writers = 0; writers <= 1; writers++) {
        const struct zone_look f = look(p, "file", writers);
        assert_int_equal(f.kind, LOOK_FILE);
        assert_int_equal(f.size, 5);
        assert_true(f.inode != 0 && f.mtime_ns > 0 && f.ctime_ns >= f.mtime_ns);
        assert_true(f.born_ns >= 0 && f.born_ns <= f.ctime_ns);
        assert_int_equal(look(p, "dir/below", writers).kind, LOOK_FILE);
        assert_int_equal(look(p, "dir", writers).kind, LOOK_OTHER);
        assert_int_equal(look(p, "fifo", writers).kind, LOOK_OTHER);
        assert_int_equal(look(p, "link", writers).kind, LOOK_OTHER);
        assert_int_equal(look(p, "dirlink/below", writers).kind, LOOK_GONE);
        assert_int_equal(look(p, "rootlink/etc/passwd", writers).kind, LOOK_GONE);
        assert_int_equal(look(p, "dir/../file", writers).kind, LOOK_GONE);
        assert_int_equal(look(p, "none", writers).kind, LOOK_GONE);
        assert_int_equal(look(p, "file/none", writers).kind, LOOK_GONE);
    }
}

static void who_writes_is_known(void **state)
{
    struct place *p = *state;
    put(p, "file", "hello");
    const int reader = openat(p->root, "file", O_RDONLY);
    assert_int_equal(look(p, "file", true).kind, LOOK_FILE);
    const int writer = openat(p->root, "file", O_WRONLY | O_APPEND);
    assert_int_equal(look(p, "file", true).kind, LOOK_BUSY);
    assert_int_equal(look(p, "file", false).kind, LOOK_FILE);
    const int copy = dup(writer);
    close(writer);
    assert_int_equal(look(p, "file", true).kind, LOOK_BUSY);
    close(copy);
    assert_int_equal(look(p, "file", true).kind, LOOK_FILE);
    const int again =
        openat(p->root, "file", O_WRONLY); /* no lease is left behind that would hold this up */
    assert_true(again >= 0);
    close(again);
    close(reader);
}

static void the_last_directory_is_kept(void **state)
{
    struct place *p = *state;
    struct zone_lookout l;
    struct zone_look ret;
    assert_int_equal(mkdirat(p->root, "a", 0700), 0);
    assert_int_equal(mkdirat(p->root, "ab", 0700), 0);
    put(p, "a/x", "1");
    put(p, "ab/x", "22");
    put(p, "x", "333");
    zone_lookout_init(&l, p->root);
    static const char *const paths[] = {"a/x", "ab/x", "x", "a/x", "a/none", "none/x"};
    static const uint64_t sizes[] = {1, 2, 3, 1, 0, 0};
    for (size_t i = 0; i < 6; i++) {
        zone_fs_look(&l, paths[i], true, &ret);
        assert_int_equal(ret.kind, sizes[i] > 0 ? LOOK_FILE : LOOK_GONE);
        assert_int_equal(ret.size, sizes[i]);
    }
    zone_lookout_release(&l);
}

static void the_directory_is_the_one_that_was_watched(void **state)
{
    struct place *p = *state;
    struct stat st;
    char moved[64];
    assert_int_equal(fstat(p->root, &st), 0);
    const struct zone_root r = {.directory = p->dir, .dev = st.st_dev, .ino = st.st_ino};
    const int fd = zone_fs_root(&r);
    assert_true(fd >= 0);
    assert_true(zone_fs_is_local(fd));
    close(fd);
    snprintf(moved, sizeof(moved), "%s.moved", p->dir);
    assert_int_equal(rename(p->dir, moved), 0);
    assert_int_equal(zone_fs_root(&r), -ENOENT);
    assert_int_equal(mkdir(p->dir, 0700), 0);
    assert_int_equal(zone_fs_root(&r), -ESTALE);
    zone_fs_remove(moved);
}

static void directories_are_made_and_removed(void **state)
{
    struct place *p = *state;
    char path[64];
    char *cwd = getcwd(NULL, 0);
    char *deep = mem_printf("%s/%s/a/b/c", cwd, p->dir);
    assert_int_equal(zone_fs_make(deep), 0);
    assert_int_equal(zone_fs_make(deep), 0);
    put(p, "a/b/c/file", "x");
    assert_int_equal(symlinkat("..", p->root, "a/b/c/up"), 0);
    put(p, "stays", "x");
    snprintf(path, sizeof(path), "%s/a", p->dir);
    zone_fs_remove(path);
    assert_int_equal(look(p, "a", false).kind, LOOK_GONE);
    assert_int_equal(look(p, "stays", false).kind, LOOK_FILE);
    free(deep);
    deep = mem_printf("%s/%s/stays/below", cwd, p->dir);
    assert_int_equal(zone_fs_make(deep), -ENOTDIR);
    free(deep);
    free(cwd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(who_writes_is_known, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_directory_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(the_directory_is_the_one_that_was_watched, setup, teardown),
        cmocka_unit_test_setup_teardown(directories_are_made_and_removed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
