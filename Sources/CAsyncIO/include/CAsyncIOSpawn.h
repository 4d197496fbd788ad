// SPDX-License-Identifier: Apache-2.0
// Starting a program. What runs between clone and exec must be C: it shares the parent's memory, and may call nothing
// that takes a lock or allocates.
#ifndef CASYNCIO_SPAWN_H
#define CASYNCIO_SPAWN_H

#if defined(__linux__)
#include <sys/types.h>

/// What to run, and how. The caller keeps all memory alive for the length of the call.
struct casyncio_child {
  /// Paths to try in turn; ends with NULL.
  char *const *paths;
  /// End with NULL. Without an environment the child has the caller's.
  char *const *arguments;
  char *const *environment;
  /// NULL: the caller's own.
  const char *directory;
  /// The child's descriptor `targets[i]` is the caller's `sources[i]`. Of the others, 0 to 2 are the caller's own, and
  /// the rest is closed.
  const int *sources;
  const int *targets;
  int descriptor_count;
  /// Room for as many numbers.
  int *scratch;
  /// Whether to begin a session, and whether standard input becomes its controlling terminal.
  int new_session;
  int controls_terminal;
  /// Less than 0: the caller's own; 0: a new one.
  pid_t process_group;
  /// -1: the caller's own.
  int file_mode_mask;
  /// -1: the caller's own; the count for groups.
  uid_t user;
  gid_t group;
  const gid_t *groups;
  int group_count;
  /// Where the child's own process id is to stand as a decimal number, before it runs its program: places in the strings of
  /// its environment, each with room for CASYNCIO_PID_ROOM characters.
  char *const *pid_places;
  int pid_place_count;
};

/// A process id in decimal, and a closing zero.
enum { CASYNCIO_PID_ROOM = 12 };

/// What the child was doing when a call failed. `value` of the answer is the descriptor or id concerned.
enum casyncio_stage {
  CASYNCIO_STAGE_CLONE,
  CASYNCIO_STAGE_SESSION,
  CASYNCIO_STAGE_PROCESS_GROUP,
  CASYNCIO_STAGE_DESCRIPTOR,
  CASYNCIO_STAGE_TERMINAL,
  CASYNCIO_STAGE_DIRECTORY,
  CASYNCIO_STAGE_GROUPS,
  CASYNCIO_STAGE_GROUP,
  CASYNCIO_STAGE_USER,
  CASYNCIO_STAGE_EXEC,
};

/// A child that runs its program, or why there is none: then `code` is the error number.
struct casyncio_spawned {
  pid_t pid;
  /// Close-on-exec; -1 where the kernel makes none.
  int pidfd;
  int code;
  enum casyncio_stage stage;
  int value;
};

/// Starts a program. Returns once it runs, or once the child that could not run it is gone.
///
/// With `vfork`, the child runs in the caller's memory until then, so that the size of that does not matter. Without,
/// the memory is copied, and the clone itself uses no flag that is newer than the sandboxes that there are. A build with
/// ThreadSanitizer always copies.
struct casyncio_spawned casyncio_spawn(const struct casyncio_child *child, int vfork);

/// waitid for one child: by its pidfd, or by its pid when that is -1.
///
/// Returns 1 with `status` set to the exit status or minus the signal, 0 when it has not ended, -1 with errno.
int casyncio_wait(pid_t pid, int pidfd, int blocks, int leaves_zombie, int *status);

/// Sends a signal to a child, by its pidfd, or by its pid when that is -1.
int casyncio_signal_child(pid_t pid, int pidfd, int signal);

/// A pipe that is close-on-exec from birth: what is read at the first, was written at the second.
int casyncio_pipe(int ends[2]);

/// Opens a pseudo-terminal of a size: the master, non-blocking, and its terminal. Returns 0 or an error number.
int casyncio_open_terminal(int *master, int *terminal, unsigned short rows, unsigned short columns);
/// Changes a terminal's size; the foreground process group is told by SIGWINCH.
int casyncio_resize_terminal(int terminal, unsigned short rows, unsigned short columns);
#endif

#endif
