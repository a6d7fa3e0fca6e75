"""/health and /metrics."""
import re


def test_health(daemon):
    for path in ("/health", "/health/live"):
        assert daemon.get(path).expect(200).json()["status"] == "ok"
    assert daemon.get("/health/ready").expect(200).json() == {"status": "ready", "journal": "ok"}


def test_head(daemon):
    r = daemon.request("HEAD", "/health").expect(200)
    assert r.body == b"" and int(r.headers["content-length"]) > 0


def metrics(daemon):
    """All samples, after checking that each line is in the text format and each sample belongs to a declared metric."""
    r = daemon.get("/metrics").expect(200)
    assert r.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples, declared = {}, {}
    for line in r.body.decode().splitlines():
        if line.startswith("# TYPE "):
            name, kind = line[7:].split()
            assert name not in declared, "declared twice"
            declared[name] = kind
        elif not line.startswith("# HELP "):
            m = re.fullmatch(r'([a-z_]+)(\{[a-z_]+="[^"\\]*"\})? ([0-9.]+)', line)
            assert m, line
            base = m[1] if m[1] in declared else re.sub("_(sum|count)$", "", m[1])
            assert base in declared, line
            assert (declared[base] == "counter") == m[1].endswith("_total"), line
            assert m[1] + (m[2] or "") not in samples, "sampled twice"
            samples[m[1] + (m[2] or "")] = float(m[3])
    return samples


def test_metrics_count(daemon):
    before = metrics(daemon)
    t = daemon.create_webhook_trigger(daemon.create_pipeline(), cooldown_seconds=3600)
    daemon.wait_run(daemon.fire_ok(t), "success")
    daemon.fire(t).expect(429)
    daemon.get("/nothing").expect(404)
    after = metrics(daemon)

    def grown(name):
        return after[name] - before[name]

    assert grown('pawl_decisions_total{verdict="fired"}') == 1
    assert grown('pawl_decisions_total{verdict="cooldown"}') == 1
    assert grown('pawl_runs_ended_total{status="success"}') == 1
    assert grown('pawl_http_responses_total{class="4xx"}') == 2
    assert grown('pawl_http_responses_total{class="2xx"}') >= 4
    assert grown("pawl_http_requests_total") >= 6
    assert grown("pawl_journal_records_total") >= 6
    assert grown("pawl_journal_commit_seconds_count") >= 4
    assert after["pawl_journal_commit_seconds_sum"] > 0
    assert after["pawl_runs_running"] == after["pawl_runs_pending"] == 0
    assert after["process_resident_memory_bytes"] > 1 << 20
    assert after["pawl_journal_failures_total"] == 0
    assert after["pawl_http_connections"] >= 1


def test_topics_show(daemon):
    assert metrics(daemon)["pawl_topics"] == 0
    daemon.create_trigger(daemon.create_pipeline(executor={"type": "pull"}), "topic", {"topic": "orders"})
    for _ in range(3):
        daemon.post("/api/v1/topics/orders/messages", b"x").expect(202)
    daemon.post("/api/v1/topics/other/messages", b"x").expect(202)
    for _ in range(2):
        m = metrics(daemon)
        assert m["pawl_topics"] == 2
        assert m['pawl_topic_messages_total{topic="orders"}'] == 3 and m['pawl_topic_messages_total{topic="other"}'] == 1
        assert m['pawl_topic_ready{topic="orders"}'] == 1 and 'pawl_topic_ready{topic="other"}' not in m
        daemon.restart()
    daemon.delete("/api/v1/topics/orders").expect(204)
    assert 'pawl_topic_messages_total{topic="orders"}' not in metrics(daemon)


def test_pending_runs_show(daemon):
    t = daemon.create_webhook_trigger(daemon.create_pipeline(executor={"type": "pull"}))
    for _ in range(3):
        daemon.fire_ok(t)
    assert metrics(daemon)["pawl_runs_pending"] == 3
    daemon.restart()
    assert metrics(daemon)["pawl_runs_pending"] == 3
