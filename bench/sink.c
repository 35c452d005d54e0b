/* An RTMP receiver that costs next to nothing: answers a publisher, then counts what comes and throws it away.
 *
 *     sink PORT
 *
 * Says «listening» once it does. On standard input: «mark» begins a window of measurement, «report» prints a line of
 * JSON per connection (`bytes` and `gap_ms`, the longest silence, are of the window) and an empty line. Ends with its
 * input. A connection whose first byte is not RTMP's is drained as it is.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { GREETED = 1537, SHAKEN = 3073, STREAMS = 64, ROOM = 1 << 17, KEY = 128 };

struct stream { uint32_t length, got; uint8_t type; uint8_t payload[1024]; };

struct connection {
    int fd, published, closed, answered;
    char key[KEY];
    uint8_t *in;
    size_t have;
    uint32_t chunk_size;
    struct stream *streams;
    uint64_t bytes;
    int64_t last_ns, gap_ns, closed_ns;
    struct connection *next;
};

static struct connection *all;

static int64_t now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void say(struct connection *c, const void *data, size_t size) {
    if (write(c->fd, data, size) != (ssize_t)size) shutdown(c->fd, SHUT_RDWR);
}

static size_t text(uint8_t *out, const char *value) {
    size_t size = strlen(value);
    out[0] = 2, out[1] = size >> 8, out[2] = size & 255;
    memcpy(out + 3, value, size);
    return size + 3;
}

static size_t pair(uint8_t *out, const char *name, const char *value) {
    size_t size = text(out, name) - 1;
    memmove(out, out + 1, size);
    return size + text(out + size, value);
}

static size_t status(uint8_t *out, const char *code) {
    size_t at = 0;
    out[at++] = 3;
    at += pair(out + at, "level", "status");
    at += pair(out + at, "code", code);
    at += pair(out + at, "description", "ok");
    memcpy(out + at, "\0\0\x09", 3);
    return at + 3;
}

/* `tail` picks what follows the transaction: 0 connect's result, 1 createStream's, 2 publish's status. */
static void reply(struct connection *c, const char *name, const uint8_t *transaction, int tail) {
    uint8_t body[256], out[512];
    size_t size = text(body, name), at = 12, done = 0;
    body[size] = 0, memcpy(body + size + 1, transaction, 8), size += 9;
    body[size++] = 5;
    if (tail == 0) size += status(body + size, "NetConnection.Connect.Success");
    if (tail == 1) memcpy(body + size, "\0\x3f\xf0\0\0\0\0\0\0", 9), size += 9;
    if (tail == 2) size += status(body + size, "NetStream.Publish.Start");
    memset(out, 0, 12);
    out[0] = 3, out[5] = size >> 8, out[6] = size & 255, out[7] = 20, out[8] = tail == 2;
    for (; done < size; done += 128) {
        size_t part = size - done < 128 ? size - done : 128;
        if (done) out[at++] = 0xC3;
        memcpy(out + at, body + done, part), at += part;
    }
    say(c, out, at);
}

static int is_name(const struct stream *s, const char *name) {
    size_t size = strlen(name);
    return s->got > size + 12 && s->payload[0] == 2 && s->payload[2] == size && !memcmp(s->payload + 3, name, size);
}

static void command(struct connection *c, const struct stream *s) {
    static const uint8_t nought[8];
    const uint8_t *transaction = s->payload + 4 + s->payload[2];
    if (is_name(s, "connect")) reply(c, "_result", transaction, 0);
    if (is_name(s, "createStream")) reply(c, "_result", transaction, 1);
    if (is_name(s, "publish")) {
        const uint8_t *key = transaction + 9;
        size_t size = key[1] << 8 | key[2];
        snprintf(c->key, KEY, "%.*s", (int)(size < KEY ? size : KEY - 1), (const char *)key + 3);
        reply(c, "onStatus", nought, 2);
        c->published = 1, c->last_ns = now_ns();
    }
}

