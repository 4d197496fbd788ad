// SPDX-License-Identifier: Apache-2.0
import CAsyncIO

/// A variable that each thread has a value of its own of. The value is not retained: who sets it keeps it alive.
@safe
struct ThreadLocal<Value: AnyObject>: Sendable {
  private let key: pthread_key_t

  init() {
    var key = pthread_key_t()
    let code = unsafe pthread_key_create(&key, nil)
    require(code == 0, "no thread-specific key is left in this process")
    self.key = key
  }

  var value: Value? {
    get {
      // Whoever stored the pointer promised to clear it before the object goes.
      unsafe pthread_getspecific(key).map { unsafe Unmanaged<Value>.fromOpaque($0).takeUnretainedValue() }
    }
    nonmutating set {
      _ = unsafe pthread_setspecific(
        key, newValue.map { unsafe UnsafeRawPointer(Unmanaged.passUnretained($0).toOpaque()) })
    }
  }
}
