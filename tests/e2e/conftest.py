"""Fixtures of the end-to-end tests. The daemon itself is driven by tests/lib/pawl.py."""
import os
import resource
import signal
import sys

import pytest

# What the surroundings say of proxies, servers and keys is not for what is tested here.
for name in list(os.environ):
    if name.lower().endswith("_proxy") or name.startswith("PAWL_") and name not in ("PAWL_BIN", "PAWL_KUBECTL", "PAWL_PATIENCE", "PAWL_SEED"):
        del os.environ[name]

# Who starts tests in the background of a script has them ignore what Ctrl-C sends, and all that they start; some of that is ended with it.
signal.signal(signal.SIGINT, signal.default_int_handler)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import pawl  # noqa: E402


def pytest_sessionstart(session):
    if not os.access(pawl.binary(), os.X_OK):
        pytest.exit(f"there is no pawl at {pawl.binary()}: run ./dev build, or set PAWL_BIN", returncode=3)


@pytest.fixture
def make_daemon(tmp_path, request):
    """Makes daemons: make_daemon(*serve_args, start=True, config=None, env=None, listen=..., data=...). All are ended and checked
    after the test."""
    made = request.node.daemons = []

    def make(*args, start=True, **kw):
        d = pawl.Daemon(tmp_path / f"d{len(made)}", *args, **kw)
        made.append(d)
        return d.start() if start else d

    yield make
    wrong = []
    for d in made:
        try:
            d.finish()
        except AssertionError as e:
            wrong.append(str(e))
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


@pytest.fixture
def daemon(make_daemon):
    """A running daemon with an empty data directory."""
    return make_daemon()


@pytest.fixture
def many_descriptors():
    """Lets the test itself have up to 4096 open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("this machine allows too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows what the daemons said when a test has failed."""
    report = (yield).get_result()
    if report.failed:
        for i, d in enumerate(getattr(item, "daemons", [])):
            report.sections.append((f"stderr of daemon {i}", d.stderr_tail(100)))
