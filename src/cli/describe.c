#include "cli/describe.h"
#include "base/check.h"
#include "base/mem.h"
#include "cli/table.h"
#include "io/yaml/print.h"
#include <stdlib.h>
#include <string.h>

#define LAST "limit=5"

static void print_line(const char *name, const char *value)
{
    printf("%-12s%s\n", name, *value != '\0' ? value : "<none>");
}

static void print_part(const char *name, const json_t *v)
{
    struct str text = {0};
    if (v == NULL || json_object_size(v) == 0)
        return;
    str_add_yaml(&text, v, 2);
    printf("%s\n%s", name, text.p);
    str_release(&text);
}

/* A list of objects as a table of some of their members. */
static void print_list(const char *title, const json_t *list, const char *const *paths,
                       const char *const *names)
{
    struct table t = {.indent = 2};
    size_t i;
    json_t *v;
    printf("%s\n", title);
    if (json_array_size(list) == 0) {
        printf("  <none>\n");
        return;
    }
    for (size_t c = 0; paths[c] != NULL; c++)
        table_column(&t, names[c]);
    json_array_foreach(list, i, v) for (size_t c = 0; paths[c] != NULL; c++)
        table_cell(&t, object_text(v, paths[c]));
    table_print(&t, stdout);
    table_release(&t);
}

static int print_runs(struct server *s, const char *query)
{
    static const char *const paths[] = {"id", "status", "created_at", "error", NULL};
    static const char *const names[] = {"RUN", "STATUS", "CREATED", "ERROR"};
    json_t *answer = server_ask(s, "GET", query, NULL);
    if (answer == NULL)
        return CLI_FAILED;
    print_list("Last runs:", json_object_get(answer, "runs"), paths, names);
    json_decref(answer);
    return CLI_OK;
}

static void print_decision_list(const json_t *list)
{
    static const char *const paths[] = {"time", "decision", "detail", "event_id", NULL};
    static const char *const names[] = {"TIME", "DECISION", "DETAIL", "EVENT"};
    print_list("Last decisions:", list, paths, names);
}

/* Of an ArkEvent, from the log of events: it nests under no pipeline. */
static int print_ark_decisions(struct server *s, const char *uid)
{
    size_t i, j;
    json_t *event, *d, *list = json_array();
    char *query = mem_printf("/api/v1/event-log?trigger_id=%s&" LAST, uid);
    json_t *answer = server_ask(s, "GET", query, NULL);
    json_array_foreach(json_object_get(answer, "events"), i, event)
    {
        json_array_foreach(json_object_get(event, "decisions"), j, d)
        {
            if (strcmp(object_text(d, "trigger_id"), uid) != 0)
                continue;
            json_object_set(d, "time", json_object_get(event, "time"));
            json_object_set(d, "event_id", json_object_get(event, "id"));
            json_array_append(list, d);
        }
    }
    if (answer != NULL)
        print_decision_list(list);
    json_decref(list);
    free(query);
    json_decref(answer);
    return answer != NULL ? CLI_OK : CLI_FAILED;
}

static int print_decisions(struct server *s, const struct kind *k, const json_t *object)
{
    char *url = object_url(k, object), *query = mem_printf("%s/decisions?" LAST, url);
    json_t *answer = server_ask(s, "GET", query, NULL);
    free(query);
    free(url);
    if (answer == NULL)
        return CLI_FAILED;
    print_decision_list(json_object_get(answer, "decisions"));
    json_decref(answer);
    return CLI_OK;
}

static int print_conditions(const json_t *object)
{
    static const char *const paths[] = {"type", "status", "reason", "message", "lastTransitionTime",
                                        NULL};
    static const char *const names[] = {"TYPE", "STATUS", "REASON", "MESSAGE", "SINCE"};
    print_list("Conditions:", object_value(object, "status.conditions"), paths, names);
    return CLI_OK;
}

static json_t *status_of(const struct kind *k, const json_t *object)
{
    json_t *status = json_copy((json_t *)object_value(object, "status"));
    if (k->id == KIND_ARK)
        json_object_del(status, "conditions"); /* they get a table */
    return status;
}

static int print_history(struct server *s, const struct kind *k, const json_t *object)
{
    char *query;
    int code = CLI_OK;
    const char *uid = object_text(object, "metadata.uid");
    if (k->id == KIND_ZONE)
        return CLI_OK;
    if (k->id == KIND_PIPELINE)
        query = mem_printf("/api/v1/runs?namespace=%s&layer=%s&pipeline=%s&" LAST,
                           object_text(object, "metadata.namespace"),
                           object_text(object, "spec.layer"), object_text(object, "metadata.name"));
    else
        query = mem_printf("/api/v1/runs?trigger_id=%s&" LAST, uid);
    if (k->id == KIND_ARK)
        code = print_conditions(object);
    if (code == CLI_OK)
        code = print_runs(s, query);
    if (code == CLI_OK && k->id == KIND_TRIGGER)
        code = print_decisions(s, k, object);
    if (code == CLI_OK && k->id == KIND_ARK)
        code = print_ark_decisions(s, uid);
    free(query);
    return code;
}

int describe(struct server *s, const struct kind *k, const json_t *object)
{
    char *name = object_name(k, object);
    json_t *status = status_of(k, object);
    print_line("Name:", name);
    print_line("Namespace:", object_text(object, "metadata.namespace"));
    print_line("Kind:", k->name);
    print_line("Id:", object_text(object, "metadata.uid"));
    print_line("Created:", object_text(object, "metadata.creationTimestamp"));
    print_part("Labels:", object_value(object, "metadata.labels"));
    print_part("Annotations:", object_value(object, "metadata.annotations"));
    print_part("Spec:", object_value(object, "spec"));
    print_part("Status:", status);
    json_decref(status);
    free(name);
    return print_history(s, k, object);
}
