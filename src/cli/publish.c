/* publish.c - `pawl publish`: a message, or one per line, to a topic of a running daemon. */
#include "base/mem.h"
#include "base/slurp.h"
#include "cli/server.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the server takes in one request; a larger file is refused before it is sent. */
#define PUBLISH_BYTES_MAX ((size_t)16 << 20)

static const struct flag flags[] = {
    {"file", "FILE", "the message; - or nothing: standard input", FLAG_ONCE, 'f'},
    {"lines", NULL, "each line is a message of its own, a JSON value, all in one commit",
     FLAG_ONCE},
    {"content-type", "TYPE", "what the message is (default: application/json)", FLAG_ONCE},
    {"message-key", "KEY", "is kept with the message and given to its runs", FLAG_ONCE},
    {"idempotency-key", "KEY", "repeating the command with the same key publishes nothing again",
     FLAG_ONCE},
    SERVER_FLAGS,
    {NULL}};

static int read_message(const char *path, struct str *ret)
{
    const bool standard = strcmp(path, "-") == 0;
    const int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cli_failed(&cli_publish, "cannot open '%s': %s", path, strerror(errno));
    const int err = slurp(fd, PUBLISH_BYTES_MAX, ret);
    if (!standard)
        close(fd);
    if (err != 0)
        return cli_failed(&cli_publish, "cannot read '%s': %s", path, strerror(-err));
    if (ret->len > PUBLISH_BYTES_MAX)
        return cli_failed(&cli_publish, "'%s' is larger than %zu bytes", path, PUBLISH_BYTES_MAX);
    return CLI_OK;
}

/* A topic's name as a segment of a path: what is not plain is escaped, for the server to judge. */
static char *path_of(const char *topic)
{
    struct str path = {0};
    str_add_cstr(&path, "/api/v1/topics/");
    for (const char *c = topic; *c != '\0'; c++) {
        const bool plain =
            strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *c) != NULL;
        str_printf(&path, plain ? "%c" : "%%%02X", (unsigned char)*c);
    }
    str_add_cstr(&path, "/messages");
    return str_detach(&path);
}

static int send_message(struct server *s, const struct flags *f, struct slice body)
{
    const bool lines = flags_at(f, "lines", 0) != NULL;
    const char *key = flags_get(f, "message-key", NULL),
               *once = flags_get(f, "idempotency-key", NULL);
    char *type =
        mem_printf("Content-Type: %s", lines ? "application/x-ndjson"
                                             : flags_get(f, "content-type", "application/json"));
    char *key_header = key != NULL ? mem_printf("Pawl-Key: %s", key) : NULL;
    char *once_header = once != NULL ? mem_printf("Idempotency-Key: %s", once) : NULL;
    const char *headers[4] = {type};
    size_t n = 1;
    if (key_header != NULL)
        headers[n++] = key_header;
    if (once_header != NULL)
        headers[n++] = once_header;
    char *path = path_of(f->args.items[0]);
    struct fetch request = {
        .method = "POST", .headers = headers, .body = body, .timeout_ms = SERVER_TIMEOUT_MS};
    struct fetch_answer answer;
    const int err = server_fetch(s, &request, path, &answer);
    if (err == 0) {
        printf("%.*s\n", (int)answer.body.len, answer.body.p);
        fetch_answer_release(&answer);
    }
    free(path);
    free(once_header);
    free(key_header);
    free(type);
    return err == 0 ? CLI_OK : CLI_FAILED;
}

/* Headers are lines: what would end one is refused here. */
static bool is_one_line(const char *value)
{
    return value == NULL || strpbrk(value, "\r\n") == NULL;
}

static int run(const struct flags *f)
{
    static const char *const texts[] = {"content-type", "message-key", "idempotency-key"};
    if (f->args.len != 1 || f->args.items[0][0] == '\0')
        return cli_usage_error(&cli_publish, "which topic?");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (!is_one_line(flags_get(f, texts[i], NULL)))
            return cli_usage_error(&cli_publish, "--%s: must be one line", texts[i]);
    struct server s;
    struct str body = {0};
    int code = server_open(&s, &cli_publish, f);
    if (code != CLI_OK)
        return code;
    code = read_message(flags_get(f, "file", "-"), &body);
    if (code == CLI_OK)
        code = send_message(&s, f, body.len > 0 ? str_slice(&body) : SLICE(""));
    str_release(&body);
    server_close(&s);
    return code;
}

const struct cli_command cli_publish = {
    .name = "publish",
    .args = "TOPIC [-f FILE|-] [--lines] [--server URL]",
    .help = "Publishes a message to a topic and prints the answer: its offset and its event, when "
            "it is on disk.",
    .flags = flags,
    .run = run,
};
