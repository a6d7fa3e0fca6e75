#include "seeds.h"
#include "base/check.h"
#include <stdio.h>
#include <stdlib.h>

void digest_add(struct digest *d, const void *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        d->value = (d->value ^ (((const uint8_t *)p)[i] + 1u)) * 0x100000001b3u;
}

int seeds_main(int argc, char **argv,
               uint64_t (*simulate)(uint64_t seed, unsigned steps, bool loud), unsigned seeds,
               unsigned steps)
{
    const uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    const uint64_t end = first + (argc > 1 ? 1 : seeds);
    if (argc > 2)
        steps = (unsigned)strtoul(argv[2], NULL, 10);
    for (uint64_t seed = first; seed < end; seed++) {
        printf("seed %llu: ", (unsigned long long)seed);
        fflush(stdout);
        const uint64_t digest = simulate(seed, steps, true);
        CHECK(digest == simulate(seed, steps, false));
    }
    return 0;
}
