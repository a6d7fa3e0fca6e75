/* keep_log.c - what attempts have written goes to disk while they go on.
 *
 * It decides nothing. The engine has a say in it so that no part comes behind the end of its attempt: they are records of the same
 * batches, and the end takes the parts away.
 */
#include "core/engine_internal.h"
#include <errno.h>

int engine_keep_log(struct engine *e, struct uuid id, uint32_t attempt, uint64_t at,
                    struct slice text)
{
    struct run *run;
    HASH_FIND(hh, e->runs, &id, sizeof(id), run);
    if (run == NULL || run->lease != NULL || run->attempt != attempt)
        return -ENOENT;
    if (batch_is_full(e))
        return -ENOBUFS;
    emit(e, EFFECT_PUT_LOG_PART)->put_log_part = (struct effect_put_log_part){
        .run = id, .attempt = attempt, .at = at, .text = keep(e, text)};
    run->has_log_parts = true; /* if the commit fails there is nothing to take away: no harm */
    return 0;
}
