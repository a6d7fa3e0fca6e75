"""`pawl cron next`: when a schedule is due."""
import re

import pytest

from pawl import cli


def due(*args):
    """The lines that `pawl cron next` prints."""
    r = cli("cron", "next", *args)
    assert r.returncode == 0, r.stderr
    assert r.stderr == ""
    return r.stdout.splitlines()


def refused(*args):
    """What it says instead."""
    r = cli("cron", "next", *args)
    assert (r.returncode, r.stdout) == (2, "")
    return r.stderr


@pytest.mark.parametrize("args,lines", [
    (["0 * * * *", "--from", "2026-02-13T10:05:00Z"], ["2026-02-13T11:00:00Z"]),
    (["*/20 * * * * *", "-n", "3", "--from", "2026-02-13T10:05:00Z"],
     ["2026-02-13T10:05:20Z", "2026-02-13T10:05:40Z", "2026-02-13T10:06:00Z"]),
    (["@every 90s", "-n2", "--from=2026-02-13T10:05:07Z"], ["2026-02-13T10:06:37Z", "2026-02-13T10:08:07Z"]),
    (["@daily", "--count", "1", "--from", "2026-02-13T23:30:00-02:00"], ["2026-02-15T00:00:00Z"]),
    (["30 2 * * *", "--tz", "Europe/Berlin", "-n", "3", "--from", "2026-03-28T00:00:00Z"],
     ["2026-03-28T01:30:00Z  2026-03-28T02:30:00+01:00",
      "2026-03-29T01:00:00Z  2026-03-29T03:00:00+02:00",
      "2026-03-30T00:30:00Z  2026-03-30T02:30:00+02:00"]),
    (["30 2 * * *", "--tz", "Europe/Berlin", "-n", "2", "--from", "2026-10-24T12:00:00Z"],
     ["2026-10-25T00:30:00Z  2026-10-25T02:30:00+02:00", "2026-10-26T01:30:00Z  2026-10-26T02:30:00+01:00"]),
    (["0 0 * * *", "--tz", "America/St_Johns", "--from", "2026-01-01T00:00:00Z"],
     ["2026-01-01T03:30:00Z  2026-01-01T00:00:00-03:30"]),
    (["0 0 * * *", "--tz", "UTC", "--from", "2026-01-01T00:00:00Z"], ["2026-01-02T00:00:00Z  2026-01-02T00:00:00+00:00"]),
    (["0 0 29 2 */7", "--from", "2089-01-01T00:00:00Z"], ["2128-02-29T00:00:00Z"]),
    (["0 0 1 1 *", "-n", "9", "--from", "9997-06-01T00:00:00Z"], ["9998-01-01T00:00:00Z", "9999-01-01T00:00:00Z"]),
])
def test_due_times(args, lines):
    assert due(*args) == lines


def test_from_now():
    (line,) = due("* * * * *")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:00Z", line)


@pytest.mark.parametrize("expression,says,column", [
    ("0 25 * * *", "field 2 (hour): 25 is out of range 0-23", 3),
    ("0 0 30 2 *", "field 3 (day of month): 30 never comes in month 2", 5),
    ("* * * *", "4 fields", 8),
    ("0 0 * * MONDAY", "field 5 (day of week): 'MONDAY'", 9),
    ("@reboot", "'@reboot' is not a schedule", 1),
    ("@every 5", "@every: '5' is not a duration", 8),
])
def test_bad_expressions_are_pointed_at(expression, says, column):
    message, shown, mark = refused(expression).splitlines()
    assert message.startswith(f"pawl cron: {says}")
    assert shown == "    " + expression
    assert mark == " " * (3 + column) + "^"


@pytest.mark.parametrize("expression", ["", "0 0 * *\n*", "caf\u00e9 * * * *", "\x1b[31m * * * *", "1" * 5000, "* " * 900])
def test_what_a_terminal_should_not_see_is_not_shown(expression):
    text = refused(expression)
    assert text.startswith("pawl cron: ")
    assert "\x1b" not in text and len(text) < 700


@pytest.mark.parametrize("args,says", [
    (["* * * * *", "--tz", "Mars/Base"], "--tz: unknown time zone 'Mars/Base'"),
    (["* * * * *", "--tz", "../../../etc/passwd"], "unknown time zone"),
    (["* * * * *", "--tz", "/etc/localtime"], "unknown time zone"),
    (["* * * * *", "--tz", "localtime"], "unknown time zone"),
    (["* * * * *", "--tz", "Europe"], "unknown time zone 'Europe'"),
    (["* * * * *", "--tz"], "--tz: needs a value"),
    (["* * * * *", "-n"], "--count: needs a value"),
    (["* * * * *", "-n", "0"], "--count: '0'"),
    (["* * * * *", "-n", "10001"], "--count: '10001'"),
    (["* * * * *", "-n", "many"], "--count: 'many'"),
    (["* * * * *", "--from", "tomorrow"], "--from: 'tomorrow'"),
    (["*", "*", "*", "*", "*"], "quote it"),
    ([], "the expression is missing"),
])
def test_mistakes_are_named(args, says):
    assert says in refused(*args)


def test_never_again():
    r = cli("cron", "next", "0 0 1 1 *", "--from", "9999-06-01T00:00:00Z")
    assert r.returncode == 1 and "year 10000" in r.stderr


@pytest.mark.parametrize("args", [["cron"], ["cron", "last"]])
def test_only_next(args):
    r = cli(*args)
    assert r.returncode == 2 and "next" in r.stderr
