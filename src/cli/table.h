/* table.h - rows of text in columns, as wide as what is in them, for people.
 *
 *     struct table t = {0};
 *     table_column(&t, "NAME");  table_column(&t, "AGE");
 *     table_cell(&t, "load");    table_cell(&t, "5m");       cell by cell, row by row
 *     table_print(&t, stdout);   table_release(&t);
 *
 *     NAME   AGE
 *     load   5m
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H
#include "base/vec.h"
#include <stdio.h>

#define TABLE_COLUMNS_MAX 32

struct table {
    const char *names[TABLE_COLUMNS_MAX]; /* borrowed */
    size_t column_count;
    int indent; /* blanks before each line */
    VEC(char *) cells;
};

void table_column(struct table *t, const char *name); /* before the first cell; at most TABLE_COLUMNS_MAX */

/* Appends a cell; the text is copied. NULL and "" are shown as <none>. Control characters, which would break the rows, as '?'. */
void table_cell(struct table *t, const char *text);

/* Prints the heading and the rows, which must be full; blanks stand between columns, never at the end of a line. Widths count characters. */
void table_print(const struct table *t, FILE *to);
void table_release(struct table *t);

#endif
