/* multipart/form-data: the first byte says in what pieces the rest comes. Whatever it is, the events are in order, and in other pieces the
 * same ones come out. */
#include "base/check.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/http/multipart.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note(struct str *out, const struct multipart *m, enum multipart_event event,
                 bool *in_part)
{
    switch (event) {
    case MULTIPART_PART:
        CHECK(!*in_part && m->name.p != NULL);
        *in_part = true;
        str_add_char(out, '[');
        str_add_slice(out, m->name);
        str_add_slice(out, m->filename);
        str_add_slice(out, m->content_type);
        break;
    case MULTIPART_DATA:
        CHECK(*in_part && m->piece.len > 0);
        str_add_slice(out, m->piece);
        break;
    case MULTIPART_PART_END:
        CHECK(*in_part);
        *in_part = false;
        str_add_char(out, ']');
        break;
    case MULTIPART_END:
        CHECK(!*in_part);
        str_add_char(out, '.');
        break;
    case MULTIPART_BAD:
        CHECK(m->why != NULL);
        str_add_char(out, '!');
        break;
    case MULTIPART_MORE:
        break;
    }
}

static struct str run(const uint8_t *data, size_t size, size_t piece)
{
    struct multipart *m = mem_alloc(sizeof(*m));
    struct str out = {0};
    enum multipart_event event = MULTIPART_MORE;
    bool in_part = false;
    size_t used;
    CHECK(multipart_init(m, SLICE("multipart/form-data; boundary=b")));
    for (size_t at = 0; at < size && event != MULTIPART_BAD; at += piece) {
        const char *p = (const char *)data + at;
        size_t len = size - at < piece ? size - at : piece;
        do {
            event = multipart_feed(m, p, len, &used);
            CHECK(used <= len);
            p += used;
            len -= used;
            note(&out, m, event, &in_part);
        } while (event != MULTIPART_MORE && event != MULTIPART_BAD);
    }
    free(m);
    return out;
}

/* A Content-Type that is whatever came. */
static void try_content_type(const uint8_t *data, size_t size)
{
    struct multipart *m = mem_alloc(sizeof(*m));
    struct str type = {0};
    str_add_cstr(&type, "multipart/form-data;");
    str_add(&type, (const char *)data, size);
    if (multipart_init(m, str_slice(&type)))
        CHECK(m->delimiter_len > 4 && m->delimiter_len <= sizeof(m->delimiter));
    str_release(&type);
    free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct str whole = run(data + 1, size - 1, size);
    struct str pieces = run(data + 1, size - 1, 1 + data[0] % 16);
    CHECK(whole.len == pieces.len && (whole.len == 0 || memcmp(whole.p, pieces.p, whole.len) == 0));
    str_release(&whole);
    str_release(&pieces);
    try_content_type(data + 1, size - 1);
    return 0;
}
