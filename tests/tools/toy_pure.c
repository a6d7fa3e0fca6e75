/* toy_pure.c - uses nothing that core may not: pure.sh has to let it pass. */
#include <stdio.h>
#include <string.h>

int toy_pure(char *buf, size_t size, const char *text);

int toy_pure(char *buf, size_t size, const char *text)
{
    return strlen(text) < size ? snprintf(buf, size, "%s", text) : -1;
}
