#include "io/yaml/walk.h"
#include "base/check.h"
#include "io/yaml/yaml.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_NAME_SHOWN_MAX 100

/* ---- places ---- */

struct place walk_here(const struct walk *w)
{
    return (struct place){(uint32_t)w->event.start_mark.line + 1,
                          (uint32_t)w->event.start_mark.column + 1};
}

size_t walk_place_begin(struct walk *w)
{
    const struct place key = w->key;

    w->key = (struct place){0};
    if (w->places == NULL)
        return 0;
    vec_push(&w->places->nodes,
             ((struct place_node){key.line > 0 ? key : walk_here(w), walk_here(w), 1}));
    return w->places->nodes.len - 1;
}

void walk_place_end(struct walk *w, size_t node)
{
    if (w->places != NULL)
        w->places->nodes.items[node].size = (uint32_t)(w->places->nodes.len - node);
}

/* ---- errors ---- */

static bool fail_at(struct walk *w, size_t line, size_t column, const char *text)
{
    diag_set(w->why, DIAG_INVALID_ARGUMENT, "not valid YAML at line %zu, column %zu: %s", line + 1,
             column + 1, text);
    if (w->why != NULL) {
        w->why->line = (int)line + 1;
        w->why->column = (int)column + 1;
    }
    return false;
}

bool walk_fail(struct walk *w, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return fail_at(w, w->event.start_mark.line, w->event.start_mark.column, text);
}

void walk_failed_in(struct walk *w, const char *name)
{
    struct str inner = w->failed;

    w->failed = (struct str){0};
    str_add(&w->failed, name, utf8_cut(slice_of(name), FIELD_NAME_SHOWN_MAX));
    if (inner.len > 0 && inner.p[0] != '[')
        str_add_char(&w->failed, '.');
    str_add_slice(&w->failed, str_slice(&inner));
    str_release(&inner);
}

void walk_failed_in_item(struct walk *w, size_t i)
{
    char name[32];

    snprintf(name, sizeof(name), "[%zu]", i);
    walk_failed_in(w, name);
}

/* The bytes could not be read as characters; libyaml knows how many bytes came before. */
static bool bytes_failed(struct walk *w)
{
    size_t line = 0, column = 0;

    for (size_t i = 0; i < w->parser.problem_offset && i < w->text.len; i++) {
        bool newline = w->text.p[i] == '\n';

        line += newline;
        column = newline ? 0 : column + 1;
    }
    return fail_at(w, line, column, w->parser.problem);
}

static bool parser_failed(struct walk *w)
{
    const yaml_parser_t *p = &w->parser;
    char text[256];

    CHECK(p->error != YAML_MEMORY_ERROR);
    if (p->error == YAML_READER_ERROR)
        return bytes_failed(w);
    snprintf(text, sizeof(text), "%s%s%s", p->problem, p->context ? ", " : "",
             p->context ? p->context : "");
    return fail_at(w, p->problem_mark.line, p->problem_mark.column, text);
}

/* ---- limits ---- */

bool walk_charge(struct walk *w, size_t nodes, size_t bytes)
{
    w->nodes += nodes;
    w->bytes += bytes;
    if (w->nodes > YAML_NODES_MAX)
        return walk_fail(w, "more than %d values, aliases expanded", YAML_NODES_MAX);
    if (w->bytes > YAML_BYTES_MAX)
        return walk_fail(w, "more than %d bytes of text, aliases expanded", YAML_BYTES_MAX);
    return true;
}

bool walk_check_depth(struct walk *w, unsigned depth)
{
    return depth <= YAML_DEPTH_MAX ||
           walk_fail(w, "more than %d levels of nesting", YAML_DEPTH_MAX);
}

/* ---- anchors ---- */

static struct anchor *find_anchor(struct walk *w, const char *name)
{
    for (size_t i = 0; i < w->anchors.len; i++)
        if (strcmp(w->anchors.items[i].name, name) == 0)
            return &w->anchors.items[i];
    return NULL;
}

const struct anchor *walk_anchor(struct walk *w, const char *name)
{
    return find_anchor(w, name);
}

bool walk_put_anchor(struct walk *w, const char *name, json_t *value, const struct weight *weight)
{
    struct anchor *a = find_anchor(w, name);

    if (a != NULL) {
        json_decref(a->value);
    } else {
        if (w->anchors.len == YAML_ANCHORS_MAX)
            return walk_fail(w, "more than %d anchors", YAML_ANCHORS_MAX);
        vec_push(&w->anchors, (struct anchor){.name = mem_strdup(name)});
        a = &w->anchors.items[w->anchors.len - 1];
    }
    a->value = json_incref(value);
    a->weight = *weight;
    return true;
}

void walk_drop_anchors(struct walk *w)
{
    for (size_t i = 0; i < w->anchors.len; i++) {
        free(w->anchors.items[i].name);
        json_decref(w->anchors.items[i].value);
    }
    vec_release(&w->anchors);
}

/* ---- events ---- */

bool walk_next(struct walk *w)
{
    yaml_event_delete(&w->event);
    return yaml_parser_parse(&w->parser, &w->event) || parser_failed(w);
}
