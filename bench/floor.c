/* The least it can cost: the bytes of an FLV, paced by its timestamps, one write per tick and connection.
 *
 *     floor PORT CONNECTIONS TICK_MS LEAD_MS FILE
 *
 * Over and over until it is ended. To a sink on loopback that drains what does not begin like RTMP.
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

int main(int count, char **words) {
    if (count != 6) return 2;
    int port = atoi(words[1]), wanted = atoi(words[2]), file = open(words[5], O_RDONLY);
    int64_t tick = atoll(words[3]) * 1000000, lead = atoll(words[4]);
    struct stat facts;
    if (file < 0 || fstat(file, &facts)) return perror("floor"), 1;
    size_t size = (size_t)facts.st_size, at = HEAD;
    const uint8_t *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
    int *fds = calloc((size_t)wanted, sizeof *fds);
    for (int i = 0; i < wanted; i++) put(fds[i] = dial(port), data, HEAD);
    struct timespec start, next;
    clock_gettime(CLOCK_MONOTONIC, &start);
    next = start;
    int64_t base = 0, newest = 0;
    for (;;) {
        int64_t due = (next.tv_sec - start.tv_sec) * 1000 + (next.tv_nsec - start.tv_nsec) / 1000000 + lead - base;
        size_t from = at;
        for (; at + TAG < size; at += TAG + 4 + (size_t)(data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3])) {
            int64_t stamp = data[at + 7] << 24 | data[at + 4] << 16 | data[at + 5] << 8 | data[at + 6];
            if (stamp > due) break;
            newest = stamp;
        }
        for (int i = 0; i < wanted; i++) put(fds[i], data + from, at - from);
        if (at + TAG >= size) {
            base += newest + FRAME_MS, at = HEAD;
            continue;
        }
        next.tv_nsec += tick;
        for (; next.tv_nsec >= 1000000000; next.tv_nsec -= 1000000000) next.tv_sec++;
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL) == EINTR) {}
    }
}
