/* nats_held.h - the messages of a NATS topic between the server and the journal, and the inside of struct nats_sub that goes with them.
 *
 * `held` has the messages in the order of their sequence: those that were fed, then from `next` on those that wait. A message's memory is
 * kept until its commit, so that after a failed one the same messages can be fed again. What a session leaves behind when it
 * ends is forgotten: the server delivers it again.
 */
#ifndef SOURCE_NATS_HELD_H
#define SOURCE_NATS_HELD_H
#include "source/nats_sub.h"
#include "source/nats_wire.h"

#define NS_PER_MS 1000000
#define POSITION_SIZE (NATS_SUBJECT_LEN_MAX + NATS_NAME_SIZE + 80)

enum nats_sub_state {
    DOWN,
    FIND_STREAM,
    ASK_STREAM,
    ASK_MESSAGE,
    GO_BACK,
    RECORD,
    ASK_CONSUMER,
    MAKE_CONSUMER,
    CONSUMING,
    LATER,
    DROPPING,
    ENDED,
};

struct held {
    struct ticket ticket;
    struct nats_sub *sub;
    uint64_t seq, time_ns;
    struct nats_message message;
    bool fed;       /* its ticket will be redeemed */
    bool forgotten; /* its session is over: it is in no list, its message is released */
    struct held *prev, *next;
};

struct nats_sub {
    struct nats_hub *hub;
    uint32_t id;
    enum nats_sub_state state; /* nats_sub.c */
    bool wanted;
    char *topic;
    const char *subject; /* in topic */
    char consumer[NATS_NAME_SIZE];
    void (*ended)(void *arg);
    void *arg;
    char why[256];

    uint64_t asked; /* the number that the answer will have */
    struct timer timer; /* LATER: again; CONSUMING: the request for messages is lost; else: no answer */

    /* from FIND_STREAM on, ASK_STREAM on */
    char stream[NATS_NAME_SIZE];
    struct nats_stream_info info;
    char position[POSITION_SIZE];
    struct position back; /* GO_BACK, RECORD: where to */
    struct ticket recorded;
    bool rebuild; /* GO_BACK, MAKE_CONSUMER: the position stays, the consumer begins behind it */

    /* CONSUMING */
    uint64_t high;      /* the last new sequence that came */
    uint64_t count;     /* deliveries */
    uint64_t missing;   /* messages that come again, to be waited for before anything is fed */
    unsigned tries;     /* at that */
    uint64_t pull_left; /* messages that the open request still wants; 0: there is none */
    bool one_by_one;    /* a message is larger than what a request wants */
    struct timer redelivery, feed_again;

    struct held *held, *next; /* DL; the first that waits, NULL: none */
    size_t held_count, held_bytes;
    size_t fed_count; /* tickets on their way, of forgotten ones and `recorded`, too */

    uint64_t received, duplicates, passed_over;
    uint64_t pending; /* behind what was delivered last */
    bool pending_known;
    bool failed;      /* a commit has; nothing is fed until the others are back */
};

static inline struct timers *nats_sub_timers(struct nats_sub *s)
{
    return s->hub->host->timers;
}

/* nats_sub.c: asks the server for as many messages as there is room for. */
void nats_sub_pull(struct nats_sub *s);
/* Likewise. A request, whose answer is this state's; `names` come behind `what`, of the consumer they are its own. Then what is tried again when
 * something has failed. */
void nats_sub_ask(struct nats_sub *s, enum nats_sub_state state, const char *what, const char *names,
                  struct slice body);
void nats_sub_ask_of_consumer(struct nats_sub *s, enum nats_sub_state state, const char *what);
void nats_sub_fail(struct nats_sub *s, const char *why);

/* nats_stream.c: how far the topic has come in the stream of this session; false: it has not begun. */
bool nats_stream_position(const struct nats_sub *s, struct position *ret);
void nats_stream_look(struct nats_sub *s); /* ASK_STREAM is answered */
void nats_stream_message_told(struct nats_sub *s, struct slice answer);
void nats_stream_record(struct nats_sub *s); /* GO_BACK is */
void nats_stream_recorded(struct ticket *t, const struct outcome *o); /* of the ticket `recorded` */
void nats_stream_agreed(struct nats_sub *s); /* the stream is what it was: on to ASK_CONSUMER */

/* A message that is not held. */
void held_acknowledge(struct nats_sub *s, const struct nats_message *m, struct slice how);
void held_release(struct nats_sub *s, const struct nats_message *m);

/* Takes the message. NULL: at the end. */
void held_add(struct nats_sub *s, const struct nats_message *m, const struct nats_delivery *d,
              struct held *before);

/* The one that has the sequence, or the first one behind its place. NULL: that is at the end. */
struct held *held_find(const struct nats_sub *s, uint64_t seq);

void held_forget_all(struct nats_sub *s); /* the session is over: those that were fed are let go when they are back */
void held_feed(struct nats_sub *s);       /* those that wait, unless something is waited for */
void held_feed_again(struct timer *t);

#endif
