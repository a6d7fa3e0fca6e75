/* pull.c - runs that nobody here carries out: they stay pending until a worker asks for them. */
#include "base/json.h"
#include "pawl/executor.h"

static const struct option_doc pull_options[] = {
    {NULL},
};

static int pull_check(json_t *config, struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, config, "executor", reterr);
    json_take_string(&f, "type", JSON_REQUIRED);
    return json_fields_end(&f);
}

const struct executor_type executor_pull = {
    .name = "pull",
    .help = "leaves the run pending until a worker takes it",
    .options = pull_options,
    .pull = true,
    .check = pull_check,
};
