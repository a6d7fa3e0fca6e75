/* Commands: how they end, what they get, what they write, and many of them. */
#include "executor_fixture.h"
#include "core/event_doc.h"
#include "io/process/run_log.h"
#include "io/process/run_output.h"

/* ---- how programs end ---- */

struct row {
    const char *executor; /* JSON with ' for ", without the type */
    enum run_status status;
    const char *output, *error;
};

static const struct row rows[] = {
    {"'argv':['true']", RUN_SUCCESS, "", ""},
    {"'argv':['/bin/echo','hi']", RUN_SUCCESS, "hi\n", ""},
    {"'argv':['printf','%s|','a b','$HOME',';','*']", RUN_SUCCESS, "a b|$HOME|;|*|", ""},
    {"'argv':['sh','-c','exit 3']", RUN_FAILED, "", "exit status 3"},
    {"'argv':['sh','-c','echo partly; exit 255']", RUN_FAILED, "partly\n", "exit status 255"},
    {"'argv':['sh','-c','kill -9 $$']", RUN_FAILED, "", "killed by signal 9 (SIGKILL)"},
    {"'argv':['sh','-c','kill -TERM $$']", RUN_FAILED, "", "killed by signal 15 (SIGTERM)"},
    {"'argv':['sh','-c','kill -40 $$']", RUN_FAILED, "", "killed by signal 40"},
    {"'argv':['no-such-program']", RUN_FAILED, "",
     "cannot start \"no-such-program\": No such file or directory"},
    {"'argv':['/no/such/program']", RUN_FAILED, "",
     "cannot start \"/no/such/program\": No such file or directory"},
    {"'argv':['/etc']", RUN_FAILED, "", "cannot start \"/etc\": Permission denied"},
    {"'argv':['/etc/passwd/x']", RUN_FAILED, "", "cannot start \"/etc/passwd/x\": Not a directory"},
    {"'argv':['a\\nb']", RUN_FAILED, "", "cannot start \"a?b\": No such file or directory"},
    {"'argv':['pwd'],'cwd':'/usr/bin'", RUN_SUCCESS, "/usr/bin\n", ""},
    {"'argv':['./true'],'cwd':'/bin'", RUN_SUCCESS, "", ""},
    {"'argv':['true'],'cwd':'/no/such'", RUN_FAILED, "",
     "cannot change to directory \"/no/such\": No such file or directory"},
    {"'argv':['true'],'cwd':'/etc/passwd'", RUN_FAILED, "",
     "cannot change to directory \"/etc/passwd\": Not a directory"},
    {"'argv':['no-such-program'],'cwd':'/'", RUN_FAILED, "",
     "cannot start \"no-such-program\": No such file or directory"},
    {"'argv':['sh','-c','echo out; echo err >&2']", RUN_SUCCESS, "out\n", ""},
    /* a leader of its own group */
    {"'argv':['sh','-c','read a b c d e rest </proc/$$/stat; test $e = $$']", RUN_SUCCESS, "", ""},
    /* no descriptor but the three, and the one that ls itself opens */
    {"'argv':['ls','/proc/self/fd']", RUN_SUCCESS, "0\n1\n2\n3\n", ""},
    {"'argv':['grep','-c','^Sig[BI][lg][kn]:.*[1-9a-f]','/proc/self/status']", RUN_FAILED, "0\n",
     "exit status 1"},
};

static void start_row(struct world *w, const struct row *row)
{
    struct str spec = {0};
    str_printf(&spec, "{'executor':{'type':'command',%s}}", row->executor);
    world_start(w, world_next(w), spec.p);
    str_release(&spec);
}

/* The daemon's own state must not show: a descriptor that its parent leaked, signals blocked and ignored. */
static void test_ends(void **state)
{
    struct world *w = *state;
    sigset_t set, before;
    int leaked = open("/dev/null", O_RDONLY);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &before);
    signal(SIGUSR2, SIG_IGN);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        start_row(w, &rows[i]);
        world_await(w, i + 1);
        expect_end(world_last(w), rows[i].status, rows[i].output, rows[i].error);
        assert_false(world_last(w)->interrupted);
    }
    signal(SIGUSR2, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(leaked);
}

