#include "cli/server.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

#define KEY_LEN_MAX 256

static bool is_url(const char *text)
{
    const char *host = strncmp(text, "http://", 7) == 0    ? text + 7
                       : strncmp(text, "https://", 8) == 0 ? text + 8
                                                           : "";
    if (*host == '\0' || *host == '/')
        return false;
    for (const char *c = text; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~' || *c == '?' || *c == '#')
            return false;
    return true;
}

/* It becomes a header: nothing else may fit into it. */
static bool is_key(const char *text)
{
    const size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return len <= KEY_LEN_MAX;
}

static const char *given(const struct flags *f, const char *flag, const char *variable,
                         const char *dflt)
{
    const char *value = flags_get(f, flag, getenv(variable));
    return value != NULL && *value != '\0' ? value : dflt;
}

int server_open(struct server *s, const struct cli_command *c, const struct flags *f)
{
    *s = (struct server){.command = c};
    const char *url = given(f, "server", "PAWL_SERVER", SERVER_URL_DEFAULT);
    const char *key = given(f, "key", "PAWL_API_KEY", NULL);
    if (!is_url(url))
        return cli_usage_error(c, "--server: '%s' is not an address such as " SERVER_URL_DEFAULT,
                               url);
    if (key != NULL && !is_key(key))
        return cli_usage_error(c, "--key: that is not a key: blanks and control characters");
    size_t len = strlen(url);
    while (url[len - 1] == '/')
        len--;
    s->url = mem_dup(url, len);
    s->key_header = key != NULL ? mem_printf("X-Api-Key: %s", key) : NULL;
    return CLI_OK;
}

void server_close(struct server *s)
{
    free(s->url);
    free(s->key_header);
    *s = (struct server){0};
}

/* ---- asking ---- */

void server_explain(int status, struct slice body, struct diag *ret)
{
    struct diag ignored;
    json_t *root = json_parse(body, &ignored);
    const json_t *error = json_object_get(root, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *message = json_string_value(json_object_get(error, "message"));
    if (code != NULL && message != NULL)
        diag_set(ret, DIAG_INTERNAL, "%s: %s", code, message);
    else if (json_is_string(json_object_get(root, "message"))) /* a Kubernetes Status */
        diag_set(ret, DIAG_INTERNAL, "%s", json_string_value(json_object_get(root, "message")));
    else
        diag_set(ret, DIAG_INTERNAL, "the server answered with status %d", status);
    json_decref(root);
}

static int refused(const struct server *s, struct fetch_answer *a)
{
    struct diag why;
    server_explain(a->status, str_slice(&a->body), &why);
    cli_failed(s->command, "%s", why.msg);
    fetch_answer_release(a);
    return -1;
}

int server_try(struct server *s, struct fetch *f, const char *path, struct fetch_answer *ret,
               struct diag *reterr)
{
    const char *headers[SERVER_HEADERS_MAX + 3] = {0};
    const char *const *given = f->headers;
    size_t n = 0;
    CHECK(path[0] == '/');
    for (; given != NULL && given[n] != NULL; n++) {
        CHECK(n < SERVER_HEADERS_MAX);
        headers[n] = given[n];
    }
    if (f->body.p != NULL)
        headers[n++] = "Content-Type: application/json";
    headers[n] = s->key_header;
    char *url = mem_printf("%s%s", s->url, path);
    f->url = url;
    f->headers = headers;
    const int err = fetch(f, ret, reterr);
    f->url = NULL;
    f->headers = given;
    free(url);
    return err;
}

int server_fetch(struct server *s, struct fetch *f, const char *path, struct fetch_answer *ret)
{
    struct diag why;
    if (server_try(s, f, path, ret, &why) < 0) {
        cli_failed(s->command, "%s", why.msg);
        return -1;
    }
    return ret->status / 100 == 2 ? 0 : refused(s, ret);
}

static json_t *read_json(const struct server *s, const struct fetch_answer *a)
{
    struct diag why;
    if (a->body.len == 0)
        return json_null();
    json_t *value = json_parse(str_slice(&a->body), &why);
    if (value == NULL)
        cli_failed(s->command, "%s: the answer is not JSON: %s", s->url, why.msg);
    return value;
}

json_t *server_ask(struct server *s, const char *method, const char *path, json_t *body)
{
    struct str text = {0};
    struct fetch_answer a;
    if (body != NULL)
        str_add_json_value(&text, body);
    struct fetch f = {.method = method, .body = str_slice(&text), .timeout_ms = SERVER_TIMEOUT_MS};
    json_t *answer = NULL;
    if (server_fetch(s, &f, path, &a) == 0) {
        answer = read_json(s, &a);
        fetch_answer_release(&a);
    }
    str_release(&text);
    return answer;
}
