#include "io/yaml/print.h"
#include "base/check.h"
#include "io/yaml/scalar.h"
#include <string.h>

/* Readers of YAML 1.1, such as kubectl, see truth values in words, and numbers and dates in more than what 1.2 has as numbers:
 * 1_000, 2026-02-13. Of what begins with a digit they are not to be asked. */
static bool is_more_in_1_1(struct slice text)
{
    static const char *const words[] = {"y", "n", "yes", "no", "on", "off"};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (slice_is_nocase(text, words[i]))
            return true;
    const char c = text.p[text.p[0] == '.' && text.len > 1];
    return c >= '0' && c <= '9';
}

/* Texts that would be read as something else, or not at all, are quoted; JSON's quotes are YAML's. */
static bool is_plain(struct slice text)
{
    static const char inside[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                 "_./-+@=()";
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./";
    if (text.len == 0 || strchr(first, text.p[0]) == NULL || text.p[0] == '\0' ||
        slice_starts(text, "..."))
        return false;
    for (size_t i = 1; i < text.len; i++) {
        const bool blank = text.p[i] == ' ' && i + 1 < text.len && text.p[i + 1] != ' ';
        if (text.p[i] == '\0' || (!blank && strchr(inside, text.p[i]) == NULL))
            return false;
    }
    return scalar_kind(text) == SCALAR_STRING && !is_more_in_1_1(text);
}

static void add_text(struct str *s, struct slice text)
{
    if (is_plain(text))
        str_add_slice(s, text);
    else
        str_add_json(s, text);
}

static void add_indent(struct str *s, unsigned indent)
{
    while (indent-- > 0)
        str_add_char(s, ' ');
}

static bool is_flow(const json_t *v)
{
    return json_object_size(v) == 0 && json_array_size(v) == 0;
}

static void add_scalar(struct str *s, const json_t *v)
{
    if (json_is_string(v))
        add_text(s, (struct slice){json_string_value(v), json_string_length(v)});
    else
        str_add_json_value(s, v);
    str_add_char(s, '\n');
}

/* Whatever follows "key:" or "-"; the first line of a list's item stands beside its dash. */
static void add_inside(struct str *s, const json_t *v, unsigned indent, bool begun)
{
    const char *key;
    json_t *child;
    size_t i;
    if (is_flow(v)) {
        add_scalar(s, v);
        return;
    }
    json_object_foreach((json_t *)v, key, child)
    {
        if (!begun)
            add_indent(s, indent);
        begun = false;
        add_text(s, slice_of(key));
        str_add_cstr(s, is_flow(child) ? ": " : ":\n");
        add_inside(s, child, json_is_array(child) ? indent : indent + 2, false);
    }
    json_array_foreach(v, i, child)
    {
        if (!begun)
            add_indent(s, indent);
        begun = false;
        str_add_cstr(s, "- ");
        add_inside(s, child, indent + 2, true);
    }
}

void str_add_yaml(struct str *s, const json_t *v, unsigned indent)
{
    if (is_flow(v))
        add_indent(s, indent);
    add_inside(s, v, indent, false);
}
