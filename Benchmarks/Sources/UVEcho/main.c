// SPDX-License-Identifier: Apache-2.0
//
// uv-echo: a single-threaded libuv echo server.
// One read buffer serves every connection. A message is written with
// uv_try_write; only what that leaves over is copied and given to uv_write, and
// the connection is not read again until it has gone out.

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { BUFFER_SIZE = 65536 };

struct rest {
    uv_write_t request;
    char bytes[];
};

static uv_loop_t loop;
static uv_tcp_t listener;
static char buffer[BUFFER_SIZE];

static void check(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(status));
    exit(1);
}

static void on_closed(uv_handle_t *handle) {
    free(handle);
}

static void drop(uv_stream_t *stream) {
    if (!uv_is_closing((uv_handle_t *)stream)) uv_close((uv_handle_t *)stream, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    (void)handle;
    (void)suggested;
    *out = uv_buf_init(buffer, sizeof buffer);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *input);

static void on_written(uv_write_t *request, int status) {
    uv_stream_t *stream = request->handle;
    free(request->data);
    if (status < 0 || uv_is_closing((uv_handle_t *)stream) || uv_read_start(stream, on_alloc, on_read) < 0) {
        drop(stream);
    }
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *input) {
    if (size == 0) return;
    if (size < 0) {
        drop(stream);
        return;
    }
    uv_buf_t output = uv_buf_init(input->base, (unsigned)size);
    int sent = uv_try_write(stream, &output, 1);
    if (sent == size) return;
    if (sent < 0) {
        if (sent != UV_EAGAIN) {
            drop(stream);
            return;
        }
        sent = 0;
    }
    size_t left = (size_t)(size - sent);
    struct rest *rest = malloc(sizeof *rest + left);
    if (rest == NULL) check(UV_ENOMEM, "malloc");
    memcpy(rest->bytes, input->base + sent, left);
    rest->request.data = rest;
    output = uv_buf_init(rest->bytes, (unsigned)left);
    uv_read_stop(stream);
    if (uv_write(&rest->request, stream, &output, 1, on_written) < 0) {
        free(rest);
        drop(stream);
    }
}

static void on_connection(uv_stream_t *server, int status) {
    if (status < 0) return;
    uv_tcp_t *client = malloc(sizeof *client);
    if (client == NULL) check(UV_ENOMEM, "malloc");
    check(uv_tcp_init(&loop, client), "uv_tcp_init");
    if (uv_accept(server, (uv_stream_t *)client) < 0) {
        drop((uv_stream_t *)client);
        return;
    }
    uv_tcp_nodelay(client, 1);
    if (uv_read_start((uv_stream_t *)client, on_alloc, on_read) < 0) drop((uv_stream_t *)client);
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
        fprintf(stderr, "usage: uv-echo [--port PORT]\n");
        exit(2);
    }
    return port;
}

int main(int argc, char **argv) {
    struct sockaddr_in address;
    int length = sizeof address;

    signal(SIGPIPE, SIG_IGN);
    check(uv_ip4_addr("127.0.0.1", port_argument(argc, argv), &address), "uv_ip4_addr");
    check(uv_loop_init(&loop), "uv_loop_init");
    check(uv_tcp_init(&loop, &listener), "uv_tcp_init");
    check(uv_tcp_bind(&listener, (const struct sockaddr *)&address, 0), "uv_tcp_bind");
    check(uv_listen((uv_stream_t *)&listener, 4096, on_connection), "uv_listen");
    check(uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &length), "uv_tcp_getsockname");

    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return uv_run(&loop, UV_RUN_DEFAULT);
}
