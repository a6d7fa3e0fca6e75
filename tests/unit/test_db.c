#include "store_fixture.h"
#include "fault_vfs.h"
#include "io/store/schema.h"
#include <signal.h>
#include <sys/wait.h>

/* A directory with nothing in it. */
struct place {
    char dir[32], path[48];
};

static int make_place(void **state)
{
    struct place *p = mem_zalloc(sizeof(*p));
    strcpy(p->dir, "db.XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->path, sizeof(p->path), "%s/pawl.db", p->dir);
    *state = p;
    return 0;
}

static int remove_place(void **state)
{
    struct place *p = *state;
    remove_dir(p->dir);
    free(p);
    return 0;
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void write_at(const char *path, off_t at, const char *bytes, size_t len)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t)len);
    close(fd);
}

static void make_db(const char *dir)
{
    struct diag why;
    struct db *db = db_open(dir, &why);
    assert_non_null(db);
    db_close(db);
}

/* Neither opens, and the writer's message has the path and the part. */
static void expect_refused(const struct place *p, const char *part)
{
    struct diag why = {.msg = ""};
    assert_null(db_open_reader(p->dir, &why));
    why.msg[0] = '\0';
    assert_null(db_open(p->dir, &why));
    assert_non_null(strstr(why.msg, p->path));
    if (strstr(why.msg, part) == NULL)
        fail_msg("'%s' has no '%s'", why.msg, part);
}

/* ---- opening ---- */

static void new_database_is_private_and_stays(void **state)
{
    struct place *p = *state;
    struct diag why;
    struct db *db = db_open(p->dir, &why);
    assert_non_null(db);
    assert_int_equal(mode_of(p->path), 0600);
    assert_int_equal(store_add_key(db, "a", (const uint8_t[32]){1}, T0), 0);
    char log[64];
    snprintf(log, sizeof(log), "%s-wal", p->path);
    assert_int_equal(mode_of(log), 0600);
    db_close(db);
    assert_int_equal(access(log, F_OK), -1);

    db = db_open(p->dir, &why);
    assert_non_null(db);
    assert_int_equal(store_drop_key(db, "a"), 0);
    db_close(db);
}

static void reader_needs_a_database_and_cannot_write(void **state)
{
    struct place *p = *state;
    struct diag why;
    assert_null(db_open_reader(p->dir, &why));
    assert_int_equal(access(p->path, F_OK), -1);
    make_db(p->dir);
    struct db *db = db_open_reader(p->dir, &why);
    assert_non_null(db);
    assert_int_equal(store_add_key(db, "a", (const uint8_t[32]){1}, T0), -EROFS);
    assert_non_null(strstr(db_error_text(db), "readonly"));
    db_close(db);
}

static void newer_schema_is_refused(void **state)
{
    struct place *p = *state;
    make_db(p->dir);
    char sql[64];
    snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", SCHEMA_VERSION + 1);
    run_sql(p->path, sql);
    expect_refused(p, "newer pawl");
}

static void impossible_schema_is_refused(void **state)
{
    struct place *p = *state;
    make_db(p->dir);
    run_sql(p->path, "PRAGMA user_version = -7");
    expect_refused(p, "damaged");
}

static void other_programs_database_is_refused(void **state)
{
    struct place *p = *state;
    run_sql(p->path, "CREATE TABLE theirs (a)");
    expect_refused(p, "another program");
}

static void text_file_is_refused(void **state)
{
    struct place *p = *state;
    write_at(p->path, 0, "These are my notes, not a database at all.\n", 43);
    expect_refused(p, "not a database");
}

static void damaged_header_is_refused(void **state)
{
    struct place *p = *state;
    make_db(p->dir);
    write_at(p->path, 0, "SQLite format 4", 15);
    expect_refused(p, "not a database");
}

static void damaged_schema_is_refused(void **state)
{
    struct place *p = *state;
    make_db(p->dir);
    char junk[300];
    memset(junk, 0xa5, sizeof(junk));
    write_at(p->path, 100, junk, sizeof(junk));
    expect_refused(p, "malformed");
}

static void cut_file_is_refused_or_fails_later(void **state)
{
    struct place *p = *state;
    make_db(p->dir);
    assert_int_equal(truncate(p->path, 4096), 0);
    struct diag why;
    struct db *db = db_open(p->dir, &why);
    if (db == NULL)
        return;
    assert_int_equal(store_add_key(db, "a", (const uint8_t[32]){1}, T0), -EBADMSG);
    db_close(db);
}

static void directory_in_its_place_is_refused(void **state)
{
    struct place *p = *state;
    assert_int_equal(mkdir(p->path, 0700), 0);
    expect_refused(p, "cannot be opened");
    rmdir(p->path);
}

/* ---- a bad disk ---- */

static void full_disk_is_refused(void **state)
{
    struct place *p = *state;
    struct diag why = {.msg = ""};
    fault_arm(FAULT_ENOSPC, 1, true);
    assert_null(db_open(p->dir, &why));
    assert_true(fault_disarm() > 0);
    assert_non_null(strstr(why.msg, "the disk is full"));
    make_db(p->dir);
}

