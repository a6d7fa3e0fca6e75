/* reader.h - read connections off the loop: long queries never hold up anything but each other. */
#ifndef IO_STORE_READER_H
#define IO_STORE_READER_H
#include "pawl/host.h"
#include <uv.h>

#define READER_THREADS 2
#define READER_WAITING_MAX 4096

struct reader;

/* Each thread opens its own connection to DIR at its first job. */
struct reader *reader_create(uv_loop_t *loop, const char *dir);
int reader_post(struct reader *r, struct read_job *j); /* see host->read */
void reader_close(struct reader *r, void (*closed)(void *arg), void *arg); /* waiting jobs are done() with -ECANCELED */

#endif
