"""Open files: the daemon takes what it may have, and does not pass that on."""
import contextlib
import os

from pawl import wait_until

GIVEN, HARD = 48, 600
LIMITED = ("/bin/sh", "-c", f'ulimit -Sn {GIVEN} && ulimit -Hn {HARD} && exec "$@"', "sh")


def test_serve_raises_its_own_limit_only(make_daemon):
    d = make_daemon(wrapper=LIMITED)
    with open(f"/proc/{d.pid}/limits", encoding="ascii") as f:
        limit = next(line.split()[3:5] for line in f if line.startswith("Max open files"))
    assert limit == [str(HARD), str(HARD)]
    trigger = d.create_webhook_trigger(d.create_pipeline(argv=["/bin/sh", "-c", "ulimit -Sn; ulimit -Hn"]))
    assert d.fire_sync(trigger).expect(200).json()["output"] == f"{GIVEN}\n{HARD}\n"
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(d.wire()) for _ in range(3 * GIVEN)]
        for w in wires:
            w.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n").response().expect(200)


def test_standard_descriptors_that_are_closed_stay_unused(make_daemon):
    """stdin and stderr are closed: the log must not go into whatever was opened next."""
    d = make_daemon(wrapper=("/bin/sh", "-c", 'exec "$@" <&- 2>&-', "sh"))
    for fd in (0, 2):
        assert os.readlink(f"/proc/{d.pid}/fd/{fd}") == "/dev/null"
    d.get("/health").expect(200)
    d.stop()


def test_without_standard_output_it_serves_all_the_same(make_daemon):
    d = make_daemon(start=False, wrapper=("/bin/sh", "-c", 'exec "$@" >&-', "sh")).launch()
    wait_until(lambda: "listening" in d.stderr(), what="the log")
    assert os.readlink(f"/proc/{d.pid}/fd/1") == "/dev/null"
    d.stop()
