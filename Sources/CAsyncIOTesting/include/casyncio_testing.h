// SPDX-License-Identifier: Apache-2.0
#ifndef CASYNCIO_TESTING_H
#define CASYNCIO_TESTING_H

#include <stdint.h>

/// Has the monotonic clocks of the calling thread stand at so many nanoseconds, from now on and until the next call. So
/// `ContinuousClock`, `SuspendingClock` and `Task.sleep` go by the time of a simulated world.
void casyncio_testing_set_time(int64_t nanoseconds);

/// Has them show the real time again.
void casyncio_testing_unset_time(void);

#endif
