/* YAML from anybody: every document that is taken is JSON and within the limits. */
#include <string.h>
#include "base/check.h"
#include "io/yaml/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_document(const json_t *v)
{
    struct str text = {0};

    str_add_json_value(&text, v);
    json_t *back = json_parse(str_slice(&text), NULL);

    CHECK(back != NULL && json_equal(v, back));
    json_decref(back);
    str_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = {(const char *)data, size};
    struct diag why = {.msg = ""};
    json_t *all = yaml_parse_all(text, &why), *one = yaml_parse(text, NULL);

    if (all == NULL) {
        CHECK(one == NULL);
        CHECK(why.msg[0] != '\0' && utf8_valid(slice_of(why.msg)));
        CHECK(why.line > 0 && why.column > 0);
        return 0;
    }
    for (size_t i = 0; i < json_array_size(all); i++)
        check_document(json_array_get(all, i));
    if (one != NULL && !json_is_null(one))
        CHECK(json_array_size(all) == 1 && json_equal(one, json_array_get(all, 0)));
    json_decref(one);
    json_decref(all);
    return 0;
}
