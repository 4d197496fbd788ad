// SPDX-License-Identifier: Apache-2.0
//
// uv-timers: what libuv's timers and its cross-thread wake-up cost, in ns per
// operation. Every figure is the median of the rounds.

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

enum { MAX_ROUNDS = 99 };

static long timer_count = 300000;
static long operations = 1000000;
static long sends = 1000000;
static long rounds = 5;
static uint64_t random_state;

static void check(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(status));
    exit(1);
}

static uint32_t next_random(void) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

static double now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, long count) {
    qsort(values, (size_t)count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static uv_timer_t *make_timers(uv_loop_t *loop, long count) {
    uv_timer_t *timers = calloc((size_t)count, sizeof *timers);
    if (timers == NULL) check(UV_ENOMEM, "calloc");
    for (long i = 0; i < count; i++) check(uv_timer_init(loop, &timers[i]), "uv_timer_init");
    return timers;
}

static void close_timers(uv_loop_t *loop, uv_timer_t *timers, long count) {
    for (long i = 0; i < count; i++) uv_close((uv_handle_t *)&timers[i], NULL);
    check(uv_run(loop, UV_RUN_DEFAULT), "uv_run");
    free(timers);
}

static long fired;

static void on_timer(uv_timer_t *timer) {
    (void)timer;
    fired++;
}

// Starts and stops one timer again and again while all the others are pending;
// its deadline is drawn from the same range as theirs (60 to 120 s).
static double measure_start_stop(uv_loop_t *loop) {
    uv_timer_t *timers = make_timers(loop, timer_count + 1);
    uv_timer_t *mine = &timers[timer_count];
    uv_update_time(loop);
    for (long i = 0; i < timer_count; i++) uv_timer_start(&timers[i], on_timer, 60000 + next_random() % 60000, 0);
    double begin = now_ns(CLOCK_MONOTONIC);
    for (long i = 0; i < operations; i++) {
        uv_timer_start(mine, on_timer, 60000 + next_random() % 60000, 0);
        uv_timer_stop(mine);
    }
    double spent = now_ns(CLOCK_MONOTONIC) - begin;
    close_timers(loop, timers, timer_count + 1);
    return spent / (double)operations;
}

// Starts all timers, deadlines 0 to 50 ms away, and runs the loop until all have
// fired. The CPU time leaves out what the loop slept.
static void measure_start_fire(uv_loop_t *loop, double *wall, double *cpu) {
    uv_timer_t *timers = make_timers(loop, timer_count);
    fired = 0;
    double wall_begin = now_ns(CLOCK_MONOTONIC);
    double cpu_begin = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    uv_update_time(loop);
    for (long i = 0; i < timer_count; i++) uv_timer_start(&timers[i], on_timer, next_random() % 51, 0);
    check(uv_run(loop, UV_RUN_DEFAULT), "uv_run");
    *cpu = (now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_begin) / (double)timer_count;
    *wall = (now_ns(CLOCK_MONOTONIC) - wall_begin) / (double)timer_count;
    if (fired != timer_count) {
        fprintf(stderr, "%ld of %ld timers fired\n", fired, timer_count);
        exit(1);
    }
    close_timers(loop, timers, timer_count);
}

struct sender {
    uv_async_t async;
    atomic_bool done;
    long wakeups;
    double sender_ns;
};

static void on_async(uv_async_t *async) {
    struct sender *sender = async->data;
    sender->wakeups++;
    if (atomic_load(&sender->done)) uv_close((uv_handle_t *)async, NULL);
}

static void send_all(void *argument) {
    struct sender *sender = argument;
    double begin = now_ns(CLOCK_MONOTONIC);
    for (long i = 0; i < sends; i++) {
        if (i == sends - 1) {
            sender->sender_ns = now_ns(CLOCK_MONOTONIC) - begin;
            atomic_store(&sender->done, true);
        }
        uv_async_send(&sender->async);
    }
}

// One thread sends, the loop counts how often it is woken: libuv merges the sends
// that arrive before the loop has come round.
static void measure_async(uv_loop_t *loop, double *wall, double *cpu, double *send, double *wakeups) {
    struct sender sender = {.wakeups = 0};
    uv_thread_t thread;
    atomic_init(&sender.done, false);
    check(uv_async_init(loop, &sender.async, on_async), "uv_async_init");
    sender.async.data = &sender;
    double wall_begin = now_ns(CLOCK_MONOTONIC);
    double cpu_begin = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    check(uv_thread_create(&thread, send_all, &sender), "uv_thread_create");
    check(uv_run(loop, UV_RUN_DEFAULT), "uv_run");
    *cpu = (now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_begin) / (double)sends;
    *wall = (now_ns(CLOCK_MONOTONIC) - wall_begin) / (double)sends;
    check(uv_thread_join(&thread), "uv_thread_join");
    *send = sender.sender_ns / (double)sends;
    *wakeups = (double)sender.wakeups;
}

static void parse(int argc, char **argv) {
    struct { const char *name; long *value; } options[] = {
        {"--timers", &timer_count}, {"--operations", &operations}, {"--sends", &sends}, {"--rounds", &rounds},
    };
    for (int i = 1; i < argc; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof options / sizeof *options && i + 1 < argc; k++) {
            if (strcmp(argv[i], options[k].name) != 0) continue;
            *options[k].value = strtol(argv[++i], NULL, 10);
            known = *options[k].value > 0;
            break;
        }
        if (!known || rounds > MAX_ROUNDS) {
            fprintf(stderr, "usage: uv-timers [--timers N] [--operations N] [--sends N] [--rounds N, at most %d]\n",
                    MAX_ROUNDS);
            exit(2);
        }
    }
}

int main(int argc, char **argv) {
    double start_stop[MAX_ROUNDS], fire_wall[MAX_ROUNDS], fire_cpu[MAX_ROUNDS];
    double async_wall[MAX_ROUNDS], async_cpu[MAX_ROUNDS], async_send[MAX_ROUNDS], wakeups[MAX_ROUNDS];
    uv_loop_t loop;

    parse(argc, argv);
    check(uv_loop_init(&loop), "uv_loop_init");
    for (long r = 0; r < rounds; r++) {
        random_state = 42;
        start_stop[r] = measure_start_stop(&loop);
        measure_start_fire(&loop, &fire_wall[r], &fire_cpu[r]);
        measure_async(&loop, &async_wall[r], &async_cpu[r], &async_send[r], &wakeups[r]);
    }
    check(uv_loop_close(&loop), "uv_loop_close");
    printf("libuv=%s timers=%ld timer_start_stop_ns=%.1f timer_start_fire_ns=%.1f timer_start_fire_cpu_ns=%.1f "
           "async_sends=%ld async_send_ns=%.1f async_wall_ns=%.1f async_cpu_ns=%.1f async_wakeups=%.0f\n",
           uv_version_string(), timer_count, median(start_stop, rounds), median(fire_wall, rounds),
           median(fire_cpu, rounds), sends, median(async_send, rounds), median(async_wall, rounds),
           median(async_cpu, rounds), median(wakeups, rounds));
    return 0;
}
