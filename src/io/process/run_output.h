/* run_output.h - the output of a run whose executor reads it piece by piece: bounded, with a mark
 * where it was cut. */
#ifndef IO_PROCESS_RUN_OUTPUT_H
#define IO_PROCESS_RUN_OUTPUT_H
#include "base/str.h"

#define RUN_OUTPUT_BYTES_MAX (1 << 20)

/* {0} is an empty one. */
struct run_output {
    struct str text;
    bool full;
};

/* What is beyond the limit becomes "\n[output truncated at 1048576 bytes]". */
void run_output_add(struct run_output *o, struct slice bytes);

void run_output_release(struct run_output *o);

#endif
