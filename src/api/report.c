#include "api/report.h"
#include "api/auth.h"
#include "api/report_log.h"
#include "base/check.h"
#include "base/hex.h"
#include "io/secret/lease.h"
#include <errno.h>

static void take_token(struct json_fields *f, struct report *r, enum json_need need)
{
    struct lease_token token;
    const char *text = json_take_string(f, "lease_token", need);
    if (text == NULL)
        return;
    r->has_token = true;
    if (hex_decode(slice_of(text), token.b, sizeof(token.b)))
        r->hash = lease_hash_of(&token);
    else
        json_fields_fail(f, "lease_token", "must be the %d digits that the claim gave",
                         2 * LEASE_TOKEN_SIZE);
}

static void take_lease_seconds(struct json_fields *f, struct report *r)
{
    if (json_has(f, "lease_seconds"))
        r->lease_ms =
            (uint64_t)(json_take_number(f, "lease_seconds", 0, 0.1, LEASE_MS_MAX / 1000.0) * 1000);
}

/* A string is the output itself, anything else its JSON. */
static struct slice output_of(struct report *r, const json_t *v)
{
    if (json_is_string(v))
        return (struct slice){json_string_value(v), json_string_length(v)};
    str_add_json_value(&r->json, v);
    return str_slice(&r->json);
}

static void take_output(struct json_fields *f, struct report *r)
{
    const json_t *v = json_take_any(f, "output");
    if (v == NULL || json_is_null(v))
        return;
    r->result.output = output_of(r, v);
    if (r->result.output.len <= RUN_OUTPUT_BYTES_MAX)
        return;
    run_output_add(&r->cut, r->result.output);
    r->result.output = str_slice(&r->cut.text);
}

static void take_logs(struct json_fields *f, struct wall now, struct report *r)
{
    report_take_logs(f, now, &r->log);
    if (r->log.len > 0)
        r->result.log = str_slice(&r->log);
}

static void take_failure(struct json_fields *f, struct report *r)
{
    const char *error = json_take_string(f, "error", JSON_OPTIONAL);
    if (r->result.status == RUN_FAILED || r->result.status == RUN_CANCELLED)
        r->result.error = slice_of(error != NULL                       ? error
                                   : r->result.status == RUN_CANCELLED ? "cancelled by its worker"
                                                                       : "failed");
    r->result.error.len = utf8_cut(r->result.error, REPORT_ERROR_BYTES_MAX);
    if (r->result.status == RUN_FAILED)
        r->result.conclusive = !json_take_bool(f, "retry", true);
    else
        json_ignore(f, "retry");
}

static void take_status(struct json_fields *f, struct report *r, bool or_running)
{
    const char *status = json_take_string(f, "status", JSON_REQUIRED);
    if (status == NULL)
        return;
    if (!run_status_parse(slice_of(status), &r->result.status) || r->result.status == RUN_PENDING ||
        (r->result.status == RUN_RUNNING && !or_running)) {
        json_fields_fail(f, "status", "must be %ssuccess, failed or cancelled",
                         or_running ? "running, " : "");
        r->result.status = RUN_FAILED;
    }
}

int report_take(json_t *body, const char *path, enum report_form form, struct wall now,
                struct report *r, struct diag *reterr)
{
    static const enum run_status status_of[] = {[REPORT_HEARTBEAT] = RUN_RUNNING,
                                                [REPORT_COMPLETE] = RUN_SUCCESS,
                                                [REPORT_FAIL] = RUN_FAILED,
                                                [REPORT_STATUS] = RUN_FAILED,
                                                [REPORT_ONE_OF_MANY] = RUN_FAILED};
    struct json_fields f;
    json_fields_begin(&f, body, path, reterr);
    r->result.status = status_of[form];
    if (form == REPORT_ONE_OF_MANY) {
        const char *id = json_take_string(&f, "run_id", JSON_REQUIRED);
        if (id != NULL && !uuid_parse(slice_of(id), &r->run))
            json_fields_fail(&f, "run_id", "must be a UUID");
    }
    take_token(&f, r, form == REPORT_STATUS ? JSON_OPTIONAL : JSON_REQUIRED);
    if (form == REPORT_STATUS || form == REPORT_ONE_OF_MANY)
        take_status(&f, r, form == REPORT_STATUS);
    if (form == REPORT_HEARTBEAT || form == REPORT_STATUS)
        take_lease_seconds(&f, r);
    if (form != REPORT_HEARTBEAT) {
        take_output(&f, r);
        take_logs(&f, now, r);
        take_failure(&f, r);
    }
    return json_fields_end(&f);
}

void report_take_header(const struct http_request *req, struct report *r)
{
    struct lease_token token;
    struct str bearer = {0};
    struct slice text = http_header(req, "pawl-callback-token");
    if (text.p == NULL && auth_credentials_key(http_header(req, "authorization"), &bearer))
        text = str_slice(&bearer);
    if (!r->has_token && text.p != NULL && hex_decode(text, token.b, sizeof(token.b))) {
        r->has_token = true;
        r->hash = lease_hash_of(&token);
    }
    str_release(&bearer);
}

void report_release(struct report *r)
{
    str_release(&r->json);
    run_output_release(&r->cut);
    str_release(&r->log);
}
