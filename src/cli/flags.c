#include "cli/flags.h"
#include "base/check.h"
#include "cli/suggest.h"
#include <errno.h>
#include <string.h>

static const struct flag *find(const struct flag *table, const char *name, size_t len)
{
    for (; table->name != NULL; table++) {
        if (strlen(table->name) == len && memcmp(table->name, name, len) == 0)
            return table;
    }
    return NULL;
}

static int unknown(const struct flag *table, const char *arg, size_t len, struct diag *reterr)
{
    char name[64];
    snprintf(name, sizeof(name), "%.*s", (int)len, arg);
    struct suggest s = {.word = name};
    for (; table->name != NULL; table++)
        suggest_offer(&s, table->name);
    suggest_offer(&s, "help");
    if (s.best != NULL)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "unknown option '--%s'; did you mean '--%s'?", name, s.best);
    return diag_set(reterr, DIAG_INVALID_ARGUMENT, "unknown option '--%s'", name);
}

static bool was_found(const struct flags *f, const struct flag *flag)
{
    for (size_t i = 0; i < f->found.len; i++) {
        if (f->found.items[i].flag == flag)
            return true;
    }
    return false;
}

/* Keeps an option with its value: that of the same word, or NULL, then the next word is it when one
 * is wanted. Moves *i to the option's last word. */
static int keep(struct flags *f, const struct flag *flag, const char *value, int argc, char **argv,
                int *i, struct diag *reterr)
{
    if (flag->kind != FLAG_REPEATABLE && was_found(f, flag))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "--%s: is given more than once", flag->name);
    if (flag->value == NULL && value != NULL)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "--%s: takes no value", flag->name);
    if (flag->value != NULL && value == NULL) {
        if (*i + 1 >= argc)
            return diag_set(reterr, DIAG_INVALID_ARGUMENT, "--%s: needs a value: --%s %s",
                            flag->name, flag->name, flag->value);
        value = argv[++*i];
    }
    if (flag->value != NULL && *value == '\0')
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "--%s: the value is empty", flag->name);
    const struct flag_found found = {flag, flag->value != NULL ? value : ""};
    vec_push(&f->found, found);
    return 0;
}

/* --name, --name VALUE, --name=VALUE */
static int take_name(struct flags *f, int argc, char **argv, int *i, struct diag *reterr)
{
    const char *name = argv[*i] + 2;
    const char *equals = strchr(name, '=');
    const size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct flag *flag = find(f->table, name, len);
    if (flag == NULL && len == 4 && memcmp(name, "help", 4) == 0) {
        f->help = true;
        return 0;
    }
    if (flag == NULL)
        return unknown(f->table, name, len, reterr);
    return keep(f, flag, equals != NULL ? equals + 1 : NULL, argc, argv, i, reterr);
}

/* -n, -n VALUE, -nVALUE */
static int take_letter(struct flags *f, int argc, char **argv, int *i, struct diag *reterr)
{
    const char *arg = argv[*i];
    if (strcmp(arg, "-h") == 0) {
        f->help = true;
        return 0;
    }
    for (const struct flag *flag = f->table; flag->name != NULL; flag++) {
        if (flag->letter == arg[1])
            return keep(f, flag, arg[2] != '\0' ? arg + 2 : NULL, argc, argv, i, reterr);
    }
    return diag_set(reterr, DIAG_INVALID_ARGUMENT, "unknown option '%s'", arg);
}

int flags_parse(struct flags *f, const struct flag *table, int argc, char **argv,
                struct diag *reterr)
{
    int err = 0;
    bool ended = false;
    *f = (struct flags){.table = table};
    for (int i = 0; i < argc && err == 0 && !f->help; i++) {
        const char *arg = argv[i];
        if (ended || arg[0] != '-' || arg[1] == '\0')
            vec_push(&f->args, arg);
        else if (strcmp(arg, "--") == 0)
            ended = true;
        else if (arg[1] == '-')
            err = take_name(f, argc, argv, &i, reterr);
        else
            err = take_letter(f, argc, argv, &i, reterr);
    }
    if (err < 0)
        flags_release(f);
    return err;
}

const char *flags_at(const struct flags *f, const char *name, size_t i)
{
    const struct flag *flag = find(f->table, name, strlen(name));
    CHECK(flag != NULL);
    for (size_t k = 0; k < f->found.len; k++) {
        if (f->found.items[k].flag == flag && i-- == 0)
            return f->found.items[k].value;
    }
    return NULL;
}

const char *flags_get(const struct flags *f, const char *name, const char *dflt)
{
    const char *v = flags_at(f, name, 0);
    return v != NULL ? v : dflt;
}

void flags_print(FILE *to, const struct flag *table)
{
    for (; table->name != NULL; table++) {
        char left[64];
        const char letter[] = {'-', table->letter, ',', ' ', '\0'};
        snprintf(left, sizeof(left), "%s--%s%s%s", table->letter != '\0' ? letter : "", table->name,
                 table->value != NULL ? " " : "", table->value != NULL ? table->value : "");
        fprintf(to, "  %-26s %s\n", left, table->help);
    }
    fprintf(to, "  %-26s %s\n", "--help", "say this");
}

void flags_release(struct flags *f)
{
    vec_release(&f->found);
    vec_release(&f->args);
}
