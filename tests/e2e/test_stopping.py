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