static void test_file_without_interpreter(void **state)
{
    struct world *w = *state;
    struct str spec = {0}, path = {0}, error = {0};
    str_printf(&path, "%s/script", w->dir);
    int fd = open(path.p, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
    assert_int_equal(write(fd, "echo no\n", 8), 8);
    close(fd);
    str_printf(&spec, "{'executor':{'type':'command','argv':['%s']}}", path.p);
    str_printf(&error, "cannot start \"%s\": Exec format error", path.p);
    world_start(w, world_next(w), spec.p);
    world_await(w, 1);
    unlink(path.p);
    expect_end(world_last(w), RUN_FAILED, "", error.p);
    str_release(&spec);
    str_release(&path);
    str_release(&error);
}

static void test_log(void **state)
{
    struct world *w = *state;
    world_start_script(w, world_next(w), "echo out; echo err >&2; printf last", "");
    world_await(w, 1);
    const char *log = world_last(w)->log;
    assert_non_null(strstr(log, "\"stream\":\"stdout\",\"message\":\"out\"}\n"));
    assert_non_null(strstr(log, "\"stream\":\"stderr\",\"message\":\"err\"}\n"));
    assert_non_null(strstr(log, "\"stream\":\"stdout\",\"message\":\"last\"}\n"));
    assert_memory_equal(log, "{\"time\":\"20", 11);
}

/* ---- what programs get ---- */

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void expect_sorted_lines(char *text, const char *const *expected, size_t count)
{
    char *lines[64];
    size_t n = 0;
    for (char *line = strtok(text, "\n"); line != NULL && n < 64; line = strtok(NULL, "\n"))
        lines[n++] = line;
    qsort(lines, n, sizeof(lines[0]), compare_lines);
    for (size_t i = 0; i < n && i < count; i++)
        assert_string_equal(lines[i], expected[i]);
    assert_int_equal(n, count);
}

static void test_environment(void **state)
{
    struct world *w = *state;
    static const char *const expected[] = {
        "A=1",
        "HOME=/home/someone",
        "LANG=C",
        "LOGNAME=someone",
        "PATH=/usr/bin:/bin",
        "PAWL_ATTEMPT=7",
        "PAWL_EVENT_ID=0190a000-0000-7000-8000-0000e0000001",
        "PAWL_PIPELINE=shop.silver.orders",
        "PAWL_RUN_ID=0190a000-0000-7000-8000-000000000001",
        "PAWL_TRIGGER_TYPE=webhook",
        "TZ=Europe/Berlin",
        "_x=a b=c",
    };
    setenv("PATH", "/usr/bin:/bin", 1);
    setenv("HOME", "/home/someone", 1);
    setenv("LANG", "de_DE.UTF-8", 1);
    setenv("TZ", "UTC", 1);
    setenv("LOGNAME", "someone", 1);
    unsetenv("USER");
    setenv("PAWL_API_KEY", "secret", 1);
    setenv("OTHER", "not for commands", 1);
    struct run_start s = world_next(w);
    s.attempt = 7;
    world_start(w, s,
                "{'executor':{'type':'command','argv':['env'],"
                "'env':{'A':'1','TZ':'Europe/Berlin','_x':'a b=c','LANG':'C'}}}");
    world_await(w, 1);
    unsetenv("TZ");
    expect_sorted_lines(world_last(w)->output, expected, ARRAY_SIZE(expected));
}

static void test_stdin_is_the_event(void **state)
{
    struct world *w = *state;
    struct run_start s = world_next(w);
    struct str doc = {0};
    event_doc_add(&doc, &s);
    world_start(w, s, "{'executor':{'type':'command','argv':['cat']}}");
    world_await(w, 1);
    expect_end(world_last(w), RUN_SUCCESS, doc.p, "");
    str_release(&doc);
}

/* An event far beyond what a pipe holds. */
static struct run_start big_event(struct world *w, struct str *payload)
{
    struct run_start s = world_next(w);
    str_add_cstr(payload, "[0");
    while (payload->len < (1 << 20))
        str_add_cstr(payload, ",123456789");
    str_add_char(payload, ']');
    s.payload = str_slice(payload);
    return s;
}

static void test_big_event(void **state)
{
    struct world *w = *state;
    struct str payload = {0}, doc = {0};
    char expected[32];
    struct run_start s = big_event(w, &payload);
    event_doc_add(&doc, &s);
    snprintf(expected, sizeof(expected), "%zu\n", doc.len);
    world_start(w, s, "{'executor':{'type':'command','argv':['wc','-c']}}");
    str_release(&payload); /* only borrowed */
    world_await(w, 1);
    expect_end(world_last(w), RUN_SUCCESS, expected, "");
    str_release(&doc);
}

static void test_big_event_that_nobody_reads(void **state)
{
    struct world *w = *state;
    static const char *const scripts[] = {
        "true",
        "exec <&-; exec sleep 0.05",
        "head -c 100000 >/dev/null",
        "exec sleep 0.05",
    };
    for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
        struct str payload = {0};
        world_start_script(w, big_event(w, &payload), scripts[i], "");
        str_release(&payload);
    }
    world_await(w, ARRAY_SIZE(scripts));
    for (size_t i = 0; i < ARRAY_SIZE(scripts); i++)
        expect_end(&w->ends.items[i], RUN_SUCCESS, "", "");
}

