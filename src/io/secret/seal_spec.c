#include "io/secret/seal_spec.h"
#include "base/base64.h"
#include "base/mem.h"
#include "core/redact.h"
#include "io/secret/secret.h"
#include <stdlib.h>
#include <string.h>

static void seal_one(void *arg, json_t *object, const char *name)
{
    const struct seal *s = arg;
    const char *text = json_string_value(json_object_get(object, name));
    if (text == NULL)
        return; /* sealed already */
    const size_t len = strlen(text) + SEAL_OVERHEAD;
    uint8_t *sealed = mem_alloc(len);
    struct str base64 = {0};
    seal_text(s, slice_of(text), sealed);
    str_add_base64(&base64, (struct slice){(const char *)sealed, len});
    json_object_set_new(object, name, json_pack("{s:s}", "sealed", base64.p));
    str_release(&base64);
    free(sealed);
}

static void unseal_one(void *arg, json_t *object, const char *name)
{
    const struct seal *s = arg;
    const json_t *v = json_object_get(object, name);
    const char *base64 = json_string_value(json_object_get(v, "sealed"));
    struct str sealed = {0};
    if (base64 == NULL || !base64_decode(slice_of(base64), &sealed) || sealed.len < SEAL_OVERHEAD) {
        str_release(&sealed);
        return;
    }
    const size_t len = sealed.len - SEAL_OVERHEAD;
    char *text = mem_zalloc(len + 1);
    json_t *opened = seal_read(s, str_slice(&sealed), text) ? json_stringn(text, len) : NULL;
    if (opened != NULL)
        json_object_set_new(object, name, opened);
    secret_wipe(text, len);
    free(text);
    str_release(&sealed);
}

void seal_spec(const struct seal *s, json_t *spec)
{
    redact_each(spec, seal_one, (void *)s);
}

void unseal_spec(const struct seal *s, json_t *spec)
{
    redact_each(spec, unseal_one, (void *)s);
}

void unseal_executor(const struct seal *s, json_t *executor)
{
    redact_each_of_executor(executor, unseal_one, (void *)s);
}
