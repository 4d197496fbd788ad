// SPDX-License-Identifier: Apache-2.0
//
// tls-load: a closed-loop load generator for echo servers over TLS, which also reads
// the CPU time that the server's process spent meanwhile.
//
// Every connection sends --size bytes, waits until all of them are back, compares
// them, and starts over. With --handshakes a request is a connection instead: connect,
// a full handshake, one byte there and back, and a close. With --spin the generator
// polls instead of sleeping. The exit status is 0 only when there was no error.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
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
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, BUFFER_SIZE = 1 << 16 };

struct connection {
    int fd;                         // -1 once it has failed
    SSL *ssl;
    bool connected, busy, wants_write;
    size_t sent, received;
};

static long port, connection_count = 64, message_size = 1024, server_pid;
static double seconds = 3, warmup = 0.5;
static bool spin, handshakes;

static int poll_fd;
static struct sockaddr_in server;
static SSL_CTX *context;
static struct connection *connections;
static long live;
static bool refill = true;
static uint64_t requests, errors;
static char *pattern;
static char buffer[BUFFER_SIZE];

static void die(const char *what) {
    ERR_print_errors_fp(stderr);
    fprintf(stderr, "tls-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// The CPU time of the server's process in seconds, and its split in clock ticks.
static double read_cpu(double *user, double *system) {
    clockid_t clock;
    struct timespec t;
    char path[64], text[1024];
    *user = *system = NAN;
    if (server_pid == 0) return NAN;
    if (clock_getcpuclockid((pid_t)server_pid, &clock) != 0 || clock_gettime(clock, &t) != 0) die("the CPU clock");
    snprintf(path, sizeof path, "/proc/%ld/stat", server_pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) die(path);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    unsigned long u = 0, s = 0;
    const char *fields = strrchr(text, ')');
    if (fields == NULL || sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &u, &s) != 2) die(path);
    *user = (double)u / (double)sysconf(_SC_CLK_TCK);
    *system = (double)s / (double)sysconf(_SC_CLK_TCK);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void watch(struct connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poll_fd, operation, c->fd, &event) < 0) die("epoll_ctl");
}

static void end(struct connection *c) {
    SSL_free(c->ssl);
    close(c->fd);
    c->fd = -1;
    live--;
    ERR_clear_error();
}

static void fail(struct connection *c, const char *why) {
    if (errors < 5) {
        fprintf(stderr, "tls-load: connection %ld: %s\n", (long)(c - connections), why);
        ERR_print_errors_fp(stderr);
    }
    errors++;
    end(c);
}

static void begin(struct connection *c) {
    memset(c, 0, sizeof *c);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    // A reset in place of a long farewell, so that ports do not run out.
    struct linger linger = {1, 0};
    if (handshakes) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) die("connect");
    c->ssl = SSL_new(context);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1) die("SSL_new");
    SSL_set_connect_state(c->ssl);
    live++;
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
    c->wants_write = true;
}

// Whether the call only has to be made again later; sets what to wait for.
static bool again(struct connection *c, int answer) {
    int error = SSL_get_error(c->ssl, answer);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return false;
    bool write = error == SSL_ERROR_WANT_WRITE;
    if (write != c->wants_write) watch(c, EPOLL_CTL_MOD, write ? EPOLLIN | EPOLLOUT : EPOLLIN);
    c->wants_write = write;
    return true;
}

