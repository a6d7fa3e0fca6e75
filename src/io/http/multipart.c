#include "io/http/multipart.h"
#include <string.h>
#include <strings.h>

/* ---- parameters of a header's value ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The end of a quoted string that begins at *at; *ret is its inside. A quote inside is escaped by a backslash; any other backslash
 * stands for itself, because old clients send whole Windows paths. */
static const char *quoted(const char *at, const char *end, struct slice *ret)
{
    const char *p = at + 1;
    while (p < end && *p != '"')
        p += *p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\') ? 2 : 1;
    if (p >= end)
        return NULL;
    *ret = (struct slice){at + 1, (size_t)(p - at - 1)};
    return p + 1;
}

static const char *token(const char *at, const char *end, struct slice *ret)
{
    const char *p = at;
    while (p < end && *p != ';' && !is_blank(*p))
        p++;
    *ret = (struct slice){at, (size_t)(p - at)};
    return p;
}

/* Takes the next `; name=value` of a header's value. False at its end, and where it is malformed. */
static bool next_parameter(const char **at, const char *end, struct slice *ret_name,
                           struct slice *ret_value)
{
    const char *p = *at;
    while (p < end && (*p == ';' || is_blank(*p)))
        p++;
    const char *eq = p < end ? memchr(p, '=', (size_t)(end - p)) : NULL;
    if (eq == NULL)
        return false;
    *ret_name = slice_trim((struct slice){p, (size_t)(eq - p)});
    p = eq + 1;
    while (p < end && is_blank(*p))
        p++;
    p = p < end && *p == '"' ? quoted(p, end, ret_value) : token(p, end, ret_value);
    if (p == NULL)
        return false;
    *at = p;
    return true;
}

/* The part of a value before its parameters. */
static struct slice first_word(struct slice value)
{
    const char *semicolon = value.len > 0 ? memchr(value.p, ';', value.len) : NULL;
    if (semicolon != NULL)
        value.len = (size_t)(semicolon - value.p);
    return slice_trim(value);
}

static bool boundary_valid(struct slice b)
{
    static const char allowed[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=? ";
    for (size_t i = 0; i < b.len; i++)
        if (b.p[i] == '\0' || strchr(allowed, b.p[i]) == NULL)
            return false;
    return b.len > 0 && b.len <= MULTIPART_BOUNDARY_MAX && b.p[b.len - 1] != ' ';
}

bool multipart_init(struct multipart *m, struct slice content_type)
{
    struct slice name, value;
    const struct slice type = first_word(content_type);
    if (content_type.p == NULL || !slice_is_nocase(type, "multipart/form-data"))
        return false;
    const char *at = type.p + type.len, *end = content_type.p + content_type.len;
    while (next_parameter(&at, end, &name, &value)) {
        if (!slice_is_nocase(name, "boundary"))
            continue;
        if (!boundary_valid(value))
            return false;
        memset(m, 0, offsetof(struct multipart, header));
        memcpy(m->delimiter, "\r\n--", 4);
        memcpy(m->delimiter + 4, value.p, value.len);
        m->delimiter_len = 4 + (unsigned)value.len;
        m->matched = m->borrowed = 2; /* the first delimiter may stand at the very beginning */
        return true;
    }
    return false;
}

/* ---- a part's headers ---- */

static enum multipart_event bad(struct multipart *m, const char *why)
{
    m->why = why;
    m->state = MULTIPART_OVER;
    return MULTIPART_BAD;
}

/* Takes the escapes out of a quoted string, where it stands. */
static struct slice unescape(char *p, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '\\' && i + 1 < len && (p[i + 1] == '"' || p[i + 1] == '\\'))
            i++;
        p[n++] = p[i];
    }
    return (struct slice){p, n};
}

static struct slice unescaped(struct multipart *m, struct slice value)
{
    return unescape(m->header + (value.p - m->header), value.len);
}

