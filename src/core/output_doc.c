#include "core/output_doc.h"
#include "base/base64.h"
#include "base/json_compact.h"

#define UTF8_CHAR_BYTES_MAX 4

static void add_text(struct str *out, struct slice output)
{
    if (utf8_valid(output)) {
        str_add_json(out, output);
        return;
    }
    str_add_cstr(out, "null,\"output_base64\":\"");
    str_add_base64(out, output);
    str_add_char(out, '"');
}

void output_doc_add(struct str *out, struct slice output)
{
    str_add_cstr(out, "\"output\":");
    if (output.len == 0)
        str_add_cstr(out, "null");
    else if (!json_compact(output, out))
        add_text(out, output);
}

/* Without the last character, if only its beginning is there. */
static struct slice whole_chars(struct slice s)
{
    size_t tail = 0;
    while (tail < UTF8_CHAR_BYTES_MAX - 1 && tail < s.len &&
           ((unsigned char)s.p[s.len - tail - 1] & 0xc0) == 0x80)
        tail++;
    if (tail == s.len)
        return s;
    const struct slice last = {s.p + s.len - tail - 1, tail + 1};
    if ((unsigned char)last.p[0] >= 0xc0 && utf8_char(last) == 0)
        s.len -= last.len;
    return s;
}

void output_doc_add_cut(struct str *out, struct slice output)
{
    const struct slice whole = whole_chars(output);
    str_add_cstr(out, "\"output\":");
    add_text(out, utf8_valid(whole) ? whole : output);
    str_add_cstr(out, ",\"output_truncated\":true");
}
