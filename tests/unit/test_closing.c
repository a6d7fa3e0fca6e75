#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/mem.h"
#include "source/closing.h"

/* On the heap, so that a sanitizer sees who touches it too late. */
struct owner {
    struct closing closing;
    char *log; /* 'g': gone, 'c': closed */
};

static void note(char *log, char what)
{
    while (*log != '\0')
        log++;
    *log = what;
}

static void gone(struct closing *c)
{
    struct owner *o = container_of(c, struct owner, closing);
    note(o->log, 'g');
    free(o);
}

static void closed(void *arg)
{
    note(arg, 'c');
}

/* '+' begins, '-' ends, '_' ends as a callback, '!' stops; '?' asks that it is still there, '.' that it is not. */
static const char *const lives[] = {
    "!?-.",      /* nothing was open */
    "+-+-?!?-.", /* all ends before it stops: that is no end */
    "+!?-?-.",   /* what is open ends while it stops */
    "++!-?-?-.", /* and after it */
    "+!-?+-?-.", /* what begins while it stops is waited for */
    "++!-?_?_.",
};

static void test_lives(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(lives); i++) {
        char log[4] = "";
        struct owner *o = mem_zalloc(sizeof(*o));
        o->closing.gone = gone;
        o->log = log;
        for (const char *s = lives[i]; *s != '\0'; s++) {
            if (*s == '+')
                closing_begin(&o->closing);
            else if (*s == '-')
                closing_end(&o->closing);
            else if (*s == '_')
                closing_ended(&o->closing);
            else if (*s == '!')
                closing_stop(&o->closing, closed, log);
            else
                assert_string_equal(log, *s == '?' ? "" : "gc");
        }
    }
}

static void test_stopping_can_be_read(void **state)
{
    char log[4] = "";
    struct owner *o = mem_zalloc(sizeof(*o));
    *o = (struct owner){{.gone = gone}, log};
    closing_begin(&o->closing);
    assert_false(o->closing.stopping);
    closing_stop(&o->closing, closed, log);
    assert_true(o->closing.stopping);
    closing_end(&o->closing);
    closing_end(&o->closing);
    assert_string_equal(log, "gc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lives),
        cmocka_unit_test(test_stopping_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
