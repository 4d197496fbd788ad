// SPDX-License-Identifier: Apache-2.0
//
// epoll-echo: a single-threaded, level-triggered epoll echo server.
// One recv and one send for each message; what a send leaves over is kept, and
// the connection is not read again until it has gone out.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BUFFER_SIZE = 65536, EVENTS = 256 };

struct connection {
    int fd;
    char *rest;          // what could not be sent yet, or NULL
    size_t rest_sent;
    size_t rest_size;
};

static int poll_fd;
static int listen_fd;
static bool accepting = true;
static char buffer[BUFFER_SIZE];

static void die(const char *what) {
    perror(what);
    exit(1);
}

// EPOLLIN on the listener is switched off while the process has no descriptors left.
static void set_accepting(bool on) {
    if (accepting == on) return;
    struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.ptr = NULL};
    if (epoll_ctl(poll_fd, EPOLL_CTL_MOD, listen_fd, &event) < 0) die("epoll_ctl");
    accepting = on;
}

static void watch(struct connection *c, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &event) < 0) die("epoll_ctl");
}

static void drop(struct connection *c) {
    close(c->fd);
    free(c->rest);
    free(c);
    set_accepting(true);
}

static void accept_all(void) {
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED) continue;
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                set_accepting(false);
                return;
            }
            if (errno == EAGAIN) return;
            die("accept4");
        }
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *c = calloc(1, sizeof *c);
        if (c == NULL) die("calloc");
        c->fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
    }
}

static void on_readable(struct connection *c) {
    ssize_t size = recv(c->fd, buffer, sizeof buffer, 0);
    if (size <= 0) {
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
        drop(c);
        return;
    }
    ssize_t sent = send(c->fd, buffer, (size_t)size, MSG_NOSIGNAL);
    if (sent == size) return;
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            drop(c);
            return;
        }
        sent = 0;
    }
    c->rest_size = (size_t)(size - sent);
    c->rest_sent = 0;
    c->rest = malloc(c->rest_size);
    if (c->rest == NULL) die("malloc");
    memcpy(c->rest, buffer + sent, c->rest_size);
    watch(c, EPOLLOUT);
}

static void on_writable(struct connection *c) {
    ssize_t sent = send(c->fd, c->rest + c->rest_sent, c->rest_size - c->rest_sent, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) drop(c);
        return;
    }
    c->rest_sent += (size_t)sent;
    if (c->rest_sent < c->rest_size) return;
    free(c->rest);
    c->rest = NULL;
    watch(c, EPOLLIN);
}

// A socket file to listen on in place of a port; NULL for none.
static const char *unix_path;

static int port_argument(int argc, char **argv) {
    int port = 0;
    for (int i = 1; i < argc; i++) {
        char *end = NULL;
        if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) {
            long value = strtol(argv[++i], &end, 10);
            if (*argv[i] != '\0' && *end == '\0' && value >= 0 && value <= 65535) {
                port = (int)value;
                continue;
            }
        }
        if (strcmp(argv[i], "--unix") == 0 && i + 1 < argc) {
            unix_path = argv[++i];
            continue;
        }
        fprintf(stderr, "usage: epoll-echo [--port PORT | --unix PATH]\n");
        exit(2);
    }
    return port;
}

static void listen_on_unix_path(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", unix_path);
    unlink(unix_path);
    listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listen_fd < 0) die("socket");
    if (bind(listen_fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    if (listen(listen_fd, 4096) < 0) die("listen");
}

static int listen_on_port(int port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t length = sizeof address;
    int one = 1;

    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listen_fd < 0) die("socket");
    setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listen_fd, (struct sockaddr *)&address, length) < 0) die("bind");
    if (listen(listen_fd, 4096) < 0) die("listen");
    if (getsockname(listen_fd, (struct sockaddr *)&address, &length) < 0) die("getsockname");
    return ntohs(address.sin_port);
}

int main(int argc, char **argv) {
    int port = port_argument(argc, argv);
    if (unix_path != NULL) listen_on_unix_path();
    else port = listen_on_port(port);

    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poll_fd < 0) die("epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, listen_fd, &event) < 0) die("epoll_ctl");

    if (unix_path != NULL) printf("listening on %s\n", unix_path);
    else printf("listening on 127.0.0.1:%d\n", port);
    fflush(stdout);

    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poll_fd, events, EVENTS, -1);
        if (count < 0) {
            if (errno == EINTR) continue;
            die("epoll_wait");
        }
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c == NULL) {
                accept_all();
            } else if (c->rest != NULL) {
                on_writable(c);
            } else {
                on_readable(c);
            }
        }
    }
}
