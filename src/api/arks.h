/* arks.h - ArkEvents from manifests into the engine: what the Kubernetes-style API and `apply` have in common. */
#ifndef API_ARKS_H
#define API_ARKS_H
#include "api/api.h"
#include "core/ark.h"
#include "core/ark_manifest.h"

/* Makes the ArkEvent of a manifest, with a token of its own. Its path must be free. */
struct arkevent *arks_add(struct api *a, const struct ark_manifest *m, struct ticket *t);

/* Gives it the manifest's definition; its token stays. False when it has that already: nothing happens then, and the ticket will
 * not be redeemed. */
bool arks_replace(struct api *a, struct arkevent *e, const struct ark_manifest *m, struct ticket *t);

/* Whether the definition is another one than the manifest's. */
bool arks_differs(const struct arkevent *e, const struct ark_manifest *m);

/* How it would be shown after that: `e` replaced, or, when that is NULL, a new one. *ret borrows from m, e and the definition that is
 * returned, which the caller destroys. */
struct trigger_def *arks_preview(struct api *a, const struct arkevent *e, const struct ark_manifest *m, struct ark_view *ret);

/* The token of a webhook's, as text; false when what is stored cannot be read with our key. */
bool arks_token_text(const struct api *a, const struct ark_token *t, char ret[ARK_TOKEN_SEALED_MAX]);

#endif
