/* respond.c - making answers: status line, headers, body, in one buffer of the request that is
 * written as it is. */
#include <string.h>
#include "base/check.h"
#include "io/http/internal.h"

#define HEAD_BYTES_TYPICAL 192 /* of an answer's head, reserved at once */

static const struct {
    int status;
    const char *line;
} status_lines[] = {
    {200, "HTTP/1.1 200 OK\r\nDate: "},
    {201, "HTTP/1.1 201 Created\r\nDate: "},
    {202, "HTTP/1.1 202 Accepted\r\nDate: "},
    {204, "HTTP/1.1 204 No Content\r\nDate: "},
    {301, "HTTP/1.1 301 Moved Permanently\r\nDate: "},
    {302, "HTTP/1.1 302 Found\r\nDate: "},
    {303, "HTTP/1.1 303 See Other\r\nDate: "},
    {304, "HTTP/1.1 304 Not Modified\r\nDate: "},
    {307, "HTTP/1.1 307 Temporary Redirect\r\nDate: "},
    {308, "HTTP/1.1 308 Permanent Redirect\r\nDate: "},
    {400, "HTTP/1.1 400 Bad Request\r\nDate: "},
    {401, "HTTP/1.1 401 Unauthorized\r\nDate: "},
    {403, "HTTP/1.1 403 Forbidden\r\nDate: "},
    {404, "HTTP/1.1 404 Not Found\r\nDate: "},
    {405, "HTTP/1.1 405 Method Not Allowed\r\nDate: "},
    {406, "HTTP/1.1 406 Not Acceptable\r\nDate: "},
    {408, "HTTP/1.1 408 Request Timeout\r\nDate: "},
    {409, "HTTP/1.1 409 Conflict\r\nDate: "},
    {410, "HTTP/1.1 410 Gone\r\nDate: "},
    {412, "HTTP/1.1 412 Precondition Failed\r\nDate: "},
    {413, "HTTP/1.1 413 Content Too Large\r\nDate: "},
    {415, "HTTP/1.1 415 Unsupported Media Type\r\nDate: "},
    {417, "HTTP/1.1 417 Expectation Failed\r\nDate: "},
    {422, "HTTP/1.1 422 Unprocessable Content\r\nDate: "},
    {429, "HTTP/1.1 429 Too Many Requests\r\nDate: "},
    {431, "HTTP/1.1 431 Request Header Fields Too Large\r\nDate: "},
    {500, "HTTP/1.1 500 Internal Server Error\r\nDate: "},
    {501, "HTTP/1.1 501 Not Implemented\r\nDate: "},
    {502, "HTTP/1.1 502 Bad Gateway\r\nDate: "},
    {503, "HTTP/1.1 503 Service Unavailable\r\nDate: "},
    {504, "HTTP/1.1 504 Gateway Timeout\r\nDate: "},
    {505, "HTTP/1.1 505 HTTP Version Not Supported\r\nDate: "},
};

static void add_status_line(struct str *s, int status)
{
    for (size_t i = 0; i < ARRAY_SIZE(status_lines); i++) {
        if (status_lines[i].status == status) {
            str_add_cstr(s, status_lines[i].line);
            return;
        }
    }
    CHECK(status >= 200 && status <= 599);
    str_printf(s,
               "HTTP/1.1 %d \r\nDate: ", status); /* the reason may be empty, RFC 9112, section 4 */
}

static void add_header(struct str *s, const char *name, const char *value)
{
    str_add_cstr(s, name);
    str_add(s, ": ", 2);
    str_add_cstr(s, value);
    str_add(s, "\r\n", 2);
}

static void add_connection(struct str *s, const struct request *r)
{
    if (r->conn->state == CONN_LAST && r->conn->last == r)
        str_add_slice(s, SLICE("Connection: close\r\n"));
    else if (r->head.minor == 0)
        str_add_slice(s, SLICE("Connection: keep-alive\r\n")); /* what HTTP/1.0 does not assume */
}

static bool has_body(int status)
{
    return status != 204 && status != 304;
}

static void begin_head(struct request *r, int status, const char *content_type)
{
    struct str *s = &r->answer;

    add_status_line(s, status);
    str_add_slice(s, date_text(&r->server->date, clock_now(r->server->opt.loop).wall));
    str_add(s, "\r\n", 2);
    if (content_type != NULL)
        add_header(s, "Content-Type", content_type);
}

