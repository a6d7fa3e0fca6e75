#include "api/api.h"
#include "api/resources.h"
#include "base/check.h"

/* clang-format off */
static const struct resource *const resources[] = {
    &resource_apply,
    &resource_claims,
    &resource_event_log,
    &resource_events,
    &resource_health,
    &resource_kube_discovery,
    &resource_kube_get,
    &resource_kube_list,
    &resource_kube_namespace_write,
    &resource_kube_namespaces,
    &resource_kube_write,
    &resource_manifests,
    &resource_metrics,
    &resource_pause,
    &resource_pipelines,
    &resource_replays,
    &resource_reports,
    &resource_runs,
    &resource_topics,
    &resource_triggers,
    &resource_zone_files,
    &resource_zones,
};
/* clang-format on */

void api_routes(struct api *a, struct http_server *s)
{
    for (size_t i = 0; i < ARRAY_SIZE(resources); i++)
        http_server_route(s, resources[i]->routes, resources[i]->count, a);
}
