// SPDX-License-Identifier: Apache-2.0
// The C library as the Swift side sees it, whatever its module is called on a platform, and what Swift cannot import by
// itself: macros, GNU extensions, and entry points without a header. The types come from headers as every other module sees
// them; the extensions are asked for in the source files alone.
#ifndef CASYNCIO_H
#define CASYNCIO_H

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "CAsyncIOSpawn.h"

/// The calling thread's error number, which is a macro.
static inline int casyncio_errno(void) { return errno; }
static inline void casyncio_set_errno(int code) { errno = code; }

/// Has the processor fetch what lies there.
static inline void casyncio_prefetch(const void *address) { __builtin_prefetch(address); }

/// Has a signal do what it does by default, or nothing. Safe in a signal handler.
static inline void casyncio_reset_signal(int number) { signal(number, SIG_DFL); }
static inline void casyncio_ignore_signal(int number) { signal(number, SIG_IGN); }
/// A set of no signals. Whether Swift finds the type's own initialiser depends on which modules were loaded first.
static inline sigset_t casyncio_no_signals(void) {
  sigset_t signals;
  sigemptyset(&signals);
  return signals;
}
/// Has the calling thread get a signal that it may have blocked.
static inline void casyncio_unblock_signal(int number) {
  sigset_t signals = casyncio_no_signals();
  sigaddset(&signals, number);
  pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}

/// The task that the calling thread runs a step of; NULL outside of tasks. An entry point of Swift's runtime:
/// withUnsafeCurrentTask, which the standard library has for the same, costs five times as much.
void *casyncio_current_task(void);
/// Whether a task was cancelled, and cancels one. The task must not have ended.
int casyncio_task_is_cancelled(void *task);
void casyncio_cancel_task(void *task);

#if defined(__linux__)
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>

/// The name of an error number, such as "ECONNREFUSED"; NULL for one that has none.
const char *casyncio_errno_name(int code);

/// A signal's name without its "SIG", and what it means; NULL for one that has none.
const char *casyncio_signal_name(int signal);
const char *casyncio_signal_meaning(int signal);

/// Whether the caller is the thread that the process began with.
int casyncio_is_main_thread(void);

/// Names the calling thread; more than fifteen bytes are refused.
int casyncio_name_thread(const char *name);

/// How many processors the process may run on; at least one.
int casyncio_processor_count(void);

/// The environment: strings, and a null pointer at the end.
char **casyncio_environment(void);

/// epoll_pwait2 without a signal mask.
int casyncio_epoll_wait(int epoll, struct epoll_event *events, int capacity, const struct timespec *timeout);

/// accept4 for a descriptor that is non-blocking and close-on-exec from birth.
int casyncio_accept(int listener, struct sockaddr *address, socklen_t *length);

/// A datagram with its address in a batch: struct mmsghdr, which is visible to GNU sources only.
struct casyncio_message {
  struct msghdr header;
  unsigned int length;
};
/// recvmmsg and sendmmsg; one message at a time where these are refused.
int casyncio_receive_messages(int socket, struct casyncio_message *messages, unsigned int count);
int casyncio_send_messages(int socket, struct casyncio_message *messages, unsigned int count, int flags);

/// Takes one message from an IP socket's error queue: the error's number, or 0 for a message of another kind, and where
/// the datagram that caused it was sent to. Returns 1, or -1 when there is none.
int casyncio_take_error(int socket, int *code, struct sockaddr *destination, socklen_t *length);

/// An eventfd that is non-blocking and close-on-exec from birth.
int casyncio_counter(void);
/// Adds one to an eventfd. Safe in a signal handler.
int casyncio_counter_add(int counter);
/// Sets an eventfd back to zero.
int casyncio_counter_drain(int counter);

/// How many chunks one gathering call takes.
int casyncio_max_vectors(void);

/// Whether a descriptor is a terminal and not the master of one, which stands for no file: to open it makes another.
int casyncio_is_terminal(int descriptor);

/// The flag of a pipe whose writes stay apart.
int casyncio_packet_flag(void);

/// Whether the kernel can be told for one write that a reader's absence is no signal.
int casyncio_can_write_without_signal(void);
/// writev so; fails with EOPNOTSUPP where it cannot be.
ssize_t casyncio_write_without_signal(int descriptor, const struct iovec *vectors, int count);
#endif

// libdispatch's main queue, as a run loop of another library may serve it.
int _dispatch_get_main_queue_handle_4CF(void);
void _dispatch_main_queue_callback_4CF(void *message);

#endif
