// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CAsyncIOSpawn.h"
#include "Refusal.h"

#if defined(__linux__)
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif
#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

// The kernel's mask of all signals, those that the C library keeps for itself among them.
enum { KERNEL_MASK_BYTES = _NSIG / 8 };

struct kernel_mask {
  unsigned long bits[KERNEL_MASK_BYTES / sizeof(unsigned long)];
};

static void set_mask(const struct kernel_mask *new, struct kernel_mask *old) {
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, new, old, (size_t)KERNEL_MASK_BYTES);
}

// What parent and child share: the child writes why it failed.
struct report {
  int code;
  enum casyncio_stage stage;
  int value;
};

struct start {
  const struct casyncio_child *child;
  struct report *report;
};

// MARK: In the child. Only what is safe in a signal handler, and no library call that knows of threads: setuid of the C
// library, for one, would signal the parent's.

static _Noreturn void fail(struct report *report, enum casyncio_stage stage, int value) {
  report->value = value;
  report->stage = stage;
  report->code = errno;
  _exit(127);
}

// No handler may run here, in the parent's memory. What is ignored stays so, as after nohup; but for SIGPIPE, which
// runtimes ignore for themselves.
static void reset_signals(void) {
  struct sigaction action;
  for (int signal = 1; signal < _NSIG; signal++) {
    if (sigaction(signal, NULL, &action) != 0 || action.sa_handler == SIG_DFL) continue;
    if (action.sa_handler == SIG_IGN && signal != SIGPIPE) continue;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, NULL);
  }
}

struct directory_entry {
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[];
};

// Goes through every number that may be open, up to what costs a tenth of a second.
static void mark_numbered(void) {
  struct rlimit limit;
  long end = 1L << 20;
  // The hard limit: the soft one may be lower than what was opened before it was set.
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < (rlim_t)end) end = (long)limit.rlim_max;
  for (int descriptor = 3; descriptor < end; descriptor++) fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

// For kernels that cannot mark a range: goes through what is open.
static void mark_listed(void) {
  _Alignas(struct directory_entry) char buffer[2048];
  int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // No such folder is mounted, or no descriptor is left for it.
  if (folder < 0) return mark_numbered();
  long size;
  while ((size = syscall(SYS_getdents64, folder, buffer, sizeof buffer)) > 0) {
    for (long at = 0; at < size;) {
      const struct directory_entry *entry = (const struct directory_entry *)(buffer + at);
      int descriptor = 0;
      for (const char *digit = entry->name; *digit >= '0' && *digit <= '9'; digit++) {
        descriptor = descriptor * 10 + (*digit - '0');
      }
      if (descriptor > 2) fcntl(descriptor, F_SETFD, FD_CLOEXEC);
      at += entry->length;
    }
  }
  close(folder);
}

static int is_target(const struct casyncio_child *child, int descriptor) {
  for (int i = 0; i < child->descriptor_count; i++) {
    if (child->targets[i] == descriptor) return 1;
  }
  return 0;
}

// A duplicate under a number that no target has. What lies on the way closes at exec, or makes room for its target.
static int duplicate_aside(const struct casyncio_child *child, int descriptor) {
  int copy = 2;
  do {
    copy = fcntl(descriptor, F_DUPFD_CLOEXEC, copy + 1);
  } while (copy >= 0 && is_target(child, copy));
  return copy;
}

