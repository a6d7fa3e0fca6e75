/* print.h - JSON values as YAML that people read, and that yaml.h reads back as the same values; readers of YAML 1.1 do, too. */
#ifndef IO_YAML_PRINT_H
#define IO_YAML_PRINT_H
#include "base/json.h"
#include "base/str.h"

/* Appends a value in block style, indented by so many blanks, with a newline at its end. */
void str_add_yaml(struct str *s, const json_t *v, unsigned indent);

#endif
