#include "source/nats_wire.h"
#include "base/check.h"
#include "base/json.h"
#include "base/rfc3339.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CONSUMER_NOT_FOUND 10014
#define STREAM_NOT_FOUND 10059
#define MESSAGE_NOT_FOUND 10037
#define NS_PER_MS 1000000ull
#define NAME_TOPIC_LEN_MAX 64 /* of the topic, in a consumer's name */

/* ---- subjects ---- */

static bool token_valid(struct slice token, bool last)
{
    if (token.len == 0)
        return false;
    for (size_t i = 0; i < token.len; i++) {
        const unsigned char c = (unsigned char)token.p[i];
        if (c <= ' ' || c >= 127 || c == '"' || c == '\\')
            return false;
        if ((c == '*' && token.len > 1) || (c == '>' && (token.len > 1 || !last)))
            return false;
    }
    return true;
}

/* Cuts the first token off. */
static struct slice next_token(struct slice *rest)
{
    const char *dot = memchr(rest->p, '.', rest->len);
    struct slice token = *rest;
    if (dot == NULL) {
        *rest = SLICE_NONE;
        return token;
    }
    token.len = (size_t)(dot - rest->p);
    *rest = (struct slice){dot + 1, rest->len - token.len - 1};
    return token;
}

bool nats_subject_valid(struct slice subject)
{
    if (subject.len == 0 || subject.len > NATS_SUBJECT_LEN_MAX || subject.p[0] == '$')
        return false;
    while (subject.p != NULL) {
        const struct slice token = next_token(&subject);
        if (!token_valid(token, subject.p == NULL))
            return false;
    }
    return true;
}

bool nats_delivery_parse(struct slice reply, struct nats_delivery *ret)
{
    struct slice tokens[12];
    size_t n = 0;
    while (reply.p != NULL && n < ARRAY_SIZE(tokens))
        tokens[n++] = next_token(&reply);
    if (n < 9 || n == 10 || !slice_is(tokens[0], "$JS") || !slice_is(tokens[1], "ACK"))
        return false;
    const struct slice *t = tokens + (n > 10 ? 4 : 2);
    ret->consumer = t[1];
    return slice_u64(t[3], UINT64_MAX, &ret->seq) && slice_u64(t[4], UINT64_MAX, &ret->count) &&
           slice_u64(t[5], UINT64_MAX, &ret->time_ns) && slice_u64(t[6], UINT64_MAX, &ret->pending);
}

void nats_consumer_name(struct slice topic, const uint8_t hash[8], char ret[NATS_NAME_SIZE])
{
    size_t n = (size_t)snprintf(ret, NATS_NAME_SIZE, "pawl_");
    for (size_t i = 0; i < topic.len && i < NAME_TOPIC_LEN_MAX; i++) {
        const char c = topic.p[i];
        const bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
        ret[n++] = plain ? c : '_';
    }
    ret[n++] = '_';
    for (size_t i = 0; i < 8; i++)
        n += (size_t)snprintf(ret + n, NATS_NAME_SIZE - n, "%02x", hash[i]);
}

/* ---- requests ---- */

void nats_write_lookup(struct slice subject, struct str *ret)
{
    str_add_cstr(ret, "{\"subject\":");
    str_add_json(ret, subject);
    str_add_char(ret, '}');
}

void nats_write_message_request(uint64_t seq, struct str *ret)
{
    str_printf(ret, "{\"seq\":%llu}", (unsigned long long)seq);
}

static void add_start(const struct nats_consumer_config *c, struct str *ret)
{
    char since[RFC3339_LEN + 1];
    if (c->all) {
        str_add_cstr(ret, "\"deliver_policy\":\"all\"");
        return;
    }
    if (c->first_seq > 0) {
        str_printf(ret, "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":%llu",
                   (unsigned long long)c->first_seq);
        return;
    }
    rfc3339_format(c->since, since);
    str_printf(ret, "\"deliver_policy\":\"by_start_time\",\"opt_start_time\":\"%s\"", since);
}

void nats_write_consumer(const struct nats_consumer_config *c, struct str *ret)
{
    str_add_cstr(ret, "{\"stream_name\":");
    str_add_json(ret, slice_of(c->stream));
    str_printf(ret, ",\"config\":{\"durable_name\":\"%s\",", c->name);
    add_start(c, ret);
    str_printf(ret,
               ",\"ack_policy\":\"explicit\",\"ack_wait\":%llu,\"max_ack_pending\":%llu,"
               "\"replay_policy\":\"instant\",\"filter_subject\":",
               (unsigned long long)(c->ack_wait_ms * NS_PER_MS),
               (unsigned long long)c->ack_pending_max);
    str_add_json(ret, slice_of(c->subject));
    str_add_cstr(ret, "}}");
}

