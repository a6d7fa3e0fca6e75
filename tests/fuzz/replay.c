/* replay.c - runs a fuzz target over its corpus, file by file, without libFuzzer: fuzzing's finds
 * as a plain test.
 *
 *     replay_http tests/fuzz/corpus/http
 *
 * Names each file before it is tried, so that a crash tells which one it was. A corpus without
 * files is a failure: nothing would have been tested.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *what, const char *name)
{
    perror(name);
    fprintf(stderr, "replay: cannot %s %s\n", what, name);
    exit(2);
}

/* A copy of its exact size, so that reading past the end is seen by the sanitizer. */
static uint8_t *read_file(const char *path, size_t *ret_size)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0)
        fail("read", path);
    size_t size = (size_t)ftell(f);
    uint8_t *data = malloc(size);
    rewind(f);
    if ((data == NULL && size > 0) || fread(data, 1, size, f) != size)
        fail("read", path);
    fclose(f);
    *ret_size = size;
    return data;
}

static void replay(const char *dir, const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    fprintf(stderr, "%s\n", name);
    size_t size;
    uint8_t *data = read_file(path, &size);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }
    struct dirent **names;
    int n = scandir(argv[1], &names, visible, alphasort);
    if (n < 0)
        fail("list", argv[1]);
    for (int i = 0; i < n; i++) {
        replay(argv[1], names[i]->d_name);
        free(names[i]);
    }
    free(names);
    printf("%d inputs\n", n);
    return n > 0 ? 0 : 1;
}
