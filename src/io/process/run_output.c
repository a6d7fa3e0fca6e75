#include "io/process/run_output.h"

void run_output_add(struct run_output *o, struct slice bytes)
{
    if (o->full)
        return;
    const size_t len = utf8_cut(bytes, RUN_OUTPUT_BYTES_MAX - o->text.len);
    str_add(&o->text, bytes.p, len);
    if (len < bytes.len) {
        str_printf(&o->text, "\n[output truncated at %d bytes]", RUN_OUTPUT_BYTES_MAX);
        o->full = true;
    }
}

void run_output_release(struct run_output *o)
{
    str_release(&o->text);
    o->full = false;
}