/* ---- output ---- */

static void test_flood_is_bounded(void **state)
{
    struct world *w = *state;
    world_start_script(w, world_next(w), "yes | head -c 30000000; yes err | head -c 5000000 >&2",
                       "");
    world_await(w, 1);
    struct end *e = world_last(w);
    static const char mark[] = "\n[output truncated at 1048576 bytes]";
    assert_int_equal(e->status, RUN_SUCCESS);
    assert_int_equal(e->output_len, RUN_OUTPUT_BYTES_MAX + strlen(mark));
    assert_string_equal(e->output + RUN_OUTPUT_BYTES_MAX, mark);
    assert_in_range(e->log_len, RUN_LOG_BYTES_MAX / 2, RUN_LOG_BYTES_MAX + 256);
    assert_non_null(strstr(e->log + e->log_len - 64, "\"truncated\":true}\n"));
}

static void count_tick(uv_timer_t *t)
{
    ++*(unsigned *)t->data;
}

/* While four programs write as fast as they can, a timer has its turn, too. */
static void test_flood_does_not_starve_the_loop(void **state)
{
    struct world *w = *state;
    struct uuid runs[4];
    uv_timer_t timer;
    unsigned ticks = 0;
    CHECK(uv_timer_init(&w->loop, &timer) == 0);
    timer.data = &ticks;
    CHECK(uv_timer_start(&timer, count_tick, 5, 5) == 0);
    for (size_t i = 0; i < 4; i++)
        runs[i] = world_start(w, world_next(w), "{'executor':{'type':'command','argv':['yes']}}");
    while (ticks < 50)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(w->ends.len, 0);
    for (size_t i = 0; i < 4; i++)
        assert_true(dispatcher_cancel(w->dispatcher, runs[i]));
    world_await(w, 4);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < 4; i++)
        expect_end(&w->ends.items[i], RUN_CANCELLED, NULL, "cancelled");
}

/* ---- many ---- */

static void test_two_hundred_at_the_same_time(void **state)
{
    struct world *w = *state;
    enum { COUNT = 200 };
    char gate[48], lines[COUNT];
    snprintf(gate, sizeof(gate), "%s/gate", w->dir);
    assert_int_equal(mkfifo(gate, 0600), 0);
    int fd = open(gate, O_RDWR | O_CLOEXEC);
    for (int i = 0; i < COUNT; i++)
        world_start_script(w, world_next(w),
                           "printf r >$0/ready; read line <$0/gate; echo $PAWL_RUN_ID", "");
    world_await_ready(w, COUNT); /* all of them are running now */
    assert_int_equal(dispatcher_running(w->dispatcher), COUNT);
    memset(lines, '\n', sizeof(lines));
    assert_int_equal(write(fd, lines, sizeof(lines)), COUNT);
    world_await(w, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        char expected[UUID_TEXT_LEN + 2];
        uuid_format(w->ends.items[i].run, expected);
        strcat(expected, "\n");
        expect_end(&w->ends.items[i], RUN_SUCCESS, expected, "");
    }
    close(fd);
    unlink(gate);
}

static void run_one_of_each(struct world *w)
{
    struct str payload = {0};
    struct run_start s = big_event(w, &payload);
    size_t ends = w->ends.len;
    world_start_script(w, s, "true", "");
    s = world_next(w);
    s.timeout_ms = 1;
    world_start_script(w, s, "sleep 1000", "");
    world_start(w, world_next(w), "{'executor':{'type':'command','argv':['/no/such']}}");
    world_start(w, world_next(w), "{'executor':{'type':'command','argv':['true'],'cwd':'/no'}}");
    world_start_script(w, world_next(w), "sleep 0.3 & echo x", "");
    dispatcher_cancel(w->dispatcher, world_start_script(w, world_next(w), "sleep 1000", ""));
    world_await(w, ends + 6);
    str_release(&payload);
}

static void test_no_descriptor_is_lost(void **state)
{
    struct world *w = *state;
    run_one_of_each(w);
    size_t before = count_open_fds();
    for (int i = 0; i < 5; i++)
        run_one_of_each(w);
    assert_int_equal(count_open_fds(), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ends),
        TEST(test_file_without_interpreter),
        TEST(test_log),
        TEST(test_environment),
        TEST(test_stdin_is_the_event),
        TEST(test_big_event),
        TEST(test_big_event_that_nobody_reads),
        TEST(test_flood_is_bounded),
        TEST(test_flood_does_not_starve_the_loop),
        TEST(test_two_hundred_at_the_same_time),
        TEST(test_no_descriptor_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
