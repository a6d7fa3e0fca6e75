#include "cli/suggest.h"
#include <string.h>

#define WORD_LEN_MAX 32

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    const unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Optimal string alignment over three rows of the table. */
unsigned suggest_distance(const char *a, const char *b, unsigned bound)
{
    const size_t la = strlen(a), lb = strlen(b);
    unsigned rows[3][WORD_LEN_MAX + 1];
    if (la > WORD_LEN_MAX || lb > WORD_LEN_MAX)
        return bound + 1;
    for (size_t j = 0; j <= lb; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                above2[j - 2] + 1 < row[j])
                row[j] = above2[j - 2] + 1;
        }
    }
    const unsigned d = rows[la % 3][lb];
    return d > bound ? bound + 1 : d;
}

void suggest_offer(struct suggest *s, const char *candidate)
{
    const size_t len = strlen(s->word);
    const unsigned bound = len <= 2 ? 0 : len <= 4 ? 1 : 2; /* a short word resembles too much */
    const unsigned d = suggest_distance(s->word, candidate, bound);
    if (d > bound || (s->best != NULL && d >= s->distance))
        return;
    s->best = candidate;
    s->distance = d;
}
