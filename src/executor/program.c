#include "executor/program.h"
#include "base/check.h"
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KILL_GRACE_SECONDS_MAX 3600
#define RESERVED_PREFIX "PAWL_"

static const char *const inherited[] = {"PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME"};

/* ---- the fields ---- */

static void check_argv(struct json_fields *f, json_t *argv)
{
    size_t i;
    json_t *arg;
    char name[48];
    if (argv != NULL && json_array_size(argv) == 0)
        json_fields_fail(f, "argv", "must name a program");
    json_array_foreach(argv, i, arg)
    {
        snprintf(name, sizeof(name), "argv[%zu]", i);
        if (!json_is_string(arg))
            json_fields_fail(f, name, "must be a string");
        else if (i == 0 && json_string_length(arg) == 0)
            json_fields_fail(f, name, "must name a program");
    }
}

static bool env_name_is_valid(const char *name)
{
    if (isdigit((unsigned char)name[0]) || name[0] == '\0')
        return false;
    for (; *name != '\0'; name++)
        if (!isalnum((unsigned char)*name) && *name != '_')
            return false;
    return true;
}

static void check_env(struct json_fields *f, json_t *env)
{
    const char *name;
    json_t *value;
    json_object_foreach(env, name, value)
    {
        if (!env_name_is_valid(name))
            json_fields_fail(f, "env", "'%s' is not a name of letters, digits and '_'", name);
        else if (strncmp(name, RESERVED_PREFIX, strlen(RESERVED_PREFIX)) == 0)
            json_fields_fail(f, "env", "'%s': names that begin with " RESERVED_PREFIX " are taken",
                             name);
        else if (!json_is_string(value))
            json_fields_fail(f, "env", "the value of '%s' must be a string", name);
    }
}

void program_check(struct json_fields *f)
{
    check_argv(f, json_take_array(f, "argv", JSON_REQUIRED));
    check_env(f, json_take_object(f, "env", JSON_OPTIONAL));
    const char *cwd = json_take_string(f, "cwd", JSON_OPTIONAL);
    if (cwd != NULL && cwd[0] != '/')
        json_fields_fail(f, "cwd", "must be an absolute path");
    json_take_number(f, "kill_grace_seconds", 0, 0, KILL_GRACE_SECONDS_MAX);
}

/* ---- what the program gets ---- */

static char **make_argv(struct arena *a, json_t *argv)
{
    size_t i;
    json_t *arg;
    char **ret = arena_zalloc(a, (json_array_size(argv) + 1) * sizeof(*ret));
    json_array_foreach(argv, i, arg) ret[i] = arena_strdup(a, slice_of(json_string_value(arg)));
    return ret;
}

static char *make_variable(struct arena *a, const char *prefix, const char *name,
                           struct slice value)
{
    const size_t prefix_len = strlen(prefix), name_len = strlen(name);
    char *ret = arena_alloc(a, prefix_len + name_len + value.len + 2);
    memcpy(ret, prefix, prefix_len);
    memcpy(ret + prefix_len, name, name_len);
    ret[prefix_len + name_len] = '=';
    memcpy(ret + prefix_len + name_len + 1, value.p, value.len);
    ret[prefix_len + name_len + 1 + value.len] = '\0';
    return ret;
}

/* The daemon has one data directory. */
static char instance[64];

void program_set_instance(const char *text)
{
    snprintf(instance, sizeof(instance), "%s", text);
}

static char **make_env(struct arena *a, json_t *config_env, const struct program_variable *v,
                       size_t v_count)
{
    size_t n = 0;
    const char *name;
    json_t *value;
    const size_t count_max = ARRAY_SIZE(inherited) + json_object_size(config_env) + v_count + 1;
    char **env = arena_zalloc(a, (count_max + 1) * sizeof(*env));

    for (size_t i = 0; i < ARRAY_SIZE(inherited); i++) {
        const char *of_daemon = getenv(inherited[i]);
        if (of_daemon != NULL && json_object_get(config_env, inherited[i]) == NULL)
            env[n++] = make_variable(a, "", inherited[i], slice_of(of_daemon));
    }
    json_object_foreach(config_env, name, value) env[n++] =
        make_variable(a, "", name, slice_of(json_string_value(value)));
    for (size_t i = 0; i < v_count; i++)
        env[n++] = make_variable(a, RESERVED_PREFIX, v[i].name, v[i].value);
    if (instance[0] != '\0')
        env[n++] = make_variable(a, RESERVED_PREFIX, "INSTANCE", slice_of(instance));
    CHECK(n <= count_max);
    return env;
}

static uint64_t kill_grace_ms(json_t *config)
{
    json_t *seconds = json_object_get(config, "kill_grace_seconds");
    if (!json_is_number(seconds))
        return PROCESS_KILL_GRACE_MS;
    return (uint64_t)(json_number_value(seconds) * 1000);
}

void program_read(struct arena *a, json_t *config, const struct program_variable *v, size_t n,
                  struct program *ret)
{
    const char *cwd = json_string_value(json_object_get(config, "cwd"));
    *ret = (struct program){
        .argv = make_argv(a, json_object_get(config, "argv")),
        .env = make_env(a, json_object_get(config, "env"), v, n),
        .cwd = cwd != NULL ? arena_strdup(a, slice_of(cwd)) : NULL,
        .kill_grace_ms = kill_grace_ms(config),
    };
}

/* ---- the end ---- */

void program_explain_start(const struct program *p, const struct process_end *e, struct diag *why)
{
    const char *reason = strerror(-e->err);
    if (e->err == -EAGAIN && e->failed == LAUNCH_PIPES)
        diag_set(why, DIAG_UNAVAILABLE,
                 "cannot start \"%s\": too many processes wait to be started", p->argv[0]);
    else if (e->failed == LAUNCH_CHDIR)
        diag_set(why, DIAG_INTERNAL, "cannot change to directory \"%s\": %s", p->cwd, reason);
    else
        diag_set(why, DIAG_INTERNAL, "cannot start \"%s\": %s", p->argv[0], reason);
}

void program_explain_exit(const struct process_end *e, const char *status, const char *killed,
                          struct diag *why)
{
    if (e->signo == 0) {
        diag_set(why, DIAG_INTERNAL, "%s %d", status, e->exit_status);
        return;
    }
    const char *name = sigabbrev_np(e->signo);
    diag_set(why, DIAG_INTERNAL, name != NULL ? "%s by signal %d (SIG%s)" : "%s by signal %d",
             killed, e->signo, name);
}
