/* manifest_job.h - a set of manifests on its way: read off the loop, looked at, put, on disk.
 *
 *     start ──> load, manifest_set_read (reader thread) ──> directories of new zones are looked at ──> plan, put ──> commit
 *           ──> the zones are watched ──> done
 */
#ifndef API_MANIFEST_JOB_H
#define API_MANIFEST_JOB_H
#include "api/manifest_set.h"

struct manifest_job {
    struct manifest_set set; /* its settings are the owner's; released by the owner, after done() */
    struct api *api;
    bool dry_run;
    bool stop; /* load() has found that there is nothing to apply; done(0) follows */
    /* Adds the files, on a reader thread: may touch what belongs to the job only. */
    void (*load)(struct manifest_job *j);
    /* Once, on the loop, never from inside start. 0: see the set for what became of it; with problems nothing was done, or what is
     * left without those files. Else a negative errno: nothing was done, and the same may succeed later. */
    void (*done)(struct manifest_job *j, int err);

    /* the job's */
    struct read_job read;
    struct zone_probe probe;
    struct zone_waiter waiter;
    struct ticket ticket;
    size_t at; /* the document that is next */
};

/* 0, or -EAGAIN or -ECANCELED: done() will not be called. */
int manifest_job_start(struct manifest_job *j);

#endif
