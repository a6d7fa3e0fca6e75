/* auth.h - who may use the API: the keys of `pawl key`, held in memory as their SHA-256.
 *
 * A key is taken from X-Api-Key, from Authorization: Bearer, or as the password of Authorization:
 * Basic. With no keys configured everybody passes; app sees to it that this is so on loopback
 * only.
 *
 * In any case a browser's requests on behalf of other sites' pages may not change anything.
 */
#ifndef API_AUTH_H
#define API_AUTH_H
#include "pawl/err.h"
#include "pawl/host.h"
#include <stdbool.h>

struct auth;
struct db;
struct http_request;

struct auth *auth_create(void);    /* without keys */
void auth_destroy(struct auth *a); /* NULL is fine; no reload may be going on */

/* Replaces the keys by those in the database; for start-up. 0 or a negative errno: then the keys
 * are as they were. */
int auth_load(struct auth *a, struct db *db);

/* The same later, off the loop; logs how many keys there are now, or why they could not be read.
 * Asked for while one is going on, it does it once more afterwards. */
void auth_reload(struct auth *a, struct host *h);

/* From now on nobody passes while there are no keys: the daemon listens beyond loopback. */
void auth_require_key(struct auth *a);

size_t auth_key_count(const struct auth *a);

/* For http_server_options: whether the request may pass. `arg` is the struct auth. */
bool auth_authorize(void *arg, const struct http_request *req, struct diag *why);

/* Whether the text is one of the keys. Takes the same time whichever it is. */
bool auth_knows(const struct auth *a, struct slice key);

/* The key in the credentials of an Authorization header: Bearer KEY or Basic base64(USER:KEY).
 * Appends it to *ret; false when there is none. */
bool auth_credentials_key(struct slice credentials, struct str *ret);

#endif
