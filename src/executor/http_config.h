/* http_config.h - what an executor object of the type http says. */
#ifndef EXECUTOR_HTTP_CONFIG_H
#define EXECUTOR_HTTP_CONFIG_H
#include "base/json.h"
#include "pawl/source.h" /* struct option_doc */
#include <stdbool.h>
#include <stdint.h>

#define HTTP_TIMEOUT_S_DEFAULT 60
#define HTTP_TIMEOUT_S_MAX 86400
#define HTTP_CONNECT_S_DEFAULT 10
#define HTTP_CALLBACK_S_DEFAULT 3600
#define HTTP_RESPONSE_BYTES_MAX (1 << 20) /* also the default */
#define HTTP_URL_LEN_MAX 2048
#define HTTP_HEADERS_MAX 32
#define HTTP_HEADER_LEN_MAX 4096 /* name and value of one */

/* Borrows from the JSON. */
struct http_config {
    const char *url;
    const char *method;
    const json_t *headers; /* NULL: none */
    const char *secret;    /* NULL: requests are not signed */
    const char *ca_file;   /* NULL: the system's roots */
    uint64_t total_ms, connect_ms, callback_ms;
    size_t response_bytes_max;
    bool structured, callback, follow;
    bool sealed; /* a secret, or a header, is (core/redact.h): to be unsealed before anything is sent */
};

extern const struct option_doc http_options[];

/* 0, or -EINVAL with *reterr naming the field as `executor.<field>: ...`. */
int http_config_read(json_t *config, struct http_config *ret, struct diag *reterr);

#endif
