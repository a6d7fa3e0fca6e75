-- post.lua - wrk posts the benchmark's body with its token, and reports what it saw as one line of JSON.
wrk.method = "POST"
local file = os.getenv("BENCH_BODY_FILE")
wrk.body = file and io.open(file, "rb"):read("*a") or os.getenv("BENCH_BODY")
wrk.headers["Content-Type"] = os.getenv("BENCH_TYPE") or "application/json"
wrk.headers["X-Webhook-Token"] = os.getenv("BENCH_TOKEN")

done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format('\n{"rate": %.1f, "requests": %d, "p50": %.3f, "p99": %.3f, "status_errors": %d, "socket_errors": %d}\n',
        summary.requests / (summary.duration / 1e6), summary.requests, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
        e.status, e.connect + e.read + e.write + e.timeout))
end
