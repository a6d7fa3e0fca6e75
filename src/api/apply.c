/* apply.c - POST /api/v1/apply: the text of a file of manifests, or several files at once.
 *
 *     ?file=NAME          what the text is called in messages
 *     ?files=true         the body is {"files": [{"file": "a.yaml", "text": "..."}, ...]} instead
 *     ?namespace=NS       of documents that do not say
 *     ?dry_run=true       says what would be done
 *     ?prune=true         what was applied before in the namespaces of these documents, and is not among them, is deleted
 *
 * All of it is applied, or nothing.
 */
#include "api/manifest_job.h"
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/slug.h"
#include <errno.h>
#include <string.h>

#define APPLY_BYTES_MAX (16 << 20)

struct applying {
    struct manifest_job job;
    struct http_request *req;
    struct slice name; /* of the only file */
    bool many;
    struct diag why; /* what is wrong with the body, if the job was stopped */
};

/* ---- the body, on a reader thread ---- */

static int take_file(struct applying *x, json_t *v, size_t i, struct diag *reterr)
{
    struct json_fields f;
    char path[32];
    snprintf(path, sizeof(path), "files[%zu]", i);
    json_fields_begin(&f, v, path, reterr);
    const char *name = json_take_string(&f, "file", JSON_REQUIRED);
    const char *text = json_take_string(&f, "text", JSON_REQUIRED);
    if (name != NULL && strlen(name) > MANIFEST_FILE_NAME_MAX)
        json_fields_fail(&f, "file", "must be at most %d bytes", MANIFEST_FILE_NAME_MAX);
    if (json_fields_end(&f) < 0)
        return -EINVAL;
    manifest_set_add(&x->job.set, slice_of(name), slice_of(text));
    return 0;
}

static int take_files(struct applying *x, json_t *body, struct diag *reterr)
{
    struct json_fields f;
    size_t i;
    json_t *v;
    json_fields_begin(&f, body, "", reterr);
    json_t *files = json_take_array(&f, "files", JSON_REQUIRED);
    if (json_array_size(files) > MANIFEST_FILES_MAX)
        json_fields_fail(&f, "files", "must be at most %d", MANIFEST_FILES_MAX);
    if (json_fields_end(&f) < 0)
        return -EINVAL;
    json_array_foreach(files, i, v)
    {
        if (!json_is_object(v))
            return diag_set(reterr, DIAG_INVALID_ARGUMENT, "files[%zu]: must be an object", i);
        if (take_file(x, v, i, reterr) < 0)
            return -EINVAL;
    }
    return 0;
}

static void load(struct manifest_job *j)
{
    struct applying *x = container_of(j, struct applying, job);
    if (!x->many) {
        manifest_set_add(&j->set, x->name, x->req->body);
        return;
    }
    json_t *body = json_parse_object(x->req->body, &x->why);
    j->stop = body == NULL || take_files(x, body, &x->why) < 0;
    json_decref(body);
}

/* ---- the answer ---- */

static void add_all_problems(const struct manifest_set *s, struct str *ret)
{
    struct str list = {0};
    for (size_t i = 0; i < s->file_count; i++)
        manifest_add_problems(s->files[i], &list);
    str_add_slice(ret, str_slice(&list));
    str_release(&list);
}

static void refuse(struct applying *x)
{
    const struct manifest_set *s = &x->job.set;
    struct str body = {0};
    str_printf(&body,
               "{\"error\":{\"code\":\"INVALID_ARGUMENT\",\"message\":\"nothing was applied: %zu "
               "%s\"},\"problems\":[",
               s->problem_count, s->problem_count == 1 ? "problem" : "problems");
    add_all_problems(s, &body);
    str_add_cstr(&body, "]}");
    http_respond_json(x->req, 400, str_slice(&body));
    str_release(&body);
}

static void answer(struct applying *x)
{
    struct str body = {0}, list = {0};
    manifest_add_results(&x->job.set, &list);
    str_add_cstr(&body, "{\"results\":[");
    str_add_slice(&body, str_slice(&list));
    str_add_cstr(&body, x->job.dry_run ? "],\"dry_run\":true}" : "],\"dry_run\":false}");
    http_respond_json(x->req, 200, str_slice(&body));
    str_release(&list);
    str_release(&body);
}

static void done(struct manifest_job *j, int err)
{
    struct applying *x = container_of(j, struct applying, job);
    struct manifest_set set = j->set; /* x goes with its answer */
    if (err != 0)
        respond_unavailable(x->req);
    else if (j->stop)
        http_respond_diag(x->req, &x->why);
    else if (set.problem_count > 0)
        refuse(x);
    else
        answer(x);
    manifest_set_release(&set);
}

/* ---- the request ---- */

static bool take_switch(struct http_request *req, const char *name, bool *ret)
{
    struct slice v;
    struct diag why;
    const bool given = http_query(req, name, &v);
    *ret = given && slice_is(v, "true");
    if (!given || *ret || slice_is(v, "false"))
        return true;
    diag_set(&why, DIAG_INVALID_ARGUMENT, "%s: must be true or false", name);
    http_respond_diag(req, &why); /* and *ret is gone with it */
    return false;
}

static bool refuse_query(struct http_request *req, const char *message)
{
    http_respond_error(req, DIAG_INVALID_ARGUMENT, 0, message);
    return false;
}

static bool take_query(struct applying *x)
{
    struct http_request *req = x->req;
    struct slice v;
    if (!take_switch(req, "files", &x->many) || !take_switch(req, "dry_run", &x->job.dry_run) ||
        !take_switch(req, "prune", &x->job.set.scope.prune))
        return false;
    x->name = SLICE("manifest");
    if (http_query(req, "file", &v) && (v.len == 0 || v.len > MANIFEST_FILE_NAME_MAX))
        return refuse_query(req, "file: must be 1 to 255 bytes");
    http_query(req, "file", &x->name);
    if (!http_query(req, "namespace", &v))
        return true;
    if (!slug_valid(v))
        return refuse_query(req, "namespace: " SLUG_RULE);
    const struct slice ns = arena_copy(req->arena, v);
    x->job.set.ns = x->job.set.scope.ns = ns.p;
    return true;
}

static void apply(struct http_request *req, void *ctx)
{
    struct applying *x = arena_zalloc(req->arena, sizeof(*x));
    x->req = req;
    x->job.api = ctx;
    x->job.load = load;
    x->job.done = done;
    if (take_query(x) && manifest_job_start(&x->job) < 0)
        respond_unavailable(req);
}

static const struct http_route routes[] = {
    {"POST", "/api/v1/apply", apply, SCOPE_API, APPLY_BYTES_MAX},
};
const struct resource resource_apply = {routes, ARRAY_SIZE(routes)};