// Puts every source where its target is. A source whose number is another's target is moved out of the way first.
static void arrange_descriptors(const struct casyncio_child *child, struct report *report) {
  int count = child->descriptor_count;
  int *sources = child->scratch;
  for (int i = 0; i < count; i++) {
    sources[i] = child->sources[i];
    if (sources[i] == child->targets[i] || !is_target(child, sources[i])) continue;
    sources[i] = duplicate_aside(child, sources[i]);
    if (sources[i] < 0) fail(report, CASYNCIO_STAGE_DESCRIPTOR, child->sources[i]);
  }
  // The rest is closed at exec, also what other libraries opened without saying so.
  if (syscall(SYS_close_range, 3U, UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0) mark_listed();
  for (int i = 0; i < count; i++) {
    int code = sources[i] == child->targets[i] ? fcntl(sources[i], F_SETFD, 0) : dup2(sources[i], child->targets[i]);
    if (code < 0) fail(report, CASYNCIO_STAGE_DESCRIPTOR, child->sources[i]);
  }
}

// The kernel's calls, which change this process alone.
static void change_ids(const struct casyncio_child *child, struct report *report) {
  if (child->group_count >= 0 && syscall(SYS_setgroups, (size_t)child->group_count, child->groups) != 0) {
    fail(report, CASYNCIO_STAGE_GROUPS, child->group_count);
  }
  if (child->group != (gid_t)-1 && syscall(SYS_setresgid, child->group, child->group, child->group) != 0) {
    fail(report, CASYNCIO_STAGE_GROUP, (int)child->group);
  }
  if (child->user != (uid_t)-1 && syscall(SYS_setresuid, child->user, child->user, child->user) != 0) {
    fail(report, CASYNCIO_STAGE_USER, (int)child->user);
  }
}

// The number is known nowhere but here, after the clone and before the program.
static void write_process_id(char *place) {
  char digits[CASYNCIO_PID_ROOM];
  int count = 0;
  for (long rest = syscall(SYS_getpid); rest > 0; rest /= 10) digits[count++] = (char)('0' + rest % 10);
  while (count > 0) *place++ = digits[--count];
  *place = 0;
}

static _Noreturn void run_program(const struct casyncio_child *child, struct report *report) {
  extern char **environ;
  char *const *environment = child->environment ? child->environment : environ;
  int code = ENOENT;
  for (char *const *path = child->paths; *path != NULL; path++) {
    execve(*path, child->arguments, environment);
    // A later folder may have it; else the first error that says more than "not here" counts.
    if (errno != ENOENT && errno != ENOTDIR && code == ENOENT) code = errno;
    if (path == child->paths && path[1] == NULL) code = errno;
  }
  errno = code;
  fail(report, CASYNCIO_STAGE_EXEC, 0);
}

static int child_main(void *argument) {
  const struct casyncio_child *child = ((struct start *)argument)->child;
  struct report *report = ((struct start *)argument)->report;
  reset_signals();
  if (child->new_session && setsid() < 0) fail(report, CASYNCIO_STAGE_SESSION, 0);
  if (child->process_group >= 0 && setpgid(0, child->process_group) != 0) {
    fail(report, CASYNCIO_STAGE_PROCESS_GROUP, child->process_group);
  }
  arrange_descriptors(child, report);
  if (child->controls_terminal && ioctl(0, TIOCSCTTY, 0) != 0) fail(report, CASYNCIO_STAGE_TERMINAL, 0);
  if (child->directory && chdir(child->directory) != 0) fail(report, CASYNCIO_STAGE_DIRECTORY, 0);
  if (child->file_mode_mask >= 0) umask((mode_t)child->file_mode_mask);
  change_ids(child, report);
  for (int i = 0; i < child->pid_place_count; i++) write_process_id(child->pid_places[i]);
  struct kernel_mask none;
  memset(&none, 0, sizeof none);
  set_mask(&none, NULL);
  run_program(child, report);
}

// MARK: In the parent

enum { STACK_BYTES = 64 * 1024 };

// The thread stands still until the child has another program or is gone: CLONE_VFORK. So the child's stack may be a
// part of this one's, and its errno, which it shares, is put right afterwards.
__attribute__((noinline)) static pid_t clone_sharing(struct start *start, int *pidfd) {
  _Alignas(16) char stack[STACK_BYTES];
  return clone(child_main, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, start, pidfd);
}

// A copy of the memory but for the report, which both see.
#if THREAD_SANITIZER
void __sanitizer_syscall_pre_impl_fork(void);
void __sanitizer_syscall_post_impl_fork(long answer);

// The sanitizer's own wrapper of `clone` ends the process. It is told of a fork instead, so that none of its locks is
// held in the child by a thread that is not there.
__attribute__((noinline, no_sanitize("thread"))) static pid_t clone_copying(struct start *start) {
  __sanitizer_syscall_pre_impl_fork();
  long answer = syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL);
  int code = errno;
  __sanitizer_syscall_post_impl_fork(answer);
  if (answer == 0) child_main(start);
  errno = code;
  return (pid_t)answer;
}
#else
__attribute__((noinline)) static pid_t clone_copying(struct start *start) {
  _Alignas(16) char stack[STACK_BYTES];
  return clone(child_main, stack + STACK_BYTES, CLONE_VFORK | SIGCHLD, start);
}
#endif

