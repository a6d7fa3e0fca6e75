#include "cli/table.h"
#include "base/check.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

#define GAP 3

void table_column(struct table *t, const char *name)
{
    CHECK(t->column_count < TABLE_COLUMNS_MAX && t->cells.len == 0);
    t->names[t->column_count++] = name;
}

void table_cell(struct table *t, const char *text)
{
    char *copy = mem_strdup(text != NULL && *text != '\0' ? text : "<none>");
    for (char *c = copy; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    vec_push(&t->cells, copy);
}

/* Characters: bytes that do not go on with one. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void measure(const struct table *t, size_t *ret)
{
    for (size_t i = 0; i < t->column_count; i++)
        ret[i] = width_of(t->names[i]);
    for (size_t i = 0; i < t->cells.len; i++) {
        const size_t w = width_of(t->cells.items[i]);
        if (w > ret[i % t->column_count])
            ret[i % t->column_count] = w;
    }
}

static void print_row(const struct table *t, const char *const *row, const size_t *widths, FILE *to)
{
    fprintf(to, "%*s", t->indent, "");
    for (size_t i = 0; i < t->column_count; i++) {
        fputs(row[i], to);
        if (i + 1 < t->column_count)
            fprintf(to, "%*s", (int)(widths[i] - width_of(row[i]) + GAP), "");
    }
    fputc('\n', to);
}

void table_print(const struct table *t, FILE *to)
{
    size_t widths[TABLE_COLUMNS_MAX];
    CHECK(t->column_count > 0 && t->cells.len % t->column_count == 0);
    measure(t, widths);
    print_row(t, t->names, widths, to);
    for (size_t i = 0; i < t->cells.len; i += t->column_count)
        print_row(t, (const char *const *)&t->cells.items[i], widths, to);
}

void table_release(struct table *t)
{
    for (size_t i = 0; i < t->cells.len; i++)
        free(t->cells.items[i]);
    vec_release(&t->cells);
    t->column_count = 0;
}
