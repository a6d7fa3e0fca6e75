/* toy_impure.c - reads the clock, which core must not: pure.sh has to see it. */
#include <time.h>

long toy_impure(void);

long toy_impure(void)
{
    return (long)time(NULL);
}
