/* fdlimit.h - how many descriptors this process may have, and the programs it starts.
 *
 * Systems start programs with a low soft limit (often 1024) for the sake of those that use select(), and a high hard one for those that
 * raise the soft one themselves. The daemon does; what it starts gets back what the daemon was given.
 */
#ifndef BASE_FDLIMIT_H
#define BASE_FDLIMIT_H
#include <stdint.h>

/* Raises the soft limit to the hard one. Call it once, before there are threads. Returns the limit that holds now. */
uint64_t fdlimit_raise(void);

/* In a child before its exec: takes fdlimit_raise() back, if it was called. Safe after vfork. */
void fdlimit_restore(void);

#endif
