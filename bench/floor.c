/* The least it can cost: the bytes of an FLV, paced by its timestamps.
 *
 *     floor PORT CONNECTIONS TICK_MS LEAD_MS FILE
 *
 * TICK_MS 0: each tag by itself at its time, a write for each connection. Else: one write per tick and connection, of
 * all that has become due. Over and over until it is ended. To a sink on loopback that drains what does not begin
 * like RTMP.
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
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 13, TAG = 11, FRAME_MS = 33 };

static int dial(int port) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&where, sizeof where)) perror("floor"), exit(1);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void put(int fd, const uint8_t *data, size_t size) {
    while (size) {
        ssize_t done = write(fd, data, size);
        if (done < 0 && errno != EINTR) exit(0);
        if (done > 0) data += done, size -= (size_t)done;
    }
}

static size_t length(const uint8_t *tag) {
    return TAG + 4 + (size_t)(tag[1] << 16 | tag[2] << 8 | tag[3]);
}

static int64_t stamp(const uint8_t *tag) {
    return (int64_t)((uint32_t)tag[7] << 24 | (uint32_t)(tag[4] << 16 | tag[5] << 8 | tag[6]));
}

/* `ms` after `start`; at once when that is over. */
static void sleep_until(struct timespec start, int64_t ms) {
    struct timespec at = {start.tv_sec + ms / 1000, start.tv_nsec + ms % 1000 * 1000000};
    if (at.tv_nsec >= 1000000000) at.tv_nsec -= 1000000000, at.tv_sec++;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {}
}

int main(int count, char **words) {
    if (count != 6) return 2;
    int port = atoi(words[1]), wanted = atoi(words[2]), file = open(words[5], O_RDONLY);
    int64_t tick = atoll(words[3]), lead = atoll(words[4]), now = 0, base = 0, newest = 0;
    struct stat facts;
    if (file < 0 || fstat(file, &facts)) return perror("floor"), 1;
    size_t size = (size_t)facts.st_size, at = HEAD;
    const uint8_t *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
    int *fds = calloc((size_t)wanted, sizeof *fds);
    for (int i = 0; i < wanted; i++) put(fds[i] = dial(port), data, HEAD);
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        size_t from = at;
        for (; at + TAG < size && (tick || at == from); at += length(data + at)) {
            if (stamp(data + at) > now + lead - base) break;
            newest = stamp(data + at);
        }
        for (int i = 0; i < wanted; i++) put(fds[i], data + from, at - from);
        if (at + TAG >= size) {
            base += newest + FRAME_MS, at = HEAD;
            continue;
        }
        int64_t due = stamp(data + at) + base - lead;
        if (tick) now += tick;
        else if (due > now) now = due;
        sleep_until(start, now);
    }
}
