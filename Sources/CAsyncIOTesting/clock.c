// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "casyncio_testing.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

// The standard library takes the time from its own clock, and hands a sleep to its executor as a moment of that: what has passed
// since, by the real clock, would get into simulated time, and no run would be like the one before. There is no seam for that
// clock but the C function that it asks, which a program may define itself. This one answers as the C library's does, but on
// the threads that run simulated worlds. It is linked into programs that test, alone.

static _Thread_local bool is_set;
static _Thread_local int64_t now;

typedef int (*clock_function)(clockid_t, struct timespec *);

// The C library's own. Looked up when it is first needed, by as many threads as come; the answer is always the same.
static _Atomic(clock_function) real;

static clock_function real_clock(void) {
  clock_function found = atomic_load_explicit(&real, memory_order_acquire);
  if (found == NULL) {
    found = (clock_function)dlsym(RTLD_NEXT, "clock_gettime");
    atomic_store_explicit(&real, found, memory_order_release);
  }
  return found;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  if (is_set && (clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME || clock == CLOCK_MONOTONIC_RAW)) {
    time->tv_sec = now / 1000000000;
    time->tv_nsec = now % 1000000000;
    return 0;
  }
  return real_clock()(clock, time);
}

void casyncio_testing_set_time(int64_t nanoseconds) {
  now = nanoseconds;
  is_set = true;
}

void casyncio_testing_unset_time(void) { is_set = false; }
