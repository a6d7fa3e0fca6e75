/* The table of sources, and the webhook's trigger type. */
#include "base/check.h"
#include "base/hex.h"
#include "io/secret/secret.h"
#include "core/rule.h"
#include "pawl/source.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void check_options(const struct option_doc *o)
{
    static const char *const types[] = {"string", "integer", "boolean", "object", "array"};
    for (; o->name != NULL; o++) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
            known |= strcmp(o->type, types[i]) == 0;
        assert_true(known);
        assert_true(o->name[0] != '\0' && o->help[0] != '\0');
    }
}

static void check_type(const struct trigger_type *t)
{
    assert_true(t->name[0] != '\0' && t->help[0] != '\0');
    assert_true(t->check != NULL && t->rule != NULL && t->label != NULL);
    assert_non_null(t->options);
    check_options(t->options);
    assert_ptr_equal(trigger_type_find(t->name), t); /* so the name is unique */
}

static void every_row_is_complete(void **state)
{
    const char *last = "";
    for (const struct source_type *const *s = source_types; *s != NULL; s++) {
        assert_true(strcmp(last, (*s)->name) < 0);
        last = (*s)->name;
        assert_true((*s)->help[0] != '\0' && (*s)->start != NULL && (*s)->stop != NULL);
        for (const struct trigger_type *t = (*s)->trigger_types; t->name != NULL; t++)
            check_type(t);
    }
    assert_null(trigger_type_find("bogus"));
    assert_null(trigger_type_find(""));
}

/* ---- webhook ---- */

static const struct trigger_type *webhook(void)
{
    const struct trigger_type *t = trigger_type_find("webhook");
    assert_non_null(t);
    return t;
}

static void a_new_webhook_gets_a_token(void **state)
{
    struct trigger_draft d;
    struct diag why;
    struct rule rule;
    uint8_t hash[SHA256_SIZE];
    char label[TRIGGER_LABEL_SIZE];
    json_t *config = json_pack("{s:s}", "token_hash", "0000");
    assert_int_equal(webhook()->check(NULL, config, NULL, &d, &why), 0);
    const char *token = json_string_value(json_object_get(d.shown_once, "webhook_token"));
    const char *stored = json_string_value(json_object_get(d.config, "token_hash"));
    assert_int_equal(json_object_size(d.config), 1);
    assert_int_equal(strlen(token), TOKEN_TEXT_LEN);
    sha256(slice_of(token), hash);
    assert_int_equal(webhook()->rule(d.config, &rule, &why), 0);
    assert_int_equal(rule.key->b[0], 'w');
    assert_memory_equal(rule.key->b + 1, hash, sizeof(hash));
    assert_true(hex_decode(slice_of(stored), hash, sizeof(hash)));
    assert_memory_equal(rule.key->b + 1, hash, sizeof(hash));
    webhook()->label(d.config, label);
    assert_string_equal(label, "trigger:webhook");
    rule_release(&rule);
    trigger_draft_release(&d);
    json_decref(config);
}

static void a_token_cannot_be_changed(void **state)
{
    struct trigger_draft first, again;
    struct diag why;
    json_t *empty = json_object(), *other = json_pack("{s:s}", "token_hash", "00");
    assert_int_equal(webhook()->check(NULL, empty, NULL, &first, &why), 0);
    json_t *same = json_deep_copy(first.config);
    assert_int_equal(webhook()->check(NULL, same, first.config, &again, &why), 0);
    assert_true(json_equal(again.config, first.config));
    assert_null(again.shown_once);
    trigger_draft_release(&again);
    assert_int_equal(webhook()->check(NULL, empty, first.config, &again, &why), -EINVAL);
    assert_int_equal(webhook()->check(NULL, other, first.config, &again, &why), -EINVAL);
    assert_int_equal(strncmp(why.msg, "config: ", 8), 0);
    trigger_draft_release(&first);
    json_decref(same);
    json_decref(empty);
    json_decref(other);
}

static void unknown_fields_are_refused(void **state)
{
    struct trigger_draft d;
    struct diag why;
    json_t *config = json_pack("{s:s}", "secret", "x");
    assert_int_equal(webhook()->check(NULL, config, NULL, &d, &why), -EINVAL);
    assert_int_equal(strncmp(why.msg, "config.secret: ", 15), 0);
    json_decref(config);
}

static void stored_configs_that_are_none(void **state)
{
    static const char *const rows[] = {"{}", "{\"token_hash\":1}", "{\"token_hash\":\"\"}",
                                       "{\"token_hash\":\"zz\"}"};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct rule rule = {.ends = 1};
        struct diag why;
        json_t *config = json_loads(rows[i], 0, NULL);
        assert_int_equal(webhook()->rule(config, &rule, &why), -EINVAL);
        assert_true(rule.key == NULL && rule.ends == 1);
        json_decref(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_complete),
        cmocka_unit_test(a_new_webhook_gets_a_token),
        cmocka_unit_test(a_token_cannot_be_changed),
        cmocka_unit_test(unknown_fields_are_refused),
        cmocka_unit_test(stored_configs_that_are_none),
    };
    secret_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
