/* ark_spec.h - the `spec` of an ArkEvent: what a manifest may say there, and what it means.
 *
 *     source:
 *       type: webhook | cron | team-output        also pipeline-output, the older name
 *       cron: "0 8 * * *"                         cron only; UTC
 *       teamOutput: {name: T, onPhase: P}         team-output only; P is Succeeded (default), Failed or *
 *     targets:
 *       - team: T                                 also pipeline, the older name
 *         input: {topic: "{{ .trigger.body.topic }}"}     template.h
 *     suspended: false
 *     concurrencyPolicy: Allow | Forbid
 *     cooldownSeconds: 0
 *
 * All that is wrong is found in one go, in the words in which a Kubernetes API server says it, so that its Status causes and plain
 * error texts can be made of it.
 */
#ifndef CORE_ARK_SPEC_H
#define CORE_ARK_SPEC_H
#include "base/json.h"
#include "core/cron.h"
#include "core/manifest.h"
#include <stdbool.h>
#include <stdint.h>

#define ARK_TARGETS_MAX 1000
#define ARK_INPUT_FIELDS_MAX 64      /* of one target */
#define ARK_INPUT_BYTES_MAX (16 << 10) /* of one field's text */
#define ARK_COOLDOWN_S_MAX 31536000

enum ark_source { ARK_WEBHOOK, ARK_CRON, ARK_TEAM_OUTPUT };

struct ark_target {
    const char *team;
    json_t *input; /* object of texts; NULL: the event's payload as it is */
};

/* What a spec means. Its texts belong to the JSON that it was read from. */
struct ark_spec {
    enum ark_source source;
    const char *cron_text;
    struct cron cron;
    const char *team; /* whose ends it follows */
    uint8_t ends;     /* bit 1 << RUN_SUCCESS, ... */
    struct ark_target *targets;
    size_t target_count;
    bool suspended, forbid;
    uint64_t cooldown_ms;
};

/* Reads a spec; NULL is a missing one. Adds what is wrong to *p. 0, or -EINVAL, and nothing to release then, when something
 * but unknown fields is. */
int ark_spec_read(json_t *spec, struct ark_spec *ret, struct problems *p);
void ark_spec_release(struct ark_spec *s);

#endif