static void end_head(struct request *r)
{
    struct str *s = &r->answer;

    for (unsigned i = 0; i < r->header_count; i++)
        add_header(s, r->headers[i].name, r->headers[i].value);
    add_connection(s, r);
    str_add(s, "\r\n", 2);
}

void respond_head(struct request *r, int status, const char *content_type)
{
    begin_head(r, status, content_type);
    if (r->head.minor > 0)
        str_add_slice(&r->answer, SLICE("Transfer-Encoding: chunked\r\n"));
    end_head(r);
}

static void build(struct request *r, int status, const char *content_type, struct slice body)
{
    struct str *s = &r->answer;

    str_reserve(s, HEAD_BYTES_TYPICAL + body.len);
    begin_head(r, status, content_type);
    if (has_body(status)) {
        str_add_slice(s, SLICE("Content-Length: "));
        str_add_u64(s, body.len);
        str_add(s, "\r\n", 2);
    }
    end_head(r);
    if (has_body(status) && (r->pub.method == NULL || strcmp(r->pub.method, "HEAD") != 0))
        str_add_slice(s, body);
}

/* A control character in a header would let whoever wrote it begin another header, or another
 * answer. */
static bool is_clean(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return false;
    return true;
}

void http_response_header(struct http_request *req, const char *name, const char *value)
{
    struct request *r = request_of(req);

    CHECK(r->header_count < HTTP_RESPONSE_HEADERS_MAX);
    CHECK(is_clean(name) && is_clean(value));
    r->headers[r->header_count++] = (struct response_header){name, value};
}

void http_respond(struct http_request *req, int status, const char *content_type, struct slice body)
{
    struct request *r = request_of(req);
    struct http_server *s = r->server;
    bool handled = r->state == REQUEST_HANDLING;
    struct conn *c = r->conn;

    CHECK(r->state < REQUEST_STREAMED); /* one answer each */
    request_cut(r);
    s->stats.responses_by_class[status / 100]++;
    r->state = REQUEST_ANSWERED;
    if (c != NULL) {
        build(r, status, content_type, body);
        request_drop_input(r);
        conn_answered(c, r->answer.len);
    } else {
        request_release(r);
    }
    if (handled) {
        s->requests_open--;
        server_maybe_free(s);
    }
}

void http_respond_json(struct http_request *req, int status, struct slice body)
{
    http_respond(req, status, "application/json", body);
}

/* The seconds as text in the arena; build() is done with it before the arena goes. */
static const char *seconds_text(struct request *r, unsigned seconds)
{
    char digits[10], *text = arena_alloc(&r->arena, sizeof(digits) + 1);
    size_t len = 0, at = 0;

    for (seconds = seconds > 0 ? seconds : 1; seconds > 0; seconds /= 10)
        digits[len++] = (char)('0' + seconds % 10);
    while (len > 0)
        text[at++] = digits[--len];
    text[at] = '\0';
    return text;
}

static void add_envelope(struct str *s, const char *code, const char *message)
{
    str_add_slice(s, SLICE("{\"error\":{\"code\":"));
    str_add_json(s, slice_of(code));
    str_add_slice(s, SLICE(",\"message\":"));
    str_add_json(s, slice_of(message));
    str_add_slice(s, SLICE("}}"));
}

void respond_code(struct request *r, int status, const char *code, unsigned retry_after_s,
                  const char *message)
{
    const struct http_server_options *opt = &r->server->opt;
    struct str *s = &r->server->scratch;

    if (status == 429 || status == 503)
        http_response_header(&r->pub, "Retry-After", seconds_text(r, retry_after_s));
    if (status == 401)
        http_response_header(&r->pub, "WWW-Authenticate", "Bearer"); /* RFC 9110, section 15.5.2 */
    str_reset(s);
    if (r->pub.path.p == NULL || opt->word_error == NULL ||
        !opt->word_error(&r->pub, status, code, message, s))
        add_envelope(s, code, message);
    http_respond_json(&r->pub, status, str_slice(s));
}

void http_respond_error(struct http_request *req, enum diag_code code, unsigned retry_after_s,
                        const char *message)
{
    respond_code(request_of(req), diag_code_status(code), diag_code_name(code), retry_after_s,
                 message);
}

void http_respond_diag(struct http_request *req, const struct diag *d)
{
    http_respond_error(req, d->code, 0, d->msg);
}