struct casyncio_spawned casyncio_spawn(const struct casyncio_child *child, int vfork) {
  struct casyncio_spawned spawned = {.pid = -1, .pidfd = -1, .code = 0};
#if THREAD_SANITIZER
  // Its shadow of our memory would not survive the child.
  vfork = 0;
#endif
  struct report own = {.code = 0}, *report = &own;
  if (!vfork) {
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED) {
      spawned.code = errno;
      return spawned;
    }
  }
  struct start start = {.child = child, .report = report};
  struct kernel_mask all, previous;
  int cancellation, saved = errno;
  memset(&all, 0xff, sizeof all);
  // Neither a handler nor a cancellation may run in the child, which would be taken for this thread.
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
  set_mask(&all, &previous);
  spawned.pid = vfork ? clone_sharing(&start, &spawned.pidfd) : clone_copying(&start);
  spawned.code = spawned.pid < 0 ? errno : 0;
  set_mask(&previous, NULL);
  if (spawned.pid > 0 && report->code != 0) {
    // It is gone, or about to be.
    while (waitpid(spawned.pid, NULL, 0) < 0 && errno == EINTR) {}
    if (spawned.pidfd >= 0) close(spawned.pidfd);
    spawned.pid = spawned.pidfd = -1;
    spawned.code = report->code;
    spawned.stage = report->stage;
    spawned.value = report->value;
  }
  // Nobody but us waits for the child, so that the number is still its own. Without one, a thread can wait for it.
  if (spawned.pid > 0 && spawned.pidfd < 0) spawned.pidfd = (int)syscall(SYS_pidfd_open, spawned.pid, 0);
  pthread_setcancelstate(cancellation, NULL);
  if (!vfork) munmap(report, sizeof *report);
  errno = saved;
  return spawned;
}

int casyncio_wait(pid_t pid, int pidfd, int blocks, int leaves_zombie, int *status) {
  siginfo_t info;
  int options = WEXITED | (blocks ? 0 : WNOHANG) | (leaves_zombie ? WNOWAIT : 0);
  memset(&info, 0, sizeof info);
  int code = -1;
  if (pidfd >= 0) code = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, options);
  // Kernels from before 5.4 make pidfds, but do not wait for them. The pid is the child's until it was waited for.
  if (pidfd < 0 || (code != 0 && is_refusal(errno))) code = waitid(P_PID, (id_t)pid, &info, options);
  if (code != 0) return -1;
  if (info.si_pid == 0) return 0;
  *status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
  return 1;
}

int casyncio_signal_child(pid_t pid, int pidfd, int signal) {
  if (pidfd >= 0) {
    int code = (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
    // Were it the child that may not be signalled, or the signal that is none, the older call would say so again.
    if (code == 0 || !is_refusal(errno)) return code;
  }
  return kill(pid, signal);
}

int casyncio_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

// MARK: Pseudo-terminals

static int open_slave(int master) {
  // By way of the master, so that no path has to be right.
  int terminal = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal >= 0 || (!is_refusal(errno) && errno != ENOTTY)) return terminal;
  char path[64];
  if (ptsname_r(master, path, sizeof path) != 0) return -1;
  return open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

int casyncio_open_terminal(int *master, int *terminal, unsigned short rows, unsigned short columns) {
  *terminal = -1;
  *master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (*master < 0) return errno;
  if (unlockpt(*master) == 0 && (*terminal = open_slave(*master)) >= 0 &&
      casyncio_resize_terminal(*master, rows, columns) == 0) {
    return 0;
  }
  int code = errno;
  if (*terminal >= 0) close(*terminal);
  close(*master);
  *master = *terminal = -1;
  return code;
}

int casyncio_resize_terminal(int terminal, unsigned short rows, unsigned short columns) {
  struct winsize size = {.ws_row = rows, .ws_col = columns};
  return ioctl(terminal, TIOCSWINSZ, &size);
}
#endif
