// SPDX-License-Identifier: Apache-2.0
//
// uv-spawn: what libuv takes to run /bin/true and to hear of its end, one after
// the other, in microseconds for one. Every figure is the median of the rounds.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

enum { MAX_ROUNDS = 99 };

static long count = 200;
static long rounds = 5;
static long resident;
static long left;
static uv_process_t process;

static void check(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(status));
    exit(1);
}

static double now_us(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, long n) {
    qsort(values, (size_t)n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void start(uv_loop_t *loop);

static void on_close(uv_handle_t *handle) {
    if (--left > 0) start(handle->loop);
}

static void on_exit_(uv_process_t *child, int64_t status, int signal) {
    if (status != 0 || signal != 0) exit(1);
    uv_close((uv_handle_t *)child, on_close);
}

static void start(uv_loop_t *loop) {
    static char *arguments[] = {"/bin/true", NULL};
    uv_stdio_container_t streams[3];
    for (int i = 0; i < 3; i++) {
        streams[i].flags = UV_INHERIT_FD;
        streams[i].data.fd = i;
    }
    uv_process_options_t options = {
        .exit_cb = on_exit_, .file = "/bin/true", .args = arguments, .stdio = streams, .stdio_count = 3};
    check(uv_spawn(loop, &process, &options), "uv_spawn");
}

static void parse(int argc, char **argv) {
    struct { const char *name; long *value; long least; } options[] = {
        {"--count", &count, 1}, {"--rounds", &rounds, 1}, {"--resident", &resident, 0},
    };
    for (int i = 1; i < argc; i++) {
        int known = 0;
        for (size_t k = 0; k < sizeof options / sizeof *options && i + 1 < argc; k++) {
            if (strcmp(argv[i], options[k].name) != 0) continue;
            *options[k].value = strtol(argv[++i], NULL, 10);
            known = *options[k].value >= options[k].least;
            break;
        }
        if (!known || rounds > MAX_ROUNDS) {
            fprintf(stderr, "usage: uv-spawn [--count N] [--rounds N, at most %d] [--resident MIB]\n", MAX_ROUNDS);
            exit(2);
        }
    }
}

int main(int argc, char **argv) {
    double wall[MAX_ROUNDS], cpu[MAX_ROUNDS];
    uv_loop_t loop;

    parse(argc, argv);
    char *memory = resident > 0 ? malloc((size_t)resident << 20) : NULL;
    if (memory != NULL) memset(memory, 1, (size_t)resident << 20);
    check(uv_loop_init(&loop), "uv_loop_init");
    for (long r = 0; r < rounds; r++) {
        double wall_begin = now_us(CLOCK_MONOTONIC), cpu_begin = now_us(CLOCK_PROCESS_CPUTIME_ID);
        left = count;
        start(&loop);
        check(uv_run(&loop, UV_RUN_DEFAULT), "uv_run");
        wall[r] = (now_us(CLOCK_MONOTONIC) - wall_begin) / (double)count;
        cpu[r] = (now_us(CLOCK_PROCESS_CPUTIME_ID) - cpu_begin) / (double)count;
    }
    printf("libuv=%s resident_mib=%ld uv_spawn_wall_us=%.1f uv_spawn_cpu_us=%.1f touched=%d\n", uv_version_string(),
           resident, median(wall, rounds), median(cpu, rounds), memory != NULL ? memory[resident << 10] : 0);
    return 0;
}
