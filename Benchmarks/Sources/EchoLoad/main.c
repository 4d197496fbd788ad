// SPDX-License-Identifier: Apache-2.0
//
// echo-load: a closed-loop load generator for TCP and UDP echo servers, which also
// reads the CPU time that the server's process spent meanwhile.
//
// Every connection sends --size bytes, waits until all of them are back, compares
// them, and starts over. With --spin the generator polls instead of sleeping, so
// that the server does not pay for waking it. With --idle N it opens N connections
// instead, leaves them idle, then echoes once over every one of them and reports
// the server's memory. With --udp every connection is a socket of its own that sends
// a datagram, and sends it again when it is not back after 200 ms. The exit status is 0 only when there was no error.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    BUFFER_SIZE = 1 << 18,
    PATTERN_SHIFTS = 4096,          // each request starts at one of these offsets in the pattern
    PORTS_PER_ADDRESS = 20000,
};

struct connection {
    int fd;                         // -1 once it has failed
    bool busy;
    bool wants_write;
    size_t sent;
    size_t received;
    const char *message;
    uint64_t number;                // of the request, at the start of its datagram
    double sent_at;
};

struct usage {
    double cpu;                     // seconds, high resolution
    double user, system;            // seconds, clock ticks: good for the split only
};

static const char *host = "127.0.0.1";
// A socket file to connect to in place of host and port; NULL for none.
static const char *unix_path;
static long port = 0, connection_count = 64, message_size = 64, server_pid = 0, idle_count = 0;
static double seconds = 3, warmup = 0.5;
static bool spin, udp;

static int poll_fd;
static struct sockaddr_in server;
static struct connection *connections;
static long live, busy, next_idle;
static bool refill;                 // start a new request when one is complete
static uint64_t requests, errors, lost;
static double next_look;            // when to look for lost datagrams
static uint64_t random_state = 1;
static char *pattern;
static char buffer[BUFFER_SIZE];

static void die(const char *what) {
    fprintf(stderr, "echo-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint32_t next_random(void) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

// MARK: The server's process

static struct usage read_usage(void) {
    struct usage usage = {NAN, NAN, NAN};
    if (server_pid == 0) return usage;

    clockid_t clock;
    struct timespec t;
    int status = clock_getcpuclockid((pid_t)server_pid, &clock);
    if (status != 0 || clock_gettime(clock, &t) != 0) {
        if (status != 0) errno = status;
        die("cannot read the server's CPU clock");
    }
    usage.cpu = (double)t.tv_sec + (double)t.tv_nsec / 1e9;

    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", server_pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) die(path);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    unsigned long user = 0, system = 0;
    const char *fields = strrchr(text, ')');    // the name before it may hold anything
    if (fields == NULL
        || sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) {
        errno = EINVAL;
        die(path);
    }
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    usage.user = (double)user * tick;
    usage.system = (double)system * tick;
    return usage;
}

static long read_rss_kb(void) {
    static const char *const sources[][2] = {{"smaps_rollup", "Rss: %ld"}, {"status", "VmRSS: %ld"}};
    for (size_t i = 0; server_pid != 0 && i < 2; i++) {
        char path[64], line[256];
        long value = -1;
        snprintf(path, sizeof path, "/proc/%ld/%s", server_pid, sources[i][0]);
        FILE *file = fopen(path, "r");
        if (file == NULL) continue;
        while (value < 0 && fgets(line, sizeof line, file) != NULL) {
            if (sscanf(line, sources[i][1], &value) != 1) value = -1;
        }
        fclose(file);
        if (value >= 0) return value;
    }
    return -1;
}

static long count_server_fds(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/fd", server_pid);
    DIR *directory = server_pid != 0 ? opendir(path) : NULL;
    if (directory == NULL) return -1;
    long count = 0;
    while (readdir(directory) != NULL) count++;
    closedir(directory);
    return count - 2;
}

// MARK: Connections

static void watch(struct connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poll_fd, operation, c->fd, &event) < 0) die("epoll_ctl");
}

