/* apply.c - `pawl apply`: files of manifests, sent together, applied together or not at all. */
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/slug.h"
#include "base/slurp.h"
#include "cli/kinds.h"
#include "cli/server.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1 << 20) /* the server takes no more of one */
#define FILES_MAX 1000
#define DEPTH_MAX 32

static const struct flag flags[] = {
    {"filename", "FILE|DIR|-",
     "manifests to apply, YAML or JSON; may be given several times; of a directory its *.yaml, "
     "*.yml and *.json",
     FLAG_REPEATABLE, 'f'},
    {"recursive", NULL, "directories with what is below them", FLAG_ONCE, 'R'},
    {"namespace", "NS", "of documents that do not say (default: default)", FLAG_ONCE, 'n'},
    {"prune", NULL,
     "delete what was applied before in the namespaces of these documents and is not among them",
     FLAG_ONCE},
    {"dry-run", NULL, "say what would be done, and do nothing", FLAG_ONCE},
    {"output", "json", "the server's answer as it is", FLAG_ONCE, 'o'},
    SERVER_FLAGS,
    {NULL},
};

struct applying {
    json_t *files; /* array of {file, text} */
    bool recursive;
};

/* ---- files ---- */

/* A text that is not UTF-8, or holds NUL, cannot be sent; where that begins is said as the server says what is wrong. */
static int refuse_bytes(const char *name, const struct str *text)
{
    size_t line = 1, column = 1, n = 1;
    for (size_t i = 0; i < text->len && text->p[i] != '\0'; i += n) {
        n = utf8_char((struct slice){text->p + i, text->len - i});
        if (n == 0)
            break;
        column = text->p[i] == '\n' ? 1 : column + 1;
        line += text->p[i] == '\n';
    }
    fprintf(stderr, "%s:%zu:%zu: %s\n", name, line, column,
            n == 0 ? "not valid UTF-8" : "NUL is not allowed");
    return CLI_FAILED;
}

static int add_file(struct applying *x, const char *path)
{
    const bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "<stdin>" : path;
    const int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct str text = {0};
    if (fd < 0)
        return cli_failed(&cli_apply, "cannot open '%s': %s", path, strerror(errno));
    const int err = slurp(fd, FILE_BYTES_MAX, &text);
    if (!standard)
        close(fd);
    int code = CLI_OK;
    if (err != 0)
        code = cli_failed(&cli_apply, "cannot read '%s': %s", path, strerror(-err));
    else if (text.len > FILE_BYTES_MAX)
        code = cli_failed(&cli_apply, "'%s' is larger than %d bytes", path, FILE_BYTES_MAX);
    else if (json_array_size(x->files) == FILES_MAX)
        code = cli_failed(&cli_apply, "more than %d files", FILES_MAX);
    else if (!utf8_valid(str_slice(&text)) || memchr(text.p, '\0', text.len) != NULL)
        code = refuse_bytes(name, &text);
    else
        json_array_append_new(x->files, json_pack("{s:s, s:o}", "file", name, "text",
                                                  json_stringn(text.p, text.len)));
    str_release(&text);
    return code;
}

static bool is_manifest(const char *name)
{
    const char *end = strrchr(name, '.');
    return end != NULL && end != name &&
           (strcmp(end, ".yaml") == 0 || strcmp(end, ".yml") == 0 || strcmp(end, ".json") == 0);
}

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static int add_path(struct applying *x, const char *path, unsigned depth);

static int add_entry(struct applying *x, const char *directory, const char *name, unsigned depth)
{
    char *path = mem_printf("%s/%s", directory, name);
    struct stat st;
    int code = CLI_OK;
    if (stat(path, &st) < 0)
        code = cli_failed(&cli_apply, "cannot open '%s': %s", path, strerror(errno));
    else if (S_ISDIR(st.st_mode) ? x->recursive : is_manifest(name))
        code = add_path(x, path, depth + 1);
    free(path);
    return code;
}

static int add_directory(struct applying *x, const char *path, unsigned depth)
{
    struct dirent **entries;
    int code = CLI_OK;
    if (depth > DEPTH_MAX)
        return cli_failed(&cli_apply, "'%s' is more than %d levels deep", path, DEPTH_MAX);
    const int n = scandir(path, &entries, is_visible, alphasort);
    if (n < 0)
        return cli_failed(&cli_apply, "cannot read '%s': %s", path, strerror(errno));
    for (int i = 0; i < n; i++) {
        if (code == CLI_OK)
            code = add_entry(x, path, entries[i]->d_name, depth);
        free(entries[i]);
    }
    free(entries);
    return code;
}

static int add_path(struct applying *x, const char *path, unsigned depth)
{
    struct stat st;
    if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return add_directory(x, path, depth);
    return add_file(x, path);
}

/* ---- the answer ---- */

static const char *text_of(const json_t *v, const char *name)
{
    const char *text = json_string_value(json_object_get(v, name));
    return text != NULL ? text : "";
}

/* What a document says stands in messages: it must not reach a terminal as it is. */
static void print_safely(const char *text)
{
    for (; *text != '\0'; text++)
        fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, stderr);
}

