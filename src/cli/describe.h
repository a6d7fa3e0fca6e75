/* describe.h - a page about one object, for people. */
#ifndef CLI_DESCRIBE_H
#define CLI_DESCRIBE_H
#include "cli/objects.h"

/* Prints it; CLI_OK, or CLI_FAILED with the reason printed. */
int describe(struct server *s, const struct kind *k, const json_t *object);

#endif
