/* ark_doc.h - ArkEvents as JSON, the way a Kubernetes API server shows a custom resource: as objects, as metadata alone, as rows of
 * a table. Pure text work on a struct ark_view, from the database or live.
 */
#ifndef CORE_ARK_DOC_H
#define CORE_ARK_DOC_H
#include "base/str.h"
#include "core/effect.h"
#include "pawl/time.h"

/* How it is shown. */
struct ark_style {
    const char *base_url; /* that webhookURL begins with, without a slash at the end; NULL: there is none to show */
    struct wall now;      /* that ages count to */
    bool whole_objects;   /* in rows of a table: the object, instead of its metadata alone */
};

/* {"apiVersion","kind","metadata","spec","status"} */
void ark_doc_add(const struct ark_view *v, const struct ark_style *s, struct str *ret);

/* The value of "columnDefinitions": Name, Type, Suspended, Fired, Last Fired, Next Fire, Age, URL. */
void ark_doc_add_columns(struct str *ret);
/* {"cells":[...],"object":{...}} */
void ark_doc_add_row(const struct ark_view *v, const struct ark_style *s, struct str *ret);

/* How long something is ago, as kubectl prints it: 45s, 2m5s, 3h, 12d. Negative is 0s. */
void str_add_age(struct str *s, int64_t ms);

#endif