/* Whatever write or sync fails while a database is made, the next start makes it. */
static void making_survives_every_fault(void **state)
{
    static const enum fault faults[] = {FAULT_ENOSPC, FAULT_EIO, FAULT_TORN, FAULT_SYNC};
    struct place *p = *state;
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        unsigned hits = 1;
        for (unsigned nth = 1; hits > 0; nth++) {
            struct diag why = {.msg = ""};
            fault_arm(faults[i], nth, true);
            struct db *db = db_open(p->dir, &why);
            hits = fault_disarm();
            assert_true(db != NULL || (hits > 0 && why.msg[0] != '\0'));
            db_close(db);
            make_db(p->dir);
            remove_dir(p->dir);
            assert_int_equal(mkdir(p->dir, 0700), 0);
        }
    }
}

/* ---- the lock ---- */

static void directory_is_made_private(void **state)
{
    struct place *p = *state;
    char dir[64], lock[80];
    struct diag why;
    snprintf(dir, sizeof(dir), "%s/a/b/", p->dir);
    snprintf(lock, sizeof(lock), "%s/pawl.lock", dir);
    const int fd = db_lock_dir(dir, &why);
    assert_true(fd >= 0);
    assert_int_equal(mode_of(dir), 0700);
    assert_int_equal(mode_of(lock), 0600);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    db_unlock_dir(fd);
}

/* Another process that takes the directory, says so on a pipe, and does no more. With a child, it has one that holds everything it had
 * open, like a command between fork and exec; the child ends when `hold` is closed. */
static pid_t start_holder(const char *dir, bool with_child, int hold[2])
{
    int said[2];
    char c;
    assert_int_equal(pipe(said), 0);
    assert_int_equal(pipe(hold), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct diag why;
        close(hold[1]);
        if (db_lock_dir(dir, &why) < 0)
            _exit(1);
        if (with_child && fork() == 0) {
            (void)!read(hold[0], &c, 1);
            _exit(0);
        }
        (void)!write(said[1], "x", 1);
        pause();
        _exit(0);
    }
    close(hold[0]);
    assert_int_equal(read(said[0], &c, 1), 1);
    close(said[0]);
    close(said[1]);
    return pid;
}

static void kill_holder(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void second_daemon_is_told_the_first_ones_pid(void **state)
{
    struct place *p = *state;
    struct diag why;
    char text[32];
    int hold[2];
    assert_int_equal(db_lock_holder(p->dir), 0);
    const pid_t pid = start_holder(p->dir, false, hold);
    assert_int_equal(db_lock_holder(p->dir), pid);
    assert_int_equal(db_lock_dir(p->dir, &why), -EBUSY);
    snprintf(text, sizeof(text), "(pid %d)", pid);
    assert_non_null(strstr(why.msg, text));
    kill_holder(pid);
    close(hold[1]);
    assert_int_equal(db_lock_holder(p->dir), 0);
    const int again = db_lock_dir(p->dir, &why);
    assert_true(again >= 0);
    db_unlock_dir(again);
}

/* The daemon was killed while it started a command: the lock died with the daemon, whatever the child still has open. */
static void child_of_a_dead_daemon_holds_nothing(void **state)
{
    struct place *p = *state;
    struct diag why;
    int hold[2];
    kill_holder(start_holder(p->dir, true, hold));
    const int fd = db_lock_dir(p->dir, &why);
    assert_true(fd >= 0);
    db_unlock_dir(fd);
    close(hold[1]);
}

static void file_as_directory_is_refused(void **state)
{
    struct place *p = *state;
    struct diag why;
    write_at(p->path, 0, "x", 1);
    assert_true(db_lock_dir(p->path, &why) < 0);
    assert_non_null(strstr(why.msg, "is not a directory"));
    char below[64];
    snprintf(below, sizeof(below), "%s/data", p->path);
    assert_true(db_lock_dir(below, &why) < 0);
    assert_non_null(strstr(why.msg, "is not a directory"));
}

static void codes_become_errnos(void **state)
{
    static const struct {
        int code, err;
    } rows[] = {
        {SQLITE_OK, 0},
        {SQLITE_DONE, 0},
        {SQLITE_FULL, -ENOSPC},
        {SQLITE_IOERR, -EIO},
        {SQLITE_IOERR_FSYNC, -EIO},
        {SQLITE_BUSY_SNAPSHOT, -EBUSY},
        {SQLITE_READONLY_DBMOVED, -EROFS},
        {SQLITE_CORRUPT, -EBADMSG},
        {SQLITE_NOTADB, -EBADMSG},
        {SQLITE_CONSTRAINT_UNIQUE, -EEXIST},
        {SQLITE_CANTOPEN, -ENOENT},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(db_errno(rows[i].code), rows[i].err);
    assert_true(db_errno(SQLITE_MISUSE) < 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(new_database_is_private_and_stays),
        TEST(reader_needs_a_database_and_cannot_write),
        TEST(newer_schema_is_refused),
        TEST(impossible_schema_is_refused),
        TEST(other_programs_database_is_refused),
        TEST(text_file_is_refused),
        TEST(damaged_header_is_refused),
        TEST(damaged_schema_is_refused),
        TEST(cut_file_is_refused_or_fails_later),
        TEST(directory_in_its_place_is_refused),
        TEST(full_disk_is_refused),
        TEST(making_survives_every_fault),
        TEST(directory_is_made_private),
        TEST(second_daemon_is_told_the_first_ones_pid),
        TEST(child_of_a_dead_daemon_holds_nothing),
        TEST(file_as_directory_is_refused),
        cmocka_unit_test(codes_become_errnos),
    };
    fault_vfs_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