static void fail(struct connection *c, const char *why) {
    if (errors < 5) fprintf(stderr, "echo-load: connection %ld: %s\n", (long)(c - connections), why);
    errors++;
    close(c->fd);
    c->fd = -1;
    if (c->busy) busy--;
    c->busy = false;
    live--;
}

static int connect_to_unix_path(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", unix_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

// Connects from `source`, or from an address of the kernel's choice when that is 0.
static int connect_from(uint32_t source) {
    if (unix_path != NULL) return connect_to_unix_path();
    int fd = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    int one = 1;
    if (!udp) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (source != 0) {
        struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(source)};
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0) goto failed;
    }
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0) goto failed;
    return fd;

failed:;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void open_connections(long count) {
    bool loopback = ntohl(server.sin_addr.s_addr) >> 24 == 127;
    uint32_t host_part = 1;
    long on_this_address = 0;

    connections = calloc((size_t)count, sizeof *connections);
    if (connections == NULL) die("calloc");
    for (long i = 0; i < count; i++) {
        bool spread = loopback && count > PORTS_PER_ADDRESS;
        if (spread && on_this_address == PORTS_PER_ADDRESS) {
            host_part++;
            on_this_address = 0;
        }
        int fd;
        while ((fd = connect_from(spread || host_part > 1 ? 0x7f000000u | host_part : 0)) < 0) {
            if (errno == EINTR) continue;
            if (errno != EADDRNOTAVAIL || !loopback || host_part >= 254) {
                fprintf(stderr, "echo-load: after %ld connections: connect: %s\n", i, strerror(errno));
                exit(1);
            }
            host_part++;
            on_this_address = 0;
        }
        on_this_address++;
        connections[i].fd = fd;
        live++;
        watch(&connections[i], EPOLL_CTL_ADD, EPOLLIN);
        if (i % 128 == 127) usleep(1000);       // let the server accept
    }
}

static void send_more(struct connection *c) {
    size_t size = (size_t)message_size;
    while (c->sent < size) {
        ssize_t sent = send(c->fd, c->message + c->sent, size - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN) {
                fail(c, strerror(errno));
                return;
            }
            if (!c->wants_write) watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            c->wants_write = true;
            return;
        }
        c->sent += (size_t)sent;
    }
    if (c->wants_write) watch(c, EPOLL_CTL_MOD, EPOLLIN);
    c->wants_write = false;
}

// MARK: Datagrams

static const double RESEND_AFTER = 0.2;

