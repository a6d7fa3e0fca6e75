/* JSON from anybody: what is taken is written and read back the same, what is not gets a clean message. */
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/json.h"
#include "base/json_compact.h"
#include "base/json_members.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(const struct diag *why)
{
    CHECK(why->msg[0] != '\0' && strlen(why->msg) < sizeof(why->msg));
    CHECK(utf8_valid(slice_of(why->msg)));
    CHECK(strpbrk(why->msg, "\n\r\x1b") == NULL);
}

static void check_same(const json_t *v, struct slice text)
{
    json_t *back = json_parse(text, NULL);

    CHECK(back != NULL && json_equal(v, back));
    json_decref(back);
}

static void check_round_trips(struct slice text, const json_t *v)
{
    struct str written = {0}, compact = {0};

    str_add_json_value(&written, v);
    check_same(v, str_slice(&written));
    CHECK(json_compact(text, &compact));
    check_same(v, str_slice(&compact));
    str_release(&written);
    str_release(&compact);
}

/* Each member stands where it is said to: a value again. */
static void check_members(struct slice text)
{
    struct json_members m;
    const char *name;
    json_t *v;

    if (!json_members_open(&m, text))
        return;
    CHECK(json_is_value(text) && json_is_value(json_members_text(&m, m.root)));
    json_object_foreach(m.root, name, v)
    {
        const struct slice at = json_members_text(&m, v);
        CHECK(at.p >= text.p && at.p + at.len <= text.p + text.len && json_is_value(at));
    }
    json_members_close(&m);
}

/* Takes some names that the corpus uses, each as another type. */
static void take_fields(json_t *v)
{
    struct json_fields f;
    struct diag why = {.msg = ""};

    json_fields_begin(&f, v, "config", &why);
    json_take_string(&f, "name", JSON_REQUIRED);
    json_take_int(&f, "count", 1, 0, 86400);
    json_take_number(&f, "factor", 1, 0, 10);
    json_take_bool(&f, "enabled", true);
    json_take_object(&f, "object", JSON_OPTIONAL);
    json_take_array(&f, "array", JSON_OPTIONAL);
    json_take_any(&f, "any");
    json_ignore(&f, "id");
    if (json_fields_end(&f) < 0)
        check_message(&why);
    else
        CHECK(why.msg[0] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = {(const char *)data, size};
    struct diag why = {.msg = ""};
    json_t *v = json_parse(text, &why);

    check_members(text);
    if (v == NULL) {
        check_message(&why);
        CHECK(why.line > 0 && why.column > 0);
        return 0;
    }
    check_round_trips(text, v);
    take_fields(v);
    json_decref(v);
    return 0;
}
