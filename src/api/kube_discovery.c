/* kube_discovery.c - what there is: what kubectl asks for before anything else. */
#include "api/kube.h"
#include "api/resources.h"
#include "base/base64.h"
#include "base/check.h"

/* Which requests a client may try out (dryRun): as protobuf, the only form in which clients take it, and the least that they accept.
 * It describes no fields: those are checked here, not by clients. */
#define OPENAPI                                                                                    \
    "CgMyLjASCQoDYXJrEgJ2MEKpAxLuAQpCL2FwaXMvYXJrb25pcy5kZXYvdjFhbHBoYTEvbmFtZXNwYWNlcy97bmFtZX"   \
    "NwYWNlfS9hcmtldmVudHMve25hbWV9EqcBQqQBQh0KGxIZGhcSBXF1ZXJ5IgZkcnlSdW4yBnN0cmluZ0ImCiQSIhog"   \
    "EgVxdWVyeSIPZmllbGRWYWxpZGF0aW9uMgZzdHJpbmdqWwofeC1rdWJlcm5ldGVzLWdyb3VwLXZlcnNpb24ta2luZB"   \
    "I4EjZncm91cDogImFya29uaXMuZGV2IgpraW5kOiBBcmtFdmVudAp2ZXJzaW9uOiB2MWFscGhhMQoStQEKGS9hcGkv"   \
    "djEvbmFtZXNwYWNlcy97bmFtZX0SlwFClAFCHQobEhkaFxIFcXVlcnkiBmRyeVJ1bjIGc3RyaW5nQiYKJBIiGiASBX"   \
    "F1ZXJ5Ig9maWVsZFZhbGlkYXRpb24yBnN0cmluZ2pLCh94LWt1YmVybmV0ZXMtZ3JvdXAtdmVyc2lvbi1raW5kEigS"   \
    "Jmdyb3VwOiAiIgpraW5kOiBOYW1lc3BhY2UKdmVyc2lvbjogdjEK"

#define OURS "{\"groupVersion\":\"arkonis.dev/v1alpha1\",\"version\":\"v1alpha1\"}"

#define GROUP "{\"name\":\"arkonis.dev\",\"versions\":[" OURS "],\"preferredVersion\":" OURS "}"

static const struct {
    const char *path, *body;
} documents[] = {
    {"/api", "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"]}"},
    {"/apis", "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[" GROUP "]}"},
    {"/apis/arkonis.dev",
     "{\"kind\":\"APIGroup\",\"apiVersion\":\"v1\",\"name\":\"arkonis.dev\",\"versions\":[" OURS
     "],\"preferredVersion\":" OURS "}"},
    {KUBE_ARKS,
     "{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\",\"groupVersion\":\"arkonis.dev/"
     "v1alpha1\","
     "\"resources\":[{\"name\":\"arkevents\",\"singularName\":\"arkevent\",\"namespaced\":true,"
     "\"kind\":\"ArkEvent\",\"verbs\":[\"create\",\"delete\",\"get\",\"list\",\"patch\",\"update\","
     "\"watch\"],\"shortNames\":[\"arkev\"],\"categories\":[\"all\"]},"
     "{\"name\":\"arkevents/status\",\"singularName\":\"\",\"namespaced\":true,\"kind\":"
     "\"ArkEvent\",\"verbs\":[\"get\",\"patch\",\"update\"]}]}"},
    {KUBE_CORE,
     "{\"kind\":\"APIResourceList\",\"groupVersion\":\"v1\",\"resources\":["
     "{\"name\":\"namespaces\",\"singularName\":\"namespace\",\"namespaced\":false,\"kind\":"
     "\"Namespace\",\"verbs\":[\"create\",\"delete\",\"get\",\"list\",\"patch\",\"update\","
     "\"watch\"],\"shortNames\":[\"ns\"]},{\"name\":\"secrets\",\"singularName\":\"secret\","
     "\"namespaced\":true,\"kind\":\"Secret\",\"verbs\":[\"get\",\"list\",\"watch\"]}]}"},
    {"/version",
     "{\"major\":\"1\",\"minor\":\"30\",\"gitVersion\":\"v1.30.0\",\"gitCommit\":\"\","
     "\"gitTreeState\":\"clean\",\"buildDate\":\"1970-01-01T00:00:00Z\",\"goVersion\":\"\","
     "\"compiler\":\"cc\",\"platform\":\"linux/amd64\"}"},
};

static void get(struct http_request *req, void *ctx)
{
    for (size_t i = 0; i < ARRAY_SIZE(documents); i++)
        if (slice_is(slice_of(req->route->pattern), documents[i].path))
            http_respond_json(req, 200, slice_of(documents[i].body));
}

static void openapi(struct http_request *req, void *ctx)
{
    struct str body = {0};
    CHECK(base64_decode(SLICE(OPENAPI), &body));
    http_respond(req, 200, "application/octet-stream", str_slice(&body));
    str_release(&body);
}

static const struct http_route routes[] = {
    {"GET", "/api", get, SCOPE_API, 0},
    {"GET", "/apis", get, SCOPE_API, 0},
    {"GET", "/apis/arkonis.dev", get, SCOPE_API, 0},
    {"GET", KUBE_ARKS, get, SCOPE_API, 0},
    {"GET", KUBE_CORE, get, SCOPE_API, 0},
    {"GET", "/version", get, SCOPE_API, 0},
    {"GET", "/openapi/v2", openapi, SCOPE_API, 0},
};
const struct resource resource_kube_discovery = {routes, ARRAY_SIZE(routes)};
