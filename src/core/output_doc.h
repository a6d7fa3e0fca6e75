/* output_doc.h - what a run gave out, as JSON. The one rule for the run itself, synchronous answers and the events that
 * its end makes.
 *
 * Appends the member "output" without a comma before it. By the first that fits:
 *
 *     "output":null                          there is none, or it is empty
 *     "output":<the value itself>            it is one JSON value (RFC 8259), also with blanks and newlines around it, nested at most
 *                                            JSON_COMPACT_DEPTH_MAX deep. Digits of numbers and the order of members are kept
 *     "output":"..."                         it is UTF-8
 *     "output":null,"output_base64":"..."    all else (RFC 4648, section 4)
 */
#ifndef CORE_OUTPUT_DOC_H
#define CORE_OUTPUT_DOC_H
#include "base/str.h"

/* Touches nothing else, so any thread may call it. */
void output_doc_add(struct str *out, struct slice output);

/* The same for what is only the beginning of an output, perhaps cut within a character: never a value, however it looks. Followed
 * by "output_truncated":true. */
void output_doc_add_cut(struct str *out, struct slice output);

#endif
