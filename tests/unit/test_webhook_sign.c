#include "io/secret/webhook_sign.h"
#include "base/check.h"
#include "io/secret/secret.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* The example of the Standard Webhooks specification's libraries. */
static void it_signs_as_others_do(void **state)
{
    struct str out = {0};
    webhook_sign(&out, SLICE("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
                 SLICE("msg_p5jXN8AQM9LWM0D4loKWxJek"), 1614265330,
                 SLICE("{\"test\": 2432232314}"));
    assert_string_equal(out.p, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    str_release(&out);
}

static void it_knows_a_secret(void **state)
{
    static const struct {
        struct slice text;
        bool valid;
    } cases[] = {
        {SLICE("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), true},  /* 24 bytes */
        {SLICE("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaQ="), false}, /* 23 */
        {SLICE("whsec_"
               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
               "AAA=="),
         true}, /* 64 */
        {SLICE("whsec_"
               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
               "AAAA="),
         false}, /* 65 */
        {SLICE("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), false},
        {SLICE("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La!aSw"), false},
        {SLICE("whsec_"), false},
        {SLICE(""), false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(webhook_secret_valid(cases[i].text), cases[i].valid);
}

int main(void)
{
    secret_init();
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_signs_as_others_do),
                                       cmocka_unit_test(it_knows_a_secret)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
