"""What a stop leaves: SIGTERM at the worst moments, with runs, waiting callers and requests half way."""
import signal


def post_hook(trigger, body="{}", query=""):
    return (f"POST /api/v1/webhooks{query} HTTP/1.1\r\nHost: x\r\nX-Webhook-Token: {trigger['webhook_token']}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}")


def test_a_call_that_comes_with_the_signal_is_kept(make_daemon):
    """Both are there when the loop wakes up: the call is taken, then the signal finds nothing running and nothing being written."""
    d = make_daemon()
    trigger = d.create_webhook_trigger(d.create_pipeline(argv=["/bin/true"]))
    with d.wire() as w:
        w.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n").response().expect(200)
        d.signal(signal.SIGSTOP)
        w.send(post_hook(trigger))
        d.signal(signal.SIGTERM).signal(signal.SIGCONT)
        run_id = w.response().expect(201).json()["run_id"]
        d.wait_exit()
    d.start()
    assert d.wait_run(run_id)["status"] == "success"


HALF_WAY = ["GET /api/v1/runs/{run}/logs HTTP/1.1\r\nHost: x\r\n", "GET /api/v1/runs/{run}/logs HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n",
            "GET /api/v1/runs/{run} HTTP/1.1\r\nHost: x\r\n", "POST /api/v1/runs/{run}/cancel HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n",
            "GET /metrics HTTP/1.1\r\nHost: x\r\n", "GET /health/ready HTTP/1.1\r\nHost: x\r\n",
            "POST /api/v1/webhooks HTTP/1.1\r\nHost: x\r\nX-Webhook-Token: {token}\r\nContent-Length: 0\r\n"]


def test_requests_half_way_when_all_else_closes(make_daemon):
    """Nothing runs, so everything closes at once: these are told so, do not hold it up, and find nothing that is gone."""
    d = make_daemon(config={"stop_grace_seconds": 60})
    trigger = d.create_webhook_trigger(d.create_pipeline(argv=["/bin/true"]))
    run_id = d.fire_ok(trigger)
    d.wait_run(run_id, "success")
    wires = [d.wire().send(half.format(run=run_id, token=trigger["webhook_token"])) for half in HALF_WAY]
    d.get("/health").expect(200)  # all of the above has been read
    d.begin_stop()
    for w in wires:
        r = w.send("\r\n").response().expect(503)
        assert r.error == "UNAVAILABLE" and r.headers["connection"] == "close"
        w.close()
    d.wait_exit(timeout=10)
    d.start()
    assert d.get("/api/v1/runs").json()["total"] == 1