/* The length of the chunk at `p`, 0 when it is not all there. */
static size_t chunk(struct connection *c, const uint8_t *p, size_t have) {
    static const size_t sizes[] = {11, 7, 3, 0};
    if (have < 1) return 0;
    int kind = p[0] >> 6, csid = p[0] & 63;
    size_t head = 1 + sizes[kind];
    struct stream *s = c->streams + csid;
    if (have < head) return 0;
    uint32_t length = kind < 2 ? (uint32_t)(p[4] << 16 | p[5] << 8 | p[6]) : s->length;
    if (kind < 3 && !memcmp(p + 1, "\xff\xff\xff", 3)) head += 4;
    uint32_t got = kind == 3 ? s->got : 0, part = length - got < c->chunk_size ? length - got : c->chunk_size;
    if (have < head + part) return 0;
    if (kind < 2) s->length = length, s->type = p[7];
    for (uint32_t i = 0; i < part; i++)
        if (got + i < sizeof s->payload) s->payload[got + i] = p[head + i];
    s->got = got + part;
    if (s->got == s->length) {
        if (s->type == 1) c->chunk_size = (uint32_t)(s->payload[0] << 24 | s->payload[1] << 16 | s->payload[2] << 8 | s->payload[3]);
        if (s->type == 20) command(c, s);
        s->got = 0;
    }
    return head + part;
}

static void greet(struct connection *c) {
    static uint8_t out[SHAKEN];
    out[0] = 3;
    memcpy(out + GREETED, c->in + 1, GREETED - 1);
    say(c, out, sizeof out);
    c->answered = 1;
}

static void listen_to(struct connection *c) {
    size_t at = SHAKEN, step;
    if (c->have && c->in[0] != 3) {
        c->published = 1, c->bytes = c->have, c->last_ns = now_ns();
        snprintf(c->key, KEY, "raw");
        return;
    }
    if (!c->answered && c->have >= GREETED) greet(c);
    if (c->have < SHAKEN) return;
    while (!c->published && (step = chunk(c, c->in + at, c->have - at))) at += step;
    memmove(c->in + SHAKEN, c->in + at, c->have - at);
    c->have -= at - SHAKEN;
}

static void over(struct connection *c) {
    close(c->fd);
    c->closed = 1, c->closed_ns = now_ns();
    free(c->in), free(c->streams);
    c->in = NULL, c->streams = NULL;
}

static void on_data(struct connection *c) {
    ssize_t size;
    if (!c->published) {
        size = recv(c->fd, c->in + c->have, ROOM - c->have, 0);
        if (size > 0) c->have += (size_t)size, listen_to(c);
    } else {
        size = recv(c->fd, NULL, 1 << 24, MSG_TRUNC); /* thrown away by the kernel, not copied */
        if (size > 0) {
            int64_t now = now_ns();
            if (now - c->last_ns > c->gap_ns) c->gap_ns = now - c->last_ns;
            c->last_ns = now, c->bytes += (uint64_t)size;
        }
    }
    if (size == 0 || (size < 0 && errno != EAGAIN)) over(c);
}

static void welcome(int listener, int poll) {
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct connection *c = calloc(1, sizeof *c);
    c->fd = fd, c->chunk_size = 128, c->in = malloc(ROOM), c->streams = calloc(STREAMS, sizeof *c->streams);
    c->next = all, all = c;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
}

static void mark(void) {
    int64_t now = now_ns();
    for (struct connection *c = all; c; c = c->next) {
        c->bytes = 0, c->gap_ns = 0;
        if (c->last_ns < now - 1000000000LL) c->last_ns = now;
    }
}

static void report(void) {
    for (struct connection *c = all; c; c = c->next) {
        int64_t end = c->closed ? c->closed_ns : now_ns();
        int64_t open = c->published ? end - c->last_ns : 0;
        printf("{\"key\": \"%s\", \"published\": %s, \"closed\": %s, \"bytes\": %llu, \"gap_ms\": %.1f}\n", c->key,
               c->published ? "true" : "false", c->closed ? "true" : "false", (unsigned long long)c->bytes,
               (double)(open > c->gap_ns ? open : c->gap_ns) / 1e6);
    }
    printf("\n");
    fflush(stdout);
}

static void on_order(void) {
    char line[64];
    ssize_t size = read(0, line, sizeof line);
    if (size <= 0) exit(0);
    if (line[0] == 'm') mark();
    if (line[0] == 'r') report();
}

int main(int count, char **words) {
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(count > 1 ? words[1] : "0"))};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&where, sizeof where) || listen(listener, 1024)) return perror("sink"), 1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listener};
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    event.data.ptr = &one;
    epoll_ctl(poll, EPOLL_CTL_ADD, 0, &event);
    printf("listening\n");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[256];
        int found = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < found; i++) {
            if (events[i].data.ptr == &listener) welcome(listener, poll);
            else if (events[i].data.ptr == &one) on_order();
            else on_data(events[i].data.ptr);
        }
    }
}
