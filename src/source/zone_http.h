/* zone_http.h - files that come and go over HTTP. For the zone source. */
#ifndef SOURCE_ZONE_HTTP_H
#define SOURCE_ZONE_HTTP_H
#include "io/http/http.h"
#include "source/zone_site.h"

#define ZONE_FILES_ROUTE "/api/v1/landing-zones/{ns}/{name}/files"

/* POST .../files: the body is a stream. */
extern const struct http_sink zone_upload_sink;
void zone_upload_complete(struct http_request *req, void *zones);

/* POST and DELETE of files. */
extern const struct http_route zone_file_routes[];
extern const size_t zone_file_route_count;

/* The site of the zone in a path's first two parameters, or NULL with *why. */
struct site *zone_http_site(struct zones *all, struct http_request *req, struct diag *why);

#endif
