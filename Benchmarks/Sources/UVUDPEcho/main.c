// SPDX-License-Identifier: Apache-2.0
//
// uv-udp-echo: a single-threaded libuv echo server for UDP.
// It receives by recvmmsg into one buffer, and answers with uv_udp_try_send; what
// the kernel does not take is dropped.

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

// libuv receives as many datagrams by one call as the buffer has room for, up to twenty.
enum { BATCH = 20, DATAGRAM_SIZE = 65536 };

static uv_loop_t loop;
static uv_udp_t endpoint;
static char buffer[BATCH * DATAGRAM_SIZE];

static void check(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(status));
    exit(1);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    (void)handle;
    (void)suggested;
    *out = uv_buf_init(buffer, sizeof buffer);
}

static void on_receive(uv_udp_t *handle, ssize_t size, const uv_buf_t *input, const struct sockaddr *sender,
                       unsigned flags) {
    (void)flags;
    if (size < 0 || sender == NULL) return;
    uv_buf_t output = uv_buf_init(input->base, (unsigned)size);
    uv_udp_try_send(handle, &output, 1, sender);
}

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
        fprintf(stderr, "usage: uv-udp-echo [--port PORT]\n");
        exit(2);
    }
    return port;
}

int main(int argc, char **argv) {
    struct sockaddr_in address;
    int length = sizeof address;

    check(uv_ip4_addr("127.0.0.1", port_argument(argc, argv), &address), "uv_ip4_addr");
    check(uv_loop_init(&loop), "uv_loop_init");
    check(uv_udp_init_ex(&loop, &endpoint, AF_INET | UV_UDP_RECVMMSG), "uv_udp_init_ex");
    check(uv_udp_bind(&endpoint, (const struct sockaddr *)&address, 0), "uv_udp_bind");
    check(uv_udp_recv_start(&endpoint, on_alloc, on_receive), "uv_udp_recv_start");
    check(uv_udp_getsockname(&endpoint, (struct sockaddr *)&address, &length), "uv_udp_getsockname");

    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return uv_run(&loop, UV_RUN_DEFAULT);
}
