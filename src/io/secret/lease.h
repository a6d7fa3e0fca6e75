/* lease.h - the tokens by which workers prove that a run is theirs (pawl/run.h). Any thread may call this. */
#ifndef IO_SECRET_LEASE_H
#define IO_SECRET_LEASE_H
#include "pawl/run.h"

void lease_token_make(struct lease_token *ret, struct lease_hash *ret_hash);
struct lease_hash lease_hash_of(const struct lease_token *t);

#endif