static void go_on(struct connection *c) {
    size_t size = (size_t)message_size;
    if (!c->connected) {
        int answer = SSL_do_handshake(c->ssl);
        if (answer != 1) {
            if (!again(c, answer)) fail(c, "handshake");
            return;
        }
        c->connected = c->busy = true;
    }
    for (;;) {
        while (c->busy && c->sent < size) {
            int sent = SSL_write(c->ssl, pattern + c->sent, (int)(size - c->sent));
            if (sent <= 0) {
                if (!again(c, sent)) fail(c, "write");
                if (c->fd < 0 || c->received >= c->sent) return;
                break;
            }
            c->sent += (size_t)sent;
        }
        int count = SSL_read(c->ssl, buffer, sizeof buffer);
        if (count <= 0) {
            if (!again(c, count)) fail(c, "read");
            return;
        }
        if (!c->busy || c->received + (size_t)count > c->sent
            || memcmp(buffer, pattern + c->received, (size_t)count) != 0) {
            fail(c, "what came back differs from what was sent");
            return;
        }
        c->received += (size_t)count;
        if (c->received < size) continue;
        requests++;
        c->busy = false;
        c->sent = c->received = 0;
        if (handshakes) {
            SSL_shutdown(c->ssl);
            end(c);
            if (refill) begin(c);
            return;
        }
        if (!refill) return;
        c->busy = true;
    }
}

static void step(double deadline) {
    struct epoll_event events[EVENTS];
    double left = (deadline - now()) * 1e3;
    int count = epoll_wait(poll_fd, events, EVENTS, left > 0 && !spin ? (int)left + 1 : 0);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (c->fd >= 0) go_on(c);
    }
}

static void usage_error(void) {
    fprintf(stderr, "usage: tls-load --port PORT [--connections 64] [--size 1024] [--seconds 3] [--warmup 0.5]\n"
                    "                [--pid SERVER_PID] [--spin] [--handshakes]\n");
    exit(2);
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},    {"connections", required_argument, NULL, 'c'},
        {"size", required_argument, NULL, 's'},    {"seconds", required_argument, NULL, 't'},
        {"warmup", required_argument, NULL, 'w'},  {"pid", required_argument, NULL, 'P'},
        {"spin", no_argument, NULL, 'S'},          {"handshakes", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'p': port = atol(optarg); break;
        case 'c': connection_count = atol(optarg); break;
        case 's': message_size = atol(optarg); break;
        case 't': seconds = atof(optarg); break;
        case 'w': warmup = atof(optarg); break;
        case 'P': server_pid = atol(optarg); break;
        case 'S': spin = true; break;
        case 'h': handshakes = true; break;
        default: usage_error();
        }
    }
    if (port < 1 || port > 65535 || connection_count < 1 || message_size < 1 || optind != argc) usage_error();
    if (handshakes) message_size = 1;
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)port);
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // OpenSSL writes without MSG_NOSIGNAL.
    signal(SIGPIPE, SIG_IGN);
    context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) die("SSL_CTX_new");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);

    pattern = malloc((size_t)message_size);
    connections = calloc((size_t)connection_count, sizeof *connections);
    if (pattern == NULL || connections == NULL) die("malloc");
    for (long i = 0; i < message_size; i++) pattern[i] = (char)(i * 31 + (i >> 8));
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poll_fd < 0) die("epoll_create1");

    for (long i = 0; i < connection_count; i++) begin(&connections[i]);
    double deadline = now() + warmup;
    while (live > 0 && now() < deadline) step(deadline);
    double user, system, user_end, system_end;
    double cpu = read_cpu(&user, &system);
    uint64_t done = requests;
    double start = now();
    deadline = start + seconds;
    while (live > 0 && now() < deadline) step(deadline);
    cpu = read_cpu(&user_end, &system_end) - cpu;
    double spent = now() - start;
    done = requests - done;
    double micros = done > 0 ? 1e6 / (double)done : NAN;
    double share = (user_end - user) / (user_end - user + system_end - system);
    printf("requests=%llu seconds=%.3f requests_per_s=%.0f user_us_per_req=%.3f sys_us_per_req=%.3f "
           "cpu_us_per_req=%.3f errors=%llu\n",
           (unsigned long long)done, spent, (double)done / spent, cpu * share * micros, cpu * (1 - share) * micros,
           cpu * micros, (unsigned long long)errors);
    return errors == 0 && done > 0 ? 0 : 1;
}
