/* nats_consume.c - what plain consumption costs: fetches from a durable JetStream consumer, acknowledges each message, does nothing else.
 *
 *     bench-nats_consume URL STREAM SUBJECT MESSAGES     -> messages per second, from the first fetch to the server's having all of it
 */
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BATCH 2048

static void need(natsStatus s, const char *what)
{
    if (s == NATS_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, natsStatus_GetText(s), nats_GetLastError(NULL));
    exit(1);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long fetch(natsSubscription *sub, long wanted)
{
    natsMsgList list = {0};
    const int batch = wanted < BATCH ? (int)wanted : BATCH;
    need(natsSubscription_Fetch(&list, sub, batch, 10000, NULL), "fetch");
    for (int i = 0; i < list.Count; i++)
        need(natsMsg_Ack(list.Msgs[i], NULL), "acknowledge");
    const long n = list.Count;
    natsMsgList_Destroy(&list);
    return n;
}

int main(int argc, char **argv)
{
    natsConnection *nc = NULL;
    jsCtx *js = NULL;
    natsSubscription *sub = NULL;
    jsSubOptions o;
    if (argc != 5)
        return 2;
    const long n = atol(argv[4]);
    need(natsConnection_ConnectTo(&nc, argv[1]), "connect");
    need(natsConnection_JetStream(&js, nc, NULL), "JetStream");
    need(jsSubOptions_Init(&o), "options");
    o.Stream = argv[2];
    o.Config.AckPolicy = js_AckExplicit;
    o.Config.MaxAckPending = 2 * BATCH;
    need(js_PullSubscribe(&sub, js, argv[3], "plain", NULL, &o, NULL), "subscribe");
    const double begin = seconds();
    for (long done = 0; done < n;)
        done += fetch(sub, n - done);
    need(natsConnection_Flush(nc), "flush");
    printf("%.0f\n", (double)n / (seconds() - begin));
    natsSubscription_Destroy(sub);
    jsCtx_Destroy(js);
    natsConnection_Destroy(nc);
    nats_Close();
    return 0;
}
