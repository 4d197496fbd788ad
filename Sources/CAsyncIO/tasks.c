// SPDX-License-Identifier: Apache-2.0
#include "CAsyncIO.h"

#include <stdbool.h>

// Exported by libswift_Concurrency for the compiler and the standard library, which call them by these names.
__attribute__((swiftcall)) extern void *swift_task_getCurrent(void);
__attribute__((swiftcall)) extern bool swift_task_isCancelled(void *task);
__attribute__((swiftcall)) extern void swift_task_cancel(void *task);

void *casyncio_current_task(void) { return swift_task_getCurrent(); }

int casyncio_task_is_cancelled(void *task) { return swift_task_isCancelled(task); }

void casyncio_cancel_task(void *task) { swift_task_cancel(task); }
