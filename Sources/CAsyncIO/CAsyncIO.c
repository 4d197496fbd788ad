// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CAsyncIO.h"
#include "Refusal.h"

#if defined(__linux__)
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

const char *casyncio_errno_name(int code) { return strerrorname_np(code); }

const char *casyncio_signal_name(int signal) { return sigabbrev_np(signal); }

const char *casyncio_signal_meaning(int signal) { return sigdescr_np(signal); }

int casyncio_is_main_thread(void) { return getpid() == (pid_t)syscall(SYS_gettid); }

int casyncio_name_thread(const char *name) { return pthread_setname_np(pthread_self(), name); }

char **casyncio_environment(void) { return environ; }

int casyncio_processor_count(void) {
  cpu_set_t processors;
  if (sched_getaffinity(0, sizeof processors, &processors) == 0) return CPU_COUNT(&processors);
  // More of them than the set has room for.
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int)online : 1;
}

int casyncio_epoll_wait(int epoll, struct epoll_event *events, int capacity, const struct timespec *timeout) {
  return epoll_pwait2(epoll, events, capacity, timeout, NULL);
}

int casyncio_accept(int listener, struct sockaddr *address, socklen_t *length) {
  return accept4(listener, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

_Static_assert(sizeof(struct casyncio_message) == sizeof(struct mmsghdr), "laid out alike");
_Static_assert(offsetof(struct casyncio_message, length) == offsetof(struct mmsghdr, msg_len), "laid out alike");

int casyncio_receive_messages(int socket, struct casyncio_message *messages, unsigned int count) {
  int received = recvmmsg(socket, (struct mmsghdr *)messages, count, 0, NULL);
  if (received >= 0 || !is_refusal(errno) || count == 0) return received;
  ssize_t length = recvmsg(socket, &messages->header, 0);
  if (length < 0) return -1;
  messages->length = (unsigned int)length;
  return 1;
}

int casyncio_send_messages(int socket, struct casyncio_message *messages, unsigned int count, int flags) {
  int sent = sendmmsg(socket, (struct mmsghdr *)messages, count, flags);
  if (sent >= 0 || !is_refusal(errno) || count == 0) return sent;
  ssize_t length = sendmsg(socket, &messages->header, flags);
  if (length < 0) return -1;
  messages->length = (unsigned int)length;
  return 1;
}

int casyncio_take_error(int socket, int *code, struct sockaddr *destination, socklen_t *length) {
  union {
    char bytes[512];
    struct cmsghdr aligned;
  } control;
  char rest;
  struct iovec vector = {.iov_base = &rest, .iov_len = sizeof rest};
  struct msghdr message = {.msg_name = destination,
                           .msg_namelen = *length,
                           .msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control};
  if (recvmsg(socket, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return -1;
  *length = message.msg_namelen;
  *code = 0;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL; part = CMSG_NXTHDR(&message, part)) {
    int is_v4 = part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR;
    int is_v6 = part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR;
    if (!is_v4 && !is_v6) continue;
    struct sock_extended_err error;
    memcpy(&error, CMSG_DATA(part), sizeof error);
    int is_failure = error.ee_origin == SO_EE_ORIGIN_LOCAL || error.ee_origin == SO_EE_ORIGIN_ICMP ||
                     error.ee_origin == SO_EE_ORIGIN_ICMP6;
    if (is_failure) *code = (int)error.ee_errno;
  }
  return 1;
}

int casyncio_counter(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int casyncio_counter_add(int counter) { return eventfd_write(counter, 1); }

int casyncio_counter_drain(int counter) {
  eventfd_t count;
  return eventfd_read(counter, &count);
}

int casyncio_is_terminal(int descriptor) {
  char name[64];
  return isatty(descriptor) && ptsname_r(descriptor, name, sizeof name) != 0;
}

int casyncio_packet_flag(void) { return O_DIRECT; }

int casyncio_max_vectors(void) { return IOV_MAX; }

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x00000100
#endif

ssize_t casyncio_write_without_signal(int descriptor, const struct iovec *vectors, int count) {
  return pwritev2(descriptor, vectors, count, -1, RWF_NOSIGNAL);
}

int casyncio_can_write_without_signal(void) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return 0;
  struct iovec byte = {"", 1};
  int can = casyncio_write_without_signal(ends[1], &byte, 1) == 1;
  close(ends[0]);
  close(ends[1]);
  return can;
}
#endif
