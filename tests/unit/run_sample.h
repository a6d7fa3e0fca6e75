/* run_sample.h - a run as an executor gets it, for tests of what is made of it. */
#ifndef UNIT_RUN_SAMPLE_H
#define UNIT_RUN_SAMPLE_H
#include "pawl/run.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define RUN_TEXT "0190a000-0000-7000-8000-000000000001"
#define EVENT_TEXT "0190a000-0000-7000-8000-000000000002"
#define TRIGGER_TEXT "0190a000-0000-7000-8000-000000000003"
#define ROOT_TEXT "0190a000-0000-7000-8000-000000000004"

static inline struct uuid id(const char *text)
{
    struct uuid ret;
    assert_true(uuid_parse(slice_of(text), &ret));
    return ret;
}

static inline struct run_start sample(void)
{
    return (struct run_start){
        .run = id(RUN_TEXT),
        .event = id(EVENT_TEXT),
        .pipeline = SLICE("shop.silver.orders"),
        .version = 7,
        .attempt = 2,
        .trigger_type = SLICE("webhook"),
        .source = SLICE("webhook"),
        .type = SLICE("webhook"),
        .content_type = SLICE("application/json"),
        .payload = SLICE("{ \"a\": 1.0 }"),
        .event_time = {INT64_C(1770977100123)},
        .root = id(ROOT_TEXT),
        .depth = 3,
    };
}

#endif
