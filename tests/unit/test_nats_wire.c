#include "source/nats_wire.h"
#include "base/check.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void subjects(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {"orders", true},     {"orders.new", true}, {"orders.*.x", true}, {"orders.>", true},
        {">", true},          {"*", true},          {"", false},          {".", false},
        {"a..b", false},      {"a.", false},        {".a", false},        {"a b", false},
        {"a\tb", false},      {"a.>.b", false},     {"a>", false},        {"a*.b", false},
        {"$JS.API.x", false}, {"a\x7f", false},     {"a\xc3\xa4", false}, {"a\"b", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (nats_subject_valid(slice_of(rows[i].text)) != rows[i].valid)
            fail_msg("%s", rows[i].text);
    char longest[NATS_SUBJECT_LEN_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    assert_true(nats_subject_valid((struct slice){longest, NATS_SUBJECT_LEN_MAX}));
    assert_false(nats_subject_valid((struct slice){longest, NATS_SUBJECT_LEN_MAX + 1}));
}

static void deliveries(void **state)
{
    static const struct {
        const char *reply, *consumer; /* NULL: it is none */
        uint64_t seq, count;
    } rows[] = {
        {"$JS.ACK.ORDERS.pawl_x.1.42.7.1668000000000000000.3", "pawl_x", 42, 7},
        {"$JS.ACK.hub.ACC.ORDERS.pawl_x.2.42.7.1668000000000000000.3", "pawl_x", 42, 7},
        {"$JS.ACK._.ACC.ORDERS.pawl_x.2.42.7.1668000000000000000.3.token", "pawl_x", 42, 7},
        {"$JS.ACK.ORDERS.pawl_x.1.42.7.1668000000000000000", NULL, 0, 0},
        {"$JS.ACK.ORDERS.pawl_x.1.x.7.1668000000000000000.3", NULL, 0, 0},
        {"$JS.ACK.ORDERS.pawl_x.1.42.7.1668000000000000000.x", NULL, 0, 0},
        {"$JS.API.ORDERS.pawl_x.1.42.7.1668000000000000000.3", NULL, 0, 0},
        {"_INBOX.a.1.2", NULL, 0, 0},
        {"", NULL, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct nats_delivery d;
        assert_int_equal(nats_delivery_parse(slice_of(rows[i].reply), &d),
                         rows[i].consumer != NULL);
        if (rows[i].consumer == NULL)
            continue;
        assert_true(slice_is(d.consumer, rows[i].consumer));
        assert_int_equal(d.seq, rows[i].seq);
        assert_int_equal(d.count, rows[i].count);
        assert_int_equal(d.time_ns, UINT64_C(1668000000000000000));
        assert_int_equal(d.pending, 3);
    }
}

static void consumers_have_names_without_dots(void **state)
{
    static const uint8_t hash[8] = {1, 2, 3, 4, 5, 6, 7, 0xff};
    char name[NATS_NAME_SIZE], topic[NATS_SUBJECT_LEN_MAX];
    nats_consumer_name(slice_of("orders.*.new-1"), hash, name);
    assert_string_equal(name, "pawl_orders___new-1_01020304050607ff");
    memset(topic, 'x', sizeof(topic));
    nats_consumer_name((struct slice){topic, sizeof(topic)}, hash, name);
    assert_true(strlen(name) < 100);
}

static void requests(void **state)
{
    struct str s = {0};
    nats_write_lookup(slice_of("a.>"), &s);
    assert_string_equal(s.p, "{\"subject\":\"a.>\"}");
    str_reset(&s);
    struct nats_consumer_config c = {.stream = "S",
                                     .name = "n",
                                     .subject = "a.>",
                                     .since = {1700000000123},
                                     .ack_wait_ms = 5000,
                                     .ack_pending_max = 10};
    nats_write_consumer(&c, &s);
    assert_string_equal(s.p, "{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"n\","
                             "\"deliver_policy\":\"by_start_time\","
                             "\"opt_start_time\":\"2023-11-14T22:13:20.123Z\","
                             "\"ack_policy\":\"explicit\",\"ack_wait\":5000000000,"
                             "\"max_ack_pending\":10,\"replay_policy\":\"instant\","
                             "\"filter_subject\":\"a.>\"}}");
    c.all = true;
    str_reset(&s);
    nats_write_consumer(&c, &s);
    assert_non_null(strstr(s.p, "\"deliver_policy\":\"all\",\"ack_policy\""));
    str_release(&s);
}

static void lookups(void **state)
{
    static const struct {
        const char *answer, *stream, *why; /* stream NULL: refused */
        int err;
    } rows[] = {
        {"{\"streams\":[\"ORDERS\"]}", "ORDERS", "", 0},
        {"{\"streams\":null}", NULL, "no JetStream stream has this subject", -EINVAL},
        {"{\"streams\":[]}", NULL, "no JetStream stream has this subject", -EINVAL},
        {"{\"streams\":[\"A\",\"B\"]}", NULL, "more than one JetStream stream", -EINVAL},
        {"{\"streams\":[7]}", NULL, "names no stream", -EINVAL},
        {"{\"error\":{\"err_code\":10039,\"description\":\"not enabled\"}}", NULL, "not enabled",
         -EINVAL},
        {"{\"error\":{\"err_code\":10059}}", NULL, "an error", -ENOENT},
        {"nothing", NULL, "not JSON", -EINVAL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char stream[NATS_NAME_SIZE];
        struct diag why;
        assert_int_equal(nats_read_lookup(slice_of(rows[i].answer), stream, &why), rows[i].err);
        if (rows[i].stream != NULL)
            assert_string_equal(stream, rows[i].stream);
        else if (strstr(why.msg, rows[i].why) == NULL)
            fail_msg("%s: %s", rows[i].answer, why.msg);
    }
}

static void streams_and_consumers(void **state)
{
    struct nats_stream_info s;
    struct nats_consumer_info c;
    struct wall at;
    struct diag why;
    assert_int_equal(nats_read_stream(slice_of("{\"created\":\"2026-01-01T00:00:00.1Z\","
                                               "\"config\":{\"retention\":\"workqueue\"},"
                                               "\"state\":{\"last_seq\":17}}"),
                                      &s, &why),
                     0);
    assert_string_equal(s.created, "2026-01-01T00:00:00.1Z");
    assert_true(s.work_queue && !s.interest);
    assert_int_equal(s.last_seq, 17);
    assert_int_equal(nats_read_stream(slice_of("{\"created\":\"x\"}"), &s, &why), -EINVAL);
    assert_int_equal(nats_read_message_time(slice_of("{\"message\":{\"seq\":5,\"time\":"
                                                     "\"2026-01-01T00:00:00.123456789Z\"}}"),
                                            &at, &why),
                     0);
    assert_int_equal(at.ms % 1000, 123);
    assert_int_equal(nats_read_message_time(slice_of("{\"message\":{}}"), &at, &why), -EINVAL);
    assert_int_equal(nats_read_message_time(
                         slice_of("{\"error\":{\"code\":404,\"err_code\":10037}}"), &at, &why),
                     -ENOENT);
    assert_int_equal(nats_read_stream(slice_of("{\"config\":{}}"), &s, &why), -EINVAL);
    assert_int_equal(
        nats_read_consumer(slice_of("{\"delivered\":{\"consumer_seq\":3,"
                                    "\"stream_seq\":9},\"num_ack_pending\":2,\"num_pending\":5,"
                                    "\"config\":{\"ack_wait\":2000000000}}"),
                           &c, &why),
        0);
    assert_int_equal(c.delivered_count, 3);
    assert_int_equal(c.delivered_seq, 9);
    assert_int_equal(c.unacknowledged, 2);
    assert_int_equal(c.pending, 5);
    assert_int_equal(c.ack_wait_ms, 2000);
    assert_int_equal(nats_read_consumer(slice_of("{\"num_ack_pending\":2}"), &c, &why), -EINVAL);
    assert_int_equal(nats_read_consumer(slice_of("{\"delivered\":{\"consumer_seq\":-3,"
                                                 "\"stream_seq\":9},\"num_ack_pending\":2}"),
                                        &c, &why),
                     -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subjects),
        cmocka_unit_test(deliveries),
        cmocka_unit_test(consumers_have_names_without_dots),
        cmocka_unit_test(requests),
        cmocka_unit_test(lookups),
        cmocka_unit_test(streams_and_consumers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