/* ---- names that are not ASCII: RFC 8187, charset'language'percent-encoded ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Decodes where it stands: what comes out is never longer. False when it is malformed. */
static bool percent_decode(char *p, size_t len, bool latin1, struct slice *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c == '%') {
            const int high = len - i > 2 ? hex_digit(p[i + 1]) : -1;
            const int low = len - i > 2 ? hex_digit(p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (unsigned char)(high << 4 | low);
            i += 2;
            if (latin1 && c >= 0x80) {
                p[n++] = (char)(0xc0 | c >> 6);
                c = 0x80 | (c & 0x3f);
            }
        }
        p[n++] = (char)c;
    }
    *ret = (struct slice){p, n};
    return true;
}

static bool extended(struct multipart *m, struct slice value, struct slice *ret)
{
    const char *end = value.p + value.len;
    const char *quote = memchr(value.p, '\'', value.len);
    const char *text = quote != NULL ? memchr(quote + 1, '\'', (size_t)(end - quote - 1)) : NULL;
    if (text == NULL)
        return false;
    const struct slice charset = {value.p, (size_t)(quote - value.p)};
    const bool latin1 = slice_is_nocase(charset, "iso-8859-1");
    if (!latin1 && !slice_is_nocase(charset, "utf-8"))
        return false;
    text++;
    return percent_decode(m->header + (text - m->header), (size_t)(end - text), latin1, ret);
}

/* `filename*` counts more than `filename`, wherever it stands (RFC 6266, section 4.3). */
static bool take_disposition(struct multipart *m, struct slice value)
{
    struct slice name, v, full = SLICE_NONE;
    const struct slice word = first_word(value);
    if (!slice_is_nocase(word, "form-data"))
        return false;
    const char *at = word.p + word.len, *end = value.p + value.len;
    while (next_parameter(&at, end, &name, &v)) {
        if (slice_is_nocase(name, "name"))
            m->name = unescaped(m, v);
        else if (slice_is_nocase(name, "filename"))
            m->filename = unescaped(m, v);
        else if (slice_is_nocase(name, "filename*") && !extended(m, v, &full))
            return false;
    }
    if (full.p != NULL)
        m->filename = full;
    return m->name.p != NULL;
}

static bool take_header(struct multipart *m, struct slice line)
{
    const char *colon = memchr(line.p, ':', line.len);
    if (colon == NULL || colon == line.p)
        return false;
    const struct slice name = {line.p, (size_t)(colon - line.p)};
    const struct slice value = slice_trim((struct slice){colon + 1, line.len - name.len - 1});
    if (slice_is_nocase(name, "content-disposition"))
        return take_disposition(m, value);
    if (slice_is_nocase(name, "content-type"))
        m->content_type = value;
    return true;
}

/* m->header has all of the headers, each with its CR LF, and the empty line. */
static enum multipart_event headers_complete(struct multipart *m)
{
    const char *at = m->header, *end = m->header + m->header_len - 2;
    m->name = m->filename = m->content_type = SLICE_NONE;
    while (at < end) {
        const char *eol = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (eol == NULL || !take_header(m, (struct slice){at, (size_t)(eol - at)}))
            return bad(m, "a part's headers are malformed");
        at = eol + 2;
    }
    if (m->name.p == NULL)
        return bad(m,
                   "a part has no name: Content-Disposition: form-data; name=\"...\" is missing");
    m->state = MULTIPART_TEXT;
    m->in_part = true;
    m->matched = m->borrowed = 2; /* a part without bytes ends with the empty line's own CR LF */
    return MULTIPART_PART;
}

static bool headers_end(const struct multipart *m)
{
    const char *end = m->header + m->header_len;
    return (m->header_len == 2 && memcmp(m->header, "\r\n", 2) == 0) ||
           (m->header_len >= 4 && memcmp(end - 4, "\r\n\r\n", 4) == 0);
}

