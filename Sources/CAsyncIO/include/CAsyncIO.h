// SPDX-License-Identifier: Apache-2.0
// Declarations that Swift cannot import by itself: GNU extensions and entry points without a header.
#ifndef CASYNCIO_H
#define CASYNCIO_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

static inline const char *casyncio_errno_name(int code) { return strerrorname_np(code); }

static inline int casyncio_is_main_thread(void) { return getpid() == (pid_t)syscall(SYS_gettid); }

static inline int casyncio_accept(int listener, struct sockaddr *address, socklen_t *length) {
  return accept4(listener, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static const int casyncio_max_vectors = IOV_MAX;

static inline int casyncio_epoll_pwait2(int epoll, struct epoll_event *events, int capacity,
                                        const struct timespec *timeout) {
  return epoll_pwait2(epoll, events, capacity, timeout, NULL);
}
#endif

// libdispatch's main queue, as a run loop of another library may serve it.
int _dispatch_get_main_queue_handle_4CF(void);
void _dispatch_main_queue_callback_4CF(void *message);

#endif
