/* log.h - what the daemon says to its operator: one line an event on stderr, as text or as JSON.
 *
 *     log_info("listening", LOG_STR("address", addr), LOG_INT("port", port));
 *
 * Only app, executor, source and api log; core and io report errors to their callers. Secrets are never logged. Values are
 * escaped in both forms, so no input can forge a line. Writing never blocks the loop for long: lines beyond
 * LOG_LINES_PER_SECOND_MAX, and lines that a full pipe would not take at once, are left out; the first line of a later second
 * is preceded by their number. To be called on one thread only.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include "base/str.h"
#include "base/uuid.h"
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_form { LOG_FORM_TEXT, LOG_FORM_JSON };

#define LOG_LINES_PER_SECOND_MAX 1000

void log_init(enum log_level min, enum log_form form);
bool log_level_parse(struct slice name, enum log_level *ret); /* debug, info, warn, error */

/* One key and its value. */
struct log_field {
    const char *key;
    enum { LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_UUID } type;
    struct slice str;
    int64_t num;
    struct uuid uuid;
};
#define LOG_STR(key_, cstr) ((struct log_field){.key = (key_), .type = LOG_FIELD_STR, .str = slice_of(cstr)})
#define LOG_SLICE(key_, s) ((struct log_field){.key = (key_), .type = LOG_FIELD_STR, .str = (s)})
#define LOG_INT(key_, n) ((struct log_field){.key = (key_), .type = LOG_FIELD_INT, .num = (int64_t)(n)})
#define LOG_UUID(key_, id) ((struct log_field){.key = (key_), .type = LOG_FIELD_UUID, .uuid = (id)})

void log_write(enum log_level level, const char *msg, const struct log_field *fields, size_t field_count);
#define log_at(level, msg, ...)                                                                                                \
    log_write((level), (msg), (const struct log_field[]){__VA_ARGS__},                                                         \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

#endif