static enum multipart_event feed_headers(struct multipart *m, const char *data, size_t len,
                                         size_t *used)
{
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)data[i];
        if (m->header_len == sizeof(m->header))
            return bad(m, "a part's headers are too long");
        if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
            return bad(m, "a part's headers have a control character");
        m->header[m->header_len++] = data[i];
        *used = i + 1;
        if (headers_end(m))
            return headers_complete(m);
    }
    return MULTIPART_MORE;
}

/* ---- text and delimiters ---- */

static enum multipart_event delimiter_complete(struct multipart *m)
{
    m->state = MULTIPART_AFTER_DELIMITER;
    m->matched = m->borrowed = 0;
    m->line_len = 0;
    if (!m->in_part)
        return MULTIPART_MORE;
    m->in_part = false;
    return MULTIPART_PART_END;
}

/* What looked like a delimiter was text. A delimiter has its only CR at the front, so no other can begin inside of what matched. */
static enum multipart_event give_back(struct multipart *m)
{
    m->piece = (struct slice){m->delimiter + m->borrowed, m->matched - m->borrowed};
    m->matched = m->borrowed = 0;
    return m->in_part && m->piece.len > 0 ? MULTIPART_DATA : MULTIPART_MORE;
}

static enum multipart_event feed_text(struct multipart *m, const char *data, size_t len,
                                      size_t *used)
{
    if (m->matched == 0) {
        const char *cr = memchr(data, '\r', len);
        *used = cr != NULL ? (size_t)(cr - data) : len;
        m->matched = cr != NULL;
        m->piece = (struct slice){data, *used};
        const bool text = *used > 0 && m->in_part;
        *used += cr != NULL;
        return text ? MULTIPART_DATA : MULTIPART_MORE;
    }
    size_t n = 0;
    while (n < len && m->matched < m->delimiter_len && data[n] == m->delimiter[m->matched])
        n++, m->matched++;
    *used = n;
    if (m->matched == m->delimiter_len)
        return delimiter_complete(m);
    return n < len ? give_back(m) : MULTIPART_MORE;
}

/* Behind a delimiter: two hyphens for the last one, else blanks and the end of the line. */
static enum multipart_event feed_line(struct multipart *m, const char *data, size_t len,
                                      size_t *used)
{
    for (size_t i = 0; i < len; i++) {
        *used = i + 1;
        if (m->line_len == 0 && is_blank(data[i]))
            continue;
        m->line[m->line_len++] = data[i];
        if (m->line_len < 2)
            continue;
        if (memcmp(m->line, "--", 2) == 0) {
            m->state = MULTIPART_OVER;
            return MULTIPART_END;
        }
        if (memcmp(m->line, "\r\n", 2) != 0)
            return bad(m, "a boundary is followed by something else");
        if (m->parts++ == MULTIPART_PARTS_MAX)
            return bad(m, "there are too many parts");
        m->state = MULTIPART_HEADERS;
        m->header_len = 0;
        return MULTIPART_MORE;
    }
    return MULTIPART_MORE;
}

static enum multipart_event feed_some(struct multipart *m, const char *data, size_t len,
                                      size_t *used)
{
    *used = 0;
    switch (m->state) {
    case MULTIPART_TEXT:
        return feed_text(m, data, len, used);
    case MULTIPART_AFTER_DELIMITER:
        return feed_line(m, data, len, used);
    case MULTIPART_HEADERS:
        return feed_headers(m, data, len, used);
    case MULTIPART_OVER:
        break;
    }
    *used = len;
    return MULTIPART_MORE;
}

enum multipart_event multipart_feed(struct multipart *m, const char *data, size_t len, size_t *used)
{
    enum multipart_event event = MULTIPART_MORE;
    size_t some;
    *used = 0;
    while (event == MULTIPART_MORE && *used < len) {
        event = feed_some(m, data + *used, len - *used, &some);
        *used += some;
    }
    return event;
}
