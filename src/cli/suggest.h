/* suggest.h - what was probably meant: the known word nearest to one that is not known. */
#ifndef CLI_SUGGEST_H
#define CLI_SUGGEST_H
#include <stddef.h>

/* The number of letters to insert, delete, replace or swap with their neighbour to get from a to b;
 * at most `bound` + 1 is returned. Words longer than 32 bytes are never near. */
unsigned suggest_distance(const char *a, const char *b, unsigned bound);

/* Collects candidates one by one: start with {.word = word}; `best` is NULL while none is near
 * enough to be meant. */
struct suggest {
    const char *word;
    const char *best;
    unsigned distance;
};
void suggest_offer(struct suggest *s, const char *candidate);

#endif
