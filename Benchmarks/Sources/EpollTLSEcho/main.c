// SPDX-License-Identifier: Apache-2.0
//
// epoll-tls-echo: a single-threaded, level-triggered epoll echo server over TLS, as
// one writes it with OpenSSL's own socket functions. What a write leaves over is
// kept, and the connection is not read again until it has gone out.
// With --read-ahead OpenSSL asks the kernel for more than one record at a time.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_SIZE = 65536, EVENTS = 256 };

struct connection {
    int fd;
    SSL *ssl;
    bool connected;
    char *rest;          // what could not be sent yet, or NULL
    size_t rest_sent, rest_size;
};

static int poll_fd, listen_fd;
static SSL_CTX *context;
static char buffer[BUFFER_SIZE];

static void die(const char *what) {
    ERR_print_errors_fp(stderr);
    perror(what);
    exit(1);
}

static void watch(struct connection *c, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &event) < 0) die("epoll_ctl");
}

static void drop(struct connection *c) {
    SSL_free(c->ssl);
    close(c->fd);
    free(c->rest);
    free(c);
    ERR_clear_error();
}

static void accept_all(void) {
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED) continue;
            if (errno == EAGAIN) return;
            die("accept4");
        }
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *c = calloc(1, sizeof *c);
        if (c == NULL) die("calloc");
        c->fd = fd;
        c->ssl = SSL_new(context);
        if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1) die("SSL_new");
        SSL_set_accept_state(c->ssl);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
    }
}

// Whether the call only has to be made again later.
static bool again(struct connection *c, int answer) {
    int error = SSL_get_error(c->ssl, answer);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static void on_readable(struct connection *c) {
    if (!c->connected) {
        int answer = SSL_do_handshake(c->ssl);
        if (answer != 1) {
            if (!again(c, answer)) drop(c);
            return;
        }
        c->connected = true;
    }
    do {
        int size = SSL_read(c->ssl, buffer, sizeof buffer);
        if (size <= 0) {
            if (again(c, size)) return;
            if (SSL_get_error(c->ssl, size) == SSL_ERROR_ZERO_RETURN) SSL_shutdown(c->ssl);
            drop(c);
            return;
        }
        int sent = SSL_write(c->ssl, buffer, size);
        if (sent == size) continue;
        if (sent <= 0 && !again(c, sent)) {
            drop(c);
            return;
        }
        if (sent < 0) sent = 0;
        c->rest_size = (size_t)(size - sent);
        c->rest_sent = 0;
        c->rest = malloc(c->rest_size);
        if (c->rest == NULL) die("malloc");
        memcpy(c->rest, buffer + sent, c->rest_size);
        watch(c, EPOLLOUT);
        return;
    } while (SSL_has_pending(c->ssl));
}

static void on_writable(struct connection *c) {
    int sent = SSL_write(c->ssl, c->rest + c->rest_sent, (int)(c->rest_size - c->rest_sent));
    if (sent <= 0) {
        if (!again(c, sent)) drop(c);
        return;
    }
    c->rest_sent += (size_t)sent;
    if (c->rest_sent < c->rest_size) return;
    free(c->rest);
    c->rest = NULL;
    watch(c, EPOLLIN);
}

int main(int argc, char **argv) {
    int port = 0;
    bool read_ahead = false;
    const char *certificate = NULL, *key = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--read-ahead") == 0) {
            read_ahead = true;
        } else if (i + 1 < argc && strcmp(argv[i], "--port") == 0) {
            port = atoi(argv[++i]);
        } else if (i + 2 < argc && strcmp(argv[i], "--tls") == 0) {
            certificate = argv[++i];
            key = argv[++i];
        } else {
            certificate = NULL;
            break;
        }
    }
    if (certificate == NULL) {
        fprintf(stderr, "usage: epoll-tls-echo --tls CERTIFICATE KEY [--port PORT] [--read-ahead]\n");
        return 2;
    }
    // OpenSSL writes without MSG_NOSIGNAL.
    signal(SIGPIPE, SIG_IGN);
    context = SSL_CTX_new(TLS_server_method());
    if (context == NULL || SSL_CTX_use_certificate_chain_file(context, certificate) != 1
        || SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        die(certificate);
    }
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (read_ahead) SSL_CTX_set_read_ahead(context, 1);

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

    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poll_fd < 0) die("epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, listen_fd, &event) < 0) die("epoll_ctl");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
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