/* ---- answers ---- */

/* The answer, unless it is an error. */
static json_t *read_answer(struct slice answer, int *ret_err, struct diag *reterr)
{
    struct diag why;
    json_t *root = json_parse_object(answer, &why);
    if (root == NULL) {
        *ret_err = diag_set(reterr, DIAG_UNAVAILABLE, "JetStream's answer is not JSON");
        return NULL;
    }
    const json_t *error = json_object_get(root, "error");
    if (error == NULL)
        return root;
    const char *text = json_string_value(json_object_get(error, "description"));
    const json_int_t code = json_integer_value(json_object_get(error, "err_code"));
    diag_set(reterr, DIAG_UNAVAILABLE, "JetStream says: %s", text != NULL ? text : "an error");
    *ret_err = code == CONSUMER_NOT_FOUND || code == STREAM_NOT_FOUND || code == MESSAGE_NOT_FOUND
                   ? -ENOENT
                   : -EINVAL;
    json_decref(root);
    return NULL;
}

static bool copy(const json_t *text, char *ret, size_t size)
{
    const char *s = json_string_value(text);
    if (s == NULL || *s == '\0' || strlen(s) >= size)
        return false;
    memcpy(ret, s, strlen(s) + 1);
    return true;
}

int nats_read_lookup(struct slice answer, char ret_stream[NATS_NAME_SIZE], struct diag *reterr)
{
    int err = 0;
    json_t *root = read_answer(answer, &err, reterr);
    if (root == NULL)
        return err;
    const json_t *streams = json_object_get(root, "streams");
    if (json_array_size(streams) == 0)
        err = diag_set(reterr, DIAG_UNAVAILABLE, "no JetStream stream has this subject");
    else if (json_array_size(streams) > 1)
        err = diag_set(reterr, DIAG_UNAVAILABLE,
                       "more than one JetStream stream has messages of this subject");
    else if (!copy(json_array_get(streams, 0), ret_stream, NATS_NAME_SIZE))
        err = diag_set(reterr, DIAG_UNAVAILABLE, "JetStream's answer names no stream");
    json_decref(root);
    return err;
}

static bool take_count(const json_t *object, const char *name, uint64_t *ret)
{
    const json_t *v = json_object_get(object, name);
    *ret = (uint64_t)json_integer_value(v);
    return json_is_integer(v) && json_integer_value(v) >= 0;
}

int nats_read_stream(struct slice answer, struct nats_stream_info *ret, struct diag *reterr)
{
    int err = 0;
    json_t *root = read_answer(answer, &err, reterr);
    if (root == NULL)
        return err;
    const char *retention =
        json_string_value(json_object_get(json_object_get(root, "config"), "retention"));
    ret->interest = retention != NULL && strcmp(retention, "interest") == 0;
    ret->work_queue = retention != NULL && strcmp(retention, "workqueue") == 0;
    if (!copy(json_object_get(root, "created"), ret->created, sizeof(ret->created)))
        err = diag_set(reterr, DIAG_UNAVAILABLE, "JetStream does not say when the stream was made");
    else if (!take_count(json_object_get(root, "state"), "last_seq", &ret->last_seq))
        err = diag_set(reterr, DIAG_UNAVAILABLE, "JetStream does not say where the stream ends");
    json_decref(root);
    return err;
}

int nats_read_message_time(struct slice answer, struct wall *ret, struct diag *reterr)
{
    int err = 0;
    json_t *root = read_answer(answer, &err, reterr);
    if (root == NULL)
        return err;
    const char *time = json_string_value(json_object_get(json_object_get(root, "message"), "time"));
    if (time == NULL || !rfc3339_parse(slice_of(time), ret))
        err = diag_set(reterr, DIAG_UNAVAILABLE, "JetStream does not say when it got a message");
    json_decref(root);
    return err;
}

int nats_read_consumer(struct slice answer, struct nats_consumer_info *ret, struct diag *reterr)
{
    int err = 0;
    json_t *root = read_answer(answer, &err, reterr);
    if (root == NULL)
        return err;
    const json_t *delivered = json_object_get(root, "delivered");
    if (!take_count(delivered, "stream_seq", &ret->delivered_seq) ||
        !take_count(delivered, "consumer_seq", &ret->delivered_count) ||
        !take_count(root, "num_ack_pending", &ret->unacknowledged) ||
        !take_count(root, "num_pending", &ret->pending))
        err = diag_set(reterr, DIAG_UNAVAILABLE, "JetStream does not say where the consumer is");
    ret->ack_wait_ms =
        (uint64_t)json_integer_value(json_object_get(json_object_get(root, "config"), "ack_wait")) /
        NS_PER_MS;
    json_decref(root);
    return err;
}
