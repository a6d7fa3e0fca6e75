/* flags.h - command line options from a table: --name VALUE, --name=VALUE, --switch; with a letter
 * also -n VALUE, -nVALUE, -s.
 *
 *     static const struct flag flags[] = {
 *         {"listen", "ADDR:PORT", "where to serve; may be given several times", FLAG_REPEATABLE},
 *         {"verbose", NULL, "say more"},
 *         {NULL},
 *     };
 *     struct flags f;
 *     if (flags_parse(&f, flags, argc - 1, argv + 1, &why) < 0) ...
 *         -> why.msg: "unknown option '--lisen'; did you mean '--listen'?"
 *     for (size_t i = 0; (v = flags_at(&f, "listen", i)) != NULL; i++) ...
 *     flags_release(&f);
 *
 * Options and other arguments may be mixed; "--" ends the options. --help and -h are known to every
 * table. Letters are not put together: -sn is not -s -n.
 */
#ifndef CLI_FLAGS_H
#define CLI_FLAGS_H
#include "base/vec.h"
#include "pawl/err.h"
#include <stdbool.h>
#include <stdio.h>

enum flag_kind { FLAG_ONCE, FLAG_REPEATABLE };

struct flag {
    const char *name;  /* without the dashes */
    const char *value; /* what its value is called, such as "DIR"; NULL: it takes none */
    const char *help;  /* one line */
    enum flag_kind kind;
    char letter; /* 'n': may be written -n as well; 0: none */
};

struct flag_found {
    const struct flag *flag;
    const char *value; /* points into argv; "" for one that takes none */
};

struct flags {
    const struct flag *table;
    bool help; /* --help was given: the rest was not checked */
    VEC(struct flag_found) found;
    VEC(const char *) args; /* what is not an option, in order; points into argv */
};

/* Reads argc arguments (the command's name is not one of them). 0, or -EINVAL with *reterr naming
 * the option; then f is released. */
int flags_parse(struct flags *f, const struct flag *table, int argc, char **argv,
                struct diag *reterr);

/* The i-th value given for an option of the table (CHECKed), NULL when it was given fewer times. */
const char *flags_at(const struct flags *f, const char *name, size_t i);

/* The value of an option, or dflt when it was not given. */
const char *flags_get(const struct flags *f, const char *name, const char *dflt);

/* Prints the table's options, one a line, indented. */
void flags_print(FILE *to, const struct flag *table);

void flags_release(struct flags *f);

#endif
