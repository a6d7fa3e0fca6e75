#include "cli/kinds.h"
#include "base/check.h"
#include "base/mem.h"
#include "cli/suggest.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct kind kinds[] = {
    {KIND_ARK,
     "ArkEvent",
     "arkonis.dev/v1alpha1",
     {"arkevents", "arkevent", "arkev", "arkevt", "ae", NULL}},
    {KIND_PIPELINE, "Pipeline", "pawl.dev/v1", {"pipelines", "pipeline", "pl", NULL}},
    {KIND_TRIGGER, "Trigger", "pawl.dev/v1", {"triggers", "trigger", "tr", NULL}},
    {KIND_ZONE,
     "LandingZone",
     "pawl.dev/v1",
     {"landingzones", "landingzone", "landing-zones", "landing-zone", "zones", "zone", "lz", NULL}},
};

const struct kind *kind_find(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        for (const char *const *w = kinds[i].words; *w != NULL; w++)
            if (strcasecmp(*w, word) == 0)
                return &kinds[i];
    return NULL;
}

const struct kind *kind_take(const struct cli_command *c, const char *word)
{
    const struct kind *k = kind_find(word);
    struct suggest s = {.word = word};
    struct str known = {0};
    if (k != NULL)
        return k;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        str_printf(&known, "%s%s", i > 0 ? ", " : "", kinds[i].words[0]);
        for (const char *const *w = kinds[i].words; *w != NULL; w++)
            suggest_offer(&s, *w);
    }
    if (s.best != NULL)
        cli_usage_error(c, "unknown kind '%s'; did you mean '%s'?", word, s.best);
    else
        cli_usage_error(c, "unknown kind '%s'; there are: %s", word, known.p);
    str_release(&known);
    return NULL;
}

char *kind_object_name(const struct kind *k, const char *name)
{
    char *ret = k == NULL ? mem_strdup(name)
                          : mem_printf("%s.%.*s/%s", k->name, (int)strcspn(k->api_version, "/"),
                                       k->api_version, name);
    for (size_t i = 0; k != NULL && i < strlen(k->name); i++)
        ret[i] = (char)tolower((unsigned char)ret[i]);
    return ret;
}
