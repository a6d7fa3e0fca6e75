/* event_doc.h - the event of a run as the one JSON document that programs get to read: a command
 * finds it on stdin, a worker in the answer to its claim.
 *
 * One line, then a newline. All members are always there, in this order, but for those that say when:
 *
 *     {"id":"<uuid>",                       the event
 *      "source":"webhook",
 *      "type":"webhook",
 *      "subject":"..." | null,
 *      "key":"...",                      of a message that has one; "key_base64" where it is not UTF-8
 *      "time":"2026-02-13T10:05:00.123Z",
 *      "content_type":"application/json" | null,
 *      "run_id":"<uuid>",
 *      "attempt":1,
 *      "pipeline":"namespace.layer.name",
 *      "trigger":{"id":"<uuid>" | null, "type":"webhook"},
 *      "lineage":{"root_event_id":"<uuid>", "depth":0},
 *      "payload": ...,
 *      "payload_base64":"...",           see below
 *      "files":[{...}, ...],             of a run for files: the payload of each one's event
 *      "files_truncated":true,           there were more than are listed
 *      "step":"load",                    of a run of several steps: which one this is for
 *      "previous_output": ...,           from the second step on: what the one before it put out
 *      "previous_output_base64":"..."}   see below
 *
 * payload is, by the first rule that fits:
 *     null                   there is none, or it is empty
 *     the JSON value itself  it is JSON, and either its content type says so (application/json,
 *                            text/json, anything +json) or it is an object or an array. Digits of
 *                            numbers and the order of members are kept
 *     a string               it is UTF-8
 *     null                   otherwise; only then payload_base64 is there and holds it
 *                            (RFC 4648, section 4)
 * previous_output is the same, except that all that is JSON is taken for JSON, a number too.
 */
#ifndef CORE_EVENT_DOC_H
#define CORE_EVENT_DOC_H
#include "base/str.h"
#include "pawl/run.h"

/* The same with the run's id as "id" and the event's as "event_id" behind it: what a worker process reads (src/executor/service.c). */
void event_line_add(struct str *out, const struct run_start *s);

/* Appends the document and its newline. Touches nothing else, so any thread may call it. */
void event_doc_add(struct str *out, const struct run_start *s);

#endif
