// SPDX-License-Identifier: Apache-2.0
//
// epoll-udp-echo: a single-threaded, level-triggered epoll echo server for UDP.
// One recvmmsg for what is there, then one sendto for each datagram, or with
// --batch one sendmmsg for them all. What the kernel does not take is dropped.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { BATCH = 32, DATAGRAM_SIZE = 65536, STRIDE = DATAGRAM_SIZE + 320 };

static struct mmsghdr messages[BATCH];
static struct iovec vectors[BATCH];
static struct sockaddr_in addresses[BATCH];
static char buffers[BATCH][STRIDE];
static bool batch;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int port_argument(int argc, char **argv) {
    int port = 0;
    for (int i = 1; i < argc; i++) {
        char *end = NULL;
        if (strcmp(argv[i], "--batch") == 0) {
            batch = true;
            continue;
        }
        if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) {
            long value = strtol(argv[++i], &end, 10);
            if (*argv[i] != '\0' && *end == '\0' && value >= 0 && value <= 65535) {
                port = (int)value;
                continue;
            }
        }
        fprintf(stderr, "usage: epoll-udp-echo [--port PORT] [--batch]\n");
        exit(2);
    }
    return port;
}

static void on_readable(int fd) {
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){buffers[i], DATAGRAM_SIZE};
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &addresses[i], .msg_namelen = sizeof addresses[i], .msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(fd, messages, BATCH, 0, NULL);
    if (count < 0) return;
    if (batch) {
        for (int i = 0; i < count; i++) vectors[i].iov_len = messages[i].msg_len;
        for (int sent = 0; sent < count;) {
            int taken = sendmmsg(fd, messages + sent, (unsigned)(count - sent), MSG_NOSIGNAL);
            sent += taken > 0 ? taken : 1;
        }
    } else {
        for (int i = 0; i < count; i++) {
            sendto(fd, buffers[i], messages[i].msg_len, MSG_NOSIGNAL, (struct sockaddr *)&addresses[i],
                   messages[i].msg_hdr.msg_namelen);
        }
    }
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port_argument(argc, argv)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t length = sizeof address;

    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    if (bind(fd, (struct sockaddr *)&address, length) < 0) die("bind");
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) die("getsockname");

    int poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poll_fd < 0) die("epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");

    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);

    for (;;) {
        if (epoll_wait(poll_fd, &event, 1, -1) < 0) {
            if (errno == EINTR) continue;
            die("epoll_wait");
        }
        on_readable(fd);
    }
}
