// SPDX-License-Identifier: Apache-2.0
#ifndef CASYNCIO_REFUSAL_H
#define CASYNCIO_REFUSAL_H

#include <errno.h>

// Whether this is how a system says that it does not know a call, or a flag of it, or does not let this process use it:
// kernels answer ENOSYS or EINVAL, sandboxes mostly EPERM. It may be the call's own error just as well: then the older
// call that takes its place says so again.
static inline int is_refusal(int code) {
  return code == ENOSYS || code == EPERM || code == EINVAL || code == EACCES || code == EOPNOTSUPP;
}

#endif
