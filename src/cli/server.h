/* server.h - for the commands that ask a running daemon over HTTP: where it is, the key, and what it answers.
 *
 *     static const struct flag flags[] = {SERVER_FLAGS, {NULL}};
 *     ...
 *     struct server s;
 *     if ((code = server_open(&s, &cli_replay, f)) != CLI_OK) return code;
 *     json_t *run = server_ask(&s, "POST", "/api/v1/runs/123/replay", NULL);
 *     if (run == NULL) code = CLI_FAILED;             what went wrong has been printed
 *     server_close(&s);
 */
#ifndef CLI_SERVER_H
#define CLI_SERVER_H
#include "base/json.h"
#include "base/str.h"
#include "cli/cli.h"
#include "io/curl/fetch.h"

#define SERVER_URL_DEFAULT "http://127.0.0.1:8080"
#define SERVER_TIMEOUT_MS 60000 /* for one answer of server_ask() */
#define SERVER_HEADERS_MAX 4
#define SERVER_FLAGS                                                                                                           \
    {"server", "URL", "the daemon's address (default: $PAWL_SERVER, else " SERVER_URL_DEFAULT ")", FLAG_ONCE},                 \
    {"key", "KEY", "the API key (default: $PAWL_API_KEY, which others cannot see in the list of processes)", FLAG_ONCE}

struct server {
    const struct cli_command *command; /* in whose name errors are printed */
    char *url;                         /* without a slash at the end */
    char *key_header;                  /* "X-Api-Key: ..."; NULL: no key */
};

/* Reads --server and --key of a table with SERVER_FLAGS. CLI_OK, or CLI_USAGE with the reason printed: then s is closed. */
int server_open(struct server *s, const struct cli_command *c, const struct flags *f);
void server_close(struct server *s);

/* Asks for JSON: the answer to a 2xx, a new reference (json_null() when its body is empty). Otherwise NULL, with what the
 * server said or why there was no answer printed. body may be NULL; path begins with a slash. */
json_t *server_ask(struct server *s, const char *method, const char *path, json_t *body);

/* The same for anything else: `f` has everything but the url; to its headers (at most SERVER_HEADERS_MAX) those that every request
 * needs are added. 0 when the status is 2xx; else -1 with the reason printed and *ret released. */
int server_fetch(struct server *s, struct fetch *f, const char *path, struct fetch_answer *ret);

/* The same, printing nothing: 0 with an answer of whatever status, or -EINVAL with *reterr. */
int server_try(struct server *s, struct fetch *f, const char *path, struct fetch_answer *ret, struct diag *reterr);

/* What an answer that is not a 2xx says, for who prints it another way: "NOT_FOUND: no run ..." of an error envelope, else its
 * status. */
void server_explain(int status, struct slice body, struct diag *ret);

#endif
