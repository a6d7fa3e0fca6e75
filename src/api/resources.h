/* resources.h - what each resource's file offers to api.c: its rows. */
#ifndef API_RESOURCES_H
#define API_RESOURCES_H
#include "io/http/http.h"

struct resource {
    const struct http_route *routes;
    size_t count;
};

extern const struct resource
    resource_apply,
    resource_claims,
    resource_event_log,
    resource_events,
    resource_health,
    resource_kube_discovery,
    resource_kube_get,
    resource_kube_list,
    resource_kube_namespace_write,
    resource_kube_namespaces,
    resource_kube_write,
    resource_manifests,
    resource_metrics,
    resource_pause,
    resource_pipelines,
    resource_replays,
    resource_reports,
    resource_runs,
    resource_topics,
    resource_triggers,
    resource_zone_files,
    resource_zones;

#endif
