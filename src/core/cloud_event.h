/* cloud_event.h - the event of a run as a CloudEvent 1.0 over HTTP: headers and a body.
 *
 * Binary mode: the body is the event's payload as it came, each attribute a header, encoded as the HTTP binding says. Structured mode:
 * one JSON object, application/cloudevents+json; the payload is `data` when it is JSON or text, else `data_base64`.
 *
 *     specversion  1.0                            pawlrunid        the run's id
 *     id           the event's id                 pawlpipeline     namespace.layer.name
 *     source       /pawl/ and the event's source  pawlversion      the pipeline's version
 *     type         the event's type               pawlattempt      1 and up
 *     time         when it happened               pawltriggertype  what fired: webhook, cron, ..., manual
 *     subject      what it is about, if anything  pawlstep         the step's name, of a pipeline with several
 *     partitionkey a message's key, if it has one
 *                                                 pawlrootid       the first event of the chain
 *                                                 pawldepth        completions between that and this
 *
 * From the second step on the data is what the step before it put out. Of a run for files it is {"files": [...]}, as in the document that commands get (event_doc.h): the payload of each one's event.
 */
#ifndef CORE_CLOUD_EVENT_H
#define CORE_CLOUD_EVENT_H
#include "base/str.h"
#include "pawl/run.h"

/* The `Content-Type` of a structured one. */
#define CLOUD_EVENT_TYPE "application/cloudevents+json; charset=utf-8"

/* Appends "ce-name: value" lines, each with a NUL behind it, and returns how many. */
size_t cloud_event_add_headers(struct str *out, const struct run_start *s);

/* Appends the body of binary mode. What it says is its content type: valid until s is gone, absent when there is no body. */
struct slice cloud_event_add_data(struct str *out, const struct run_start *s);

/* Appends the body of structured mode. */
void cloud_event_add(struct str *out, const struct run_start *s);

/* Appends a header's value as the binding says: what is not printable ASCII, and space, double quote and percent, as %XX. */
void cloud_event_add_value(struct str *out, struct slice text);

#endif