static int print_problems(const json_t *answer)
{
    size_t i;
    json_t *p, *all = json_object_get(answer, "problems");
    json_array_foreach(all, i, p)
    {
        const char *field = text_of(p, "field");
        fprintf(stderr, "%s:%lld:%lld: ", text_of(p, "file"),
                (long long)json_integer_value(json_object_get(p, "line")),
                (long long)json_integer_value(json_object_get(p, "column")));
        print_safely(field);
        fputs(*field != '\0' ? ": " : "", stderr);
        print_safely(text_of(p, "message"));
        fputc('\n', stderr);
    }
    return cli_failed(&cli_apply, "%s", text_of(json_object_get(answer, "error"), "message"));
}

static void print_result(const json_t *r, bool dry_run)
{
    char *name = kind_object_name(kind_find(text_of(r, "kind")), text_of(r, "name"));
    printf("%s %s%s\n", name, text_of(r, "result"), dry_run ? " (dry run)" : "");
    const char *token = text_of(r, "webhook_token");
    if (*token != '\0' && !dry_run)
        printf("  webhook_token: %s\n", token);
    free(name);
}

/* Files without a document are most likely not what was meant; with --prune they may well be. */
static int print_results(const json_t *answer, bool prunes)
{
    size_t i;
    json_t *r, *all = json_object_get(answer, "results");
    const bool dry_run = json_is_true(json_object_get(answer, "dry_run"));
    json_array_foreach(all, i, r) print_result(r, dry_run);
    if (json_array_size(all) > 0)
        return CLI_OK;
    if (!prunes)
        return cli_failed(&cli_apply, "there are no documents in what -f names");
    printf("nothing to apply, and nothing to prune\n");
    return CLI_OK;
}

static int show(const struct flags *f, int status, struct slice body)
{
    struct diag why;
    json_t *answer = json_parse(body, NULL);
    int code = CLI_OK;
    if (status == 400 && json_is_array(json_object_get(answer, "problems"))) {
        code = print_problems(answer);
    } else if (status / 100 != 2 || answer == NULL) {
        server_explain(status, body, &why);
        code = cli_failed(&cli_apply, "%s", why.msg);
    } else if (flags_get(f, "output", NULL) != NULL) {
        printf("%.*s\n", (int)body.len, body.p);
    } else {
        code = print_results(answer, flags_get(f, "prune", NULL) != NULL);
    }
    json_decref(answer);
    return code;
}

/* ---- the command ---- */

static int send_files(struct server *s, const struct flags *f, const struct applying *x)
{
    struct str path = {0}, text = {0};
    struct fetch_answer a;
    struct diag why;
    json_t *body = json_pack("{s:O}", "files", x->files);
    str_add_cstr(&path, "/api/v1/apply?files=true");
    if (flags_get(f, "namespace", NULL) != NULL)
        str_printf(&path, "&namespace=%s", flags_get(f, "namespace", NULL));
    if (flags_get(f, "prune", NULL) != NULL)
        str_add_cstr(&path, "&prune=true");
    if (flags_get(f, "dry-run", NULL) != NULL)
        str_add_cstr(&path, "&dry_run=true");
    str_add_json_value(&text, body);
    struct fetch q = {.method = "POST", .body = str_slice(&text), .timeout_ms = SERVER_TIMEOUT_MS};
    int code;
    if (server_try(s, &q, path.p, &a, &why) < 0) {
        code = cli_failed(&cli_apply, "%s", why.msg);
    } else {
        code = show(f, a.status, str_slice(&a.body));
        fetch_answer_release(&a);
    }
    json_decref(body);
    str_release(&text);
    str_release(&path);
    return code;
}

static int check(const struct flags *f)
{
    const char *ns = flags_get(f, "namespace", NULL), *output = flags_get(f, "output", "json");
    if (f->args.len > 0)
        return cli_usage_error(&cli_apply, "unexpected argument '%s': files are named with -f",
                               f->args.items[0]);
    if (flags_at(f, "filename", 0) == NULL)
        return cli_usage_error(&cli_apply, "apply what? Name it with -f FILE, -f DIR or -f -");
    if (ns != NULL && !slug_valid(slice_of(ns)))
        return cli_usage_error(&cli_apply, "--namespace: '%s' " SLUG_RULE, ns);
    if (strcmp(output, "json") != 0)
        return cli_usage_error(&cli_apply, "--output: '%s' is not json", output);
    return CLI_OK;
}

static int run(const struct flags *f)
{
    struct server s;
    struct applying x = {.recursive = flags_get(f, "recursive", NULL) != NULL};
    const char *path;
    int code = check(f);
    if (code == CLI_OK)
        code = server_open(&s, &cli_apply, f);
    if (code != CLI_OK)
        return code;
    x.files = json_array();
    for (size_t i = 0; code == CLI_OK && (path = flags_at(f, "filename", i)) != NULL; i++)
        code = add_path(&x, path, 0);
    if (code == CLI_OK && json_array_size(x.files) == 0)
        code = cli_failed(&cli_apply, "there are no *.yaml, *.yml or *.json files there");
    if (code == CLI_OK)
        code = send_files(&s, f, &x);
    json_decref(x.files);
    server_close(&s);
    return code;
}

const struct cli_command cli_apply = {
    .name = "apply",
    .args = "-f FILE|DIR|- [-R] [--prune] [--dry-run] [-n NS] [--server URL]",
    .help = "Makes what manifests describe: pipelines, landing zones, triggers, ArkEvents.",
    .flags = flags,
    .run = run,
};