static void send_datagram(struct connection *c) {
    size_t head = sizeof c->number, size = (size_t)message_size;
    struct iovec parts[] = {{&c->number, head}, {(char *)c->message + head, size - head}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    c->sent_at = now();
    if (sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN) fail(c, strerror(errno));
}

static void resend_lost(void) {
    double time = now();
    if (time < next_look) return;
    next_look = time + RESEND_AFTER / 4;
    for (long i = 0; i < connection_count; i++) {
        struct connection *c = &connections[i];
        if (c->fd < 0 || !c->busy || time < c->sent_at + RESEND_AFTER) continue;
        lost++;
        send_datagram(c);
    }
}

static void start_request(struct connection *c);

static void receive_datagram(struct connection *c) {
    ssize_t size = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (size < 0) {
        if (errno != EAGAIN && errno != EINTR) fail(c, strerror(errno));
        return;
    }
    size_t head = sizeof c->number;
    if (size != message_size || !c->busy || memcmp(buffer, &c->number, head) != 0) {
        // The answer to a datagram that was sent twice, unless it was never sent at all.
        if (size != message_size || lost == 0) fail(c, "a datagram that was not asked for");
        return;
    }
    if (memcmp(buffer + head, c->message + head, (size_t)size - head) != 0) {
        fail(c, "what came back differs from what was sent");
        return;
    }
    requests++;
    busy--;
    c->busy = false;
    if (refill) start_request(c);
}

static void start_request(struct connection *c) {
    c->message = pattern + next_random() % PATTERN_SHIFTS;
    c->sent = 0;
    c->received = 0;
    c->busy = true;
    busy++;
    if (udp) {
        c->number++;
        send_datagram(c);
    } else {
        send_more(c);
    }
}

static void start_next_idle(void) {
    while (next_idle < idle_count) {
        struct connection *c = &connections[next_idle++];
        if (c->fd < 0) continue;
        start_request(c);
        if (c->fd >= 0) return;
    }
}

static void receive_more(struct connection *c) {
    ssize_t size = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (size < 0) {
        if (errno != EAGAIN && errno != EINTR) fail(c, strerror(errno));
        return;
    }
    if (size == 0) {
        fail(c, "closed by the server");
        return;
    }
    if (!c->busy || c->received + (size_t)size > c->sent) {
        fail(c, "more came back than was sent");
        return;
    }
    if (memcmp(buffer, c->message + c->received, (size_t)size) != 0) {
        fail(c, "what came back differs from what was sent");
        return;
    }
    c->received += (size_t)size;
    if (c->received < (size_t)message_size) return;
    requests++;
    busy--;
    c->busy = false;
    if (refill) start_request(c);
}

// Waits for events, at most until `deadline`, and handles them.
static void step(double deadline) {
    struct epoll_event events[EVENTS];
    double left = (deadline - now()) * 1e3;
    if (udp && left > RESEND_AFTER * 1e3 / 4) left = RESEND_AFTER * 1e3 / 4;
    int count = epoll_wait(poll_fd, events, EVENTS, left > 0 && !spin ? (int)left + 1 : 0);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        bool was_busy = c->busy;
        if (c->fd >= 0 && events[i].events & EPOLLOUT) send_more(c);
        if (c->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
            if (udp) receive_datagram(c); else receive_more(c);
        }
        if (idle_count > 0 && was_busy && !c->busy) start_next_idle();
    }
    if (udp) resend_lost();
}

// Lets the requests under way finish; those that nobody answers are errors.
static void drain(double patience) {
    double deadline = now() + patience;
    uint64_t seen = requests;
    while (busy > 0 && now() < deadline) {
        step(deadline);
        if (requests != seen) deadline = now() + patience;
        seen = requests;
    }
    if (busy > 0) fprintf(stderr, "echo-load: %ld requests were never answered\n", busy);
    errors += (uint64_t)busy;
}

// MARK: The two modes

static void run_load(void) {
    open_connections(connection_count);
    refill = true;
    for (long i = 0; i < connection_count; i++) start_request(&connections[i]);

    double deadline = now() + warmup;
    while (live > 0 && now() < deadline) step(deadline);
    struct usage usage = read_usage();
    uint64_t done = requests;
    double begin = now();
    deadline = begin + seconds;
    while (live > 0 && now() < deadline) step(deadline);
    struct usage usage_end = read_usage();
    double spent = now() - begin;
    done = requests - done;
    refill = false;
    drain(2);

    double micros = done > 0 ? 1e6 / (double)done : NAN;
    double cpu = usage_end.cpu - usage.cpu;
    double user = usage_end.user - usage.user, system = usage_end.system - usage.system;
    double user_share = user + system > 0 ? user / (user + system) : NAN;
    printf("requests=%llu seconds=%.3f requests_per_s=%.0f user_us_per_req=%.3f sys_us_per_req=%.3f "
           "cpu_us_per_req=%.3f lost=%llu errors=%llu\n",
           (unsigned long long)done, spent, (double)done / spent, cpu * user_share * micros,
           cpu * (1 - user_share) * micros, cpu * micros, (unsigned long long)lost, (unsigned long long)errors);
    if (done == 0) errors++;
}

static void wait_for_fds(long wanted, bool at_least) {
    double deadline = now() + 10;
    for (;;) {
        long count = count_server_fds();
        if (count < 0) usleep(500000);
        if (count < 0 || (at_least ? count >= wanted : count <= wanted) || now() > deadline) return;
        usleep(10000);
    }
}

