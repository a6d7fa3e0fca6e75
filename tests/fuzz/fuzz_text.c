/* Small texts from requests: times, ids, numbers, hexadecimal, and any bytes that must become JSON or a log line. */
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rfc3339.h"
#include "base/uuid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_time(struct slice text)
{
    char written[RFC3339_LEN + 1];
    struct wall t, back;

    if (!rfc3339_parse(text, &t))
        return;
    rfc3339_format(t, written);
    CHECK(rfc3339_parse(slice_of(written), &back) && back.ms == t.ms);
}

static void try_any_time(const uint8_t *data, size_t size)
{
    char written[RFC3339_LEN + 1];
    struct wall t, back;

    if (size < sizeof(t.ms))
        return;
    memcpy(&t.ms, data, sizeof(t.ms));
    rfc3339_format(t, written);
    CHECK(rfc3339_parse(slice_of(written), &back));
}

static void try_uuid(struct slice text)
{
    char written[UUID_TEXT_LEN + 1];
    struct uuid id;

    if (!uuid_parse(text, &id))
        return;
    uuid_format(id, written);
    CHECK(slice_is_nocase(text, written));
}

static void try_hex(struct slice text)
{
    uint8_t *bytes = mem_alloc(text.len / 2);
    char *written = mem_alloc(text.len + 1);

    if (hex_decode(text, bytes, text.len / 2)) {
        hex_encode(bytes, text.len / 2, written);
        CHECK(slice_is_nocase(text, written));
    }
    free(bytes);
    free(written);
}

static void try_number(struct slice text)
{
    uint64_t n;

    if (slice_u64(text, 65535, &n))
        CHECK(n <= 65535);
}

static void try_as_json(struct slice text)
{
    struct str s = {0};

    str_add_json(&s, text);
    CHECK(utf8_valid(str_slice(&s)));
    json_t *v = json_loadb(s.p, s.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    CHECK(json_is_string(v));
    const struct slice back = {json_string_value(v), json_string_length(v)};

    CHECK(slice_eq(back, text) == utf8_valid(text));
    json_decref(v);
    str_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = {(const char *)data, size};

    try_time(text);
    try_any_time(data, size);
    try_uuid(text);
    try_hex(text);
    try_number(text);
    try_as_json(text);
    return 0;
}
