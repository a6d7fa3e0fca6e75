#include "source/closing.h"
#include "base/check.h"

void closing_begin(struct closing *c)
{
    c->open++;
}

void closing_end(struct closing *c)
{
    CHECK(c->open > 0);
    if (--c->open > 0 || !c->stopping)
        return;
    void (*closed)(void *) = c->closed;
    void *arg = c->arg;
    c->gone(c);
    closed(arg);
}

void closing_ended(void *closing)
{
    closing_end(closing);
}

void closing_stop(struct closing *c, void (*closed)(void *arg), void *arg)
{
    CHECK(!c->stopping);
    c->stopping = true;
    c->closed = closed;
    c->arg = arg;
    closing_begin(c);
}