static void run_idle(void) {
    struct rlimit limit;
    rlim_t needed = (rlim_t)idle_count + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < needed) {
        limit.rlim_cur = needed;
        if (limit.rlim_max < needed) limit.rlim_max = needed;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) die("not enough file descriptors (see ulimit -n)");
    }

    long fds_before = count_server_fds();
    long rss_before = read_rss_kb();
    double begin = now();
    open_connections(idle_count);
    wait_for_fds(fds_before + idle_count, true);
    double opened = now();
    long accepted = count_server_fds() - fds_before;
    long rss_idle = read_rss_kb();
    for (long i = 0; i < connection_count; i++) start_next_idle();
    drain(10);
    double echoed = now();
    errors = (uint64_t)idle_count - requests;   // also those whose turn never came
    long rss_after = read_rss_kb();
    for (long i = 0; i < idle_count; i++) {
        if (connections[i].fd >= 0) close(connections[i].fd);
    }
    wait_for_fds(fds_before, false);
    long fds_left = count_server_fds() - fds_before;
    long rss_closed = read_rss_kb();

    printf("idle=%ld echoed=%llu accepted=%ld open_seconds=%.3f echo_seconds=%.3f rss_before_kb=%ld rss_idle_kb=%ld "
           "rss_after_kb=%ld rss_closed_kb=%ld bytes_per_connection=%.0f fds_left=%ld errors=%llu\n",
           idle_count, (unsigned long long)requests, accepted, opened - begin, echoed - opened, rss_before, rss_idle,
           rss_after, rss_closed, (double)(rss_after - rss_before) * 1024 / (double)idle_count, fds_left,
           (unsigned long long)errors);
}

// MARK: Options

static void usage_error(void) {
    fprintf(stderr, "usage: echo-load (--port PORT [--host ADDRESS] | --unix PATH) [--connections 64] [--size 64] [--seconds 3]\n"
                    "                 [--warmup 0.5] [--pid SERVER_PID] [--spin] [--idle N] [--udp]\n");
    exit(2);
}

static double number(const char *text, double least, double most) {
    char *end;
    double value = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(value >= least && value <= most)) usage_error();
    return value;
}

static void parse(int argc, char **argv) {
    static const struct option options[] = {
        {"host", required_argument, NULL, 'h'},    {"port", required_argument, NULL, 'p'},
        {"connections", required_argument, NULL, 'c'}, {"size", required_argument, NULL, 's'},
        {"seconds", required_argument, NULL, 't'}, {"warmup", required_argument, NULL, 'w'},
        {"pid", required_argument, NULL, 'P'},     {"idle", required_argument, NULL, 'i'},
        {"spin", no_argument, NULL, 'S'},          {"udp", no_argument, NULL, 'u'},
        {"unix", required_argument, NULL, 'x'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'h': host = optarg; break;
        case 'p': port = (long)number(optarg, 1, 65535); break;
        case 'c': connection_count = (long)number(optarg, 1, 1e6); break;
        case 's': message_size = (long)number(optarg, 1, 1 << 30); break;
        case 't': seconds = number(optarg, 0.01, 1e6); break;
        case 'w': warmup = number(optarg, 0, 1e6); break;
        case 'P': server_pid = (long)number(optarg, 1, 1 << 30); break;
        case 'i': idle_count = (long)number(optarg, 1, 1e6); break;
        case 'S': spin = true; break;
        case 'u': udp = true; break;
        case 'x': unix_path = optarg; break;
        default: usage_error();
        }
    }
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)port);
    // A datagram begins with its number.
    if (udp && (idle_count > 0 || message_size < 8 || message_size > 65507)) usage_error();
    if (unix_path != NULL ? udp || idle_count > 0 : port == 0) usage_error();
    if (optind != argc || inet_pton(AF_INET, host, &server.sin_addr) != 1) usage_error();
}

int main(int argc, char **argv) {
    parse(argc, argv);
    pattern = malloc((size_t)message_size + PATTERN_SHIFTS);
    if (pattern == NULL) die("malloc");
    for (long i = 0; i < message_size + PATTERN_SHIFTS; i++) pattern[i] = (char)next_random();
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poll_fd < 0) die("epoll_create1");
    if (idle_count > 0) {
        run_idle();
    } else {
        run_load();
    }
    return errors == 0 ? 0 : 1;
}
